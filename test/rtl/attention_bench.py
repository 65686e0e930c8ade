"""An attention engine, a memory, a vector engine and a row writer around it that stall at random; C21 in numpy."""

from collections import deque
from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np
from axi_model import Stable
from numpy.typing import NDArray
from simulated import Simulated

from elastix.compiler.numbers import fp32
from elastix.compiler.processor.step.attention_engine import attention_engine
from elastix.compiler.processor.step.attention_ports import quantized_ports
from elastix.compiler.processor.step.instructions import Instruction, Maximum, Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import StepParameters

Integers = NDArray[np.int64]
UNTOUCHED = 0xEE
VISIT = ("data", "mask", "tracked", "operation", "to", "from", "maximum", "max_register", "first", "last")


@cache
def simulated(p: StepParameters) -> Simulated:
    return Simulated(attention_engine(p))


def convert(total: Integers, scale: int | NDArray[np.uint16], exponent: int) -> NDArray[np.uint32]:
    """C7, C8, C9; scale: bf16 bits."""
    flags = fp32.Flags()
    scales = fp32.from_bf16(np.asarray(scale, np.uint16))
    product = fp32.multiply(fp32.from_integer(total), scales, flags)
    return fp32.scale_by_power_of_two(product, exponent, flags).view(np.uint32)


@dataclass
class Rows:
    """Rows of one kind of one head: codes [rows, Dh], scales (bf16 bits) [rows]."""

    codes: Integers
    scales: NDArray[np.uint16]


class AttentionBench:
    def __init__(self, p: StepParameters, seed: int = 0, pressure: float = 0.3) -> None:
        self.p, self.dut, self.random, self.pressure = p, simulated(p), Random(seed), pressure
        self.numbers = np.random.default_rng(seed)
        self.memory = bytearray([UNTOUCHED]) * (1 << 16)
        self.beats = [deque[int]() for _ in range(p.attention_channels)]
        self.words = deque[dict[str, int]]()
        self.visits, self.written_at = list[dict[str, int]](), deque[int]()
        self.offered, self.done, self.overflows = [False] * p.attention_channels, 0, 0
        self.sent, self.held, self.visits_held = 0, False, False
        self.visit = Stable(self.dut, "visit_valid", "visit_ready", tuple(f"visit_{name}" for name in VISIT))
        self.row = Stable(self.dut, "row_valid", "row_ready", ("row_beat", "row_data", "row_strobe"))
        inputs = ["clear", "begin", "visit_ready", "visitor_written", "quantized_valid", "row_ready"]
        inputs += [f"valid_{channel}" for channel in range(p.attention_channels)]
        self.dut.set(scale_word=0, scale_bank=0, **dict.fromkeys(inputs, 0))
        self.dut.reset()
        self.clear()

    def clear(self) -> None:
        """The pulse at the start of a run; everything around the engine forgets too."""
        for queue in (*self.beats, self.words, self.visits, self.written_at):
            queue.clear()
        self.offered, self.visit.waiting, self.row.waiting = [False] * len(self.beats), None, None
        self.dut.set(clear=1, quantized_valid=0, visitor_written=0)
        self.dut.set(**{f"valid_{channel}": 0 for channel in range(len(self.beats))})
        self.dut.tick()
        self.dut.set(clear=0)

    def chance(self) -> bool:
        return self.random.random() >= self.pressure

    def cycle(self) -> None:
        """One clock; no output depends on an input within it, so outputs are those before the edge."""
        dut = self.dut
        for channel, beats in enumerate(self.beats):
            offered = self.offered[channel] = bool(beats) and (self.offered[channel] or self.chance())
            dut.set(**{f"valid_{channel}": int(offered), f"data_{channel}": beats[0] if offered else 0})
        word = self.words.popleft() if self.words and self.chance() else None
        noise = {name: self.random.getrandbits(bits) for name, bits in quantized_ports(self.p).items()}
        for name, value in (word or {**noise, "valid": 0}).items():
            dut.set(**{f"quantized_{name}": value})
        written = bool(self.written_at) and self.written_at[0] <= dut.cycles
        dut.set(visit_ready=int(self.chance() and not self.visits_held), row_ready=int(self.chance() and not self.held))
        dut.set(visitor_written=int(written))
        if written:
            self.written_at.popleft()
        for channel, beats in enumerate(self.beats):
            if self.offered[channel] and dut.get(f"ready_{channel}"):
                beats.popleft()
                self.offered[channel] = False
        if self.visit.handshake():
            self.visits.append({name: dut.get(f"visit_{name}") for name in VISIT})
            if self.visits[-1]["last"]:
                self.written_at.append(dut.cycles + self.random.randint(1, 6))
        if self.row.handshake():
            self._store()
        self.done += dut.get("done_attention")
        self.overflows += dut.get("overflow")
        dut.tick()

    def _store(self) -> None:
        self.sent += 1
        size, data, strobe = self.p.beat // 8, self.dut.get("row_data"), self.dut.get("row_strobe")
        address = self.dut.get("row_beat") * size
        for byte in range(size):
            if strobe >> byte & 1:
                self.memory[address + byte] = data >> 8 * byte & 255

    def until_idle(self) -> None:
        """All quantized words given, the last in the cycle before, and every row sent."""
        for _ in range(20000):
            self.cycle()
            if not self.words and not self.dut.get("rows_pending"):
                return
        raise AssertionError("words or rows are left")

    def quantize(self, target: Target, values: Integers, exponent: int, **fields: int) -> None:
        """Words of a pass over `values`, to be given when there is time."""
        lanes, count = self.p.vector_lanes, len(values)
        for index in range(0, count, lanes):
            part = [int(value) & 0xFFFF for value in values[index : index + lanes]]
            data = sum(value << 16 * k for k, value in enumerate(part))
            if len(part) < lanes:
                data |= self.random.getrandbits(16 * (lanes - len(part))) << 16 * len(part)
            word = dict.fromkeys(quantized_ports(self.p), 0)
            word |= {"valid": 1, "target": target, "data": data, "mask": (1 << len(part)) - 1, "index": index}
            word |= {"exponent": exponent & 0xFFFF, "last": int(index + lanes >= count), **fields}
            self.words.append(word)

    def begin(self, instruction: Instruction, position: int, beats: list[list[int]]) -> None:
        """Wait until the engine takes it; its part of each stream comes behind what is still to come."""
        for waiting, more in zip(self.beats, beats, strict=True):
            waiting.extend(more)
        self.dut.set(begin=1, position=position, instruction=int.from_bytes(instruction.encode(), "little"))
        for _ in range(5000):
            taken = self.dut.get("taken")
            self.cycle()
            if taken:
                self.dut.set(begin=0, position=self.random.getrandbits(20), instruction=self.random.getrandbits(512))
                return
        raise AssertionError("not taken")

    def finish(self) -> list[dict[str, int]]:
        """Run to `done_attention` of the one instruction under way; the visiting words since the last time."""
        self.finish_one()
        assert not any(self.beats), f"{self.beats_left} beats were left"
        found, self.visits = self.visits, []
        return found

    def finish_one(self) -> None:
        """Run to the next `done_attention`."""
        before = self.done
        for _ in range(100000):
            self.cycle()
            if self.done > before:
                return
        raise AssertionError(f"not done: {self.beats_left} beats left, {len(self.visits)} words")

    @property
    def beats_left(self) -> list[int]:
        return [len(beats) for beats in self.beats]

    def value_scales(self, bank: int, count: int) -> list[int]:
        """What the vector engine reads: two cycles after it asks."""
        found, lanes = list[int](), self.p.vector_lanes
        for word in range(-(-count // lanes) + 2):
            if word >= 2:
                data = self.dut.get("scale_data")
                found += [data >> 16 * k & 0xFFFF for k in range(lanes)]
            self.dut.set(scale_word=word % (1 << self.dut.widths["scale_word"]), scale_bank=bank)
            self.cycle()
        return found[:count]

    def dealt(self, rows: Rows) -> list[Rows]:
        """Each channel's part of the rows."""
        channels = [self.p.row_place(row)[0] for row in range(len(rows.scales))]
        own = [[row for row, channel in enumerate(channels) if channel == e] for e in range(len(self.beats))]
        return [Rows(rows.codes[part], rows.scales[part]) for part in own]

    def random_rows(self, count: int) -> Rows:
        codes = self.numbers.integers(-127, 128, (count, self.p.head_dim))
        return Rows(codes, self.numbers.integers(100 << 7, 140 << 7, count).astype(np.uint16))

    def code_beats(self, rows: Rows) -> list[int]:
        """The rows' codes in memory, with padding, which is not 0 here: nobody may look at it."""
        beats, size = list[int](), self.p.beat // 8
        for codes in rows.codes:
            row = codes.astype(np.int8).tobytes()
            row += self.random.randbytes(self.p.row_bytes - len(row))
            beats += [int.from_bytes(row[at : at + size], "little") for at in range(0, len(row), size)]
        return beats

    def scale_beats(self, rows: Rows) -> list[int]:
        data, size = rows.scales.tobytes(), self.p.beat // 8
        data += self.random.randbytes(-len(data) % size)
        return [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]


def spread(p: StepParameters, visits: list[dict[str, int]], base: int = 0) -> dict[int, int]:
    """Element address -> fp32 bits, of words that write each element once; and what every word must say."""
    found = dict[int, int]()
    for word in visits:
        assert word["operation"] == Operation.COPY and word["from"] == 0
        assert word["tracked"] == word["mask"] != 0
        for k in range(p.vector_lanes):
            if word["mask"] >> k & 1:
                address = word["to"] + k
                assert address not in found, f"element {address} is written twice"
                found[address] = word["data"] >> 32 * k & 0xFFFFFFFF
    return found


@dataclass
class Case:
    """One head of one token: what is in memory, what the run adds, and the numbers that meet it."""

    bench: AttentionBench
    position: int
    lane: int
    head: int
    bank: int
    keys: Rows
    values: Rows
    memory_rows: int

    def give_queries(self) -> None:
        bench, p = self.bench, self.bench.p
        self.queries = bench.numbers.integers(-32767, 32768, (p.group, p.head_dim))
        self.query_exponent = bench.random.randint(-30, 10)
        bench.quantize(Target.QUERY, self.queries.ravel(), self.query_exponent, bank=self.bank)

    def begin_scores(self, to: int, stride: int, register: int) -> None:
        bench, count = self.bench, self.memory_rows
        stored = [Rows(rows.codes[:count], rows.scales[:count]) for rows in (self.keys, self.values)]
        beats = [
            bench.scale_beats(keys) + bench.scale_beats(values) + bench.code_beats(keys)
            for keys, values in zip(*map(bench.dealt, stored), strict=True)
        ]
        values = {"bank": self.bank, "head": self.head, "to": to, "stride": stride, "max_register": register}
        bench.begin(Instruction(Opcode.SCORES, {**values, "lane": self.lane}), self.position, beats)

    def check_scores(self, visits: list[dict[str, int]], to: int, stride: int, register: int) -> None:
        found, p, rows = spread(self.bench.p, visits), self.bench.p, self.position + 1
        sums = self.queries @ self.keys.codes.T
        for j in range(p.group):
            wanted = convert(sums[j], self.keys.scales, self.query_exponent)
            got = [found.pop(to + j * stride + t) for t in range(rows)]
            assert got == wanted.tolist(), f"query {j}"
            own = [word for word in visits if word["max_register"] == register + j]
            assert all(word["maximum"] == Maximum.SIGNED for word in own)
            assert [word["to"] for word in own] == list(range(to + j * stride, to + j * stride + rows, p.vector_lanes))
            assert [word["first"] for word in own] == [1] + [0] * (len(own) - 1)
            assert [word["last"] for word in own] == [0] * (len(own) - 1) + [1]
        assert not found

    def check_scales(self) -> None:
        assert self.bench.value_scales(self.bank, self.position + 1) == self.values.scales.tolist()

    def give_weights(self, exponent: int | None = None) -> None:
        bench, p = self.bench, self.bench.p
        self.weights = bench.numbers.integers(-32767, 32768, (p.group, self.position + 1))
        self.weight_exponent = bench.random.randint(-30, 10) if exponent is None else exponent
        for j in range(p.group):
            bench.quantize(Target.PROBABILITY, self.weights[j], self.weight_exponent, bank=self.bank, head=j)

    def begin_values(self, to: int) -> None:
        stored = Rows(self.values.codes[: self.memory_rows], self.values.scales[: self.memory_rows])
        fields = {"bank": self.bank, "head": self.head, "to": to, "lane": self.lane}
        beats = [self.bench.code_beats(part) for part in self.bench.dealt(stored)]
        self.bench.begin(Instruction(Opcode.VALUES, fields), self.position, beats)

    def check_values(self, visits: list[dict[str, int]], to: int) -> None:
        found = spread(self.bench.p, visits)
        wanted = convert((self.weights @ self.values.codes).ravel(), 0x3F80, self.weight_exponent)
        assert [found[to + i] for i in range(len(wanted))] == wanted.tolist()
        assert len(found) == len(wanted)
        assert all(word["maximum"] == Maximum.NONE for word in visits)
        p = self.bench.p
        words = p.head_dim // p.vector_lanes
        for j in range(p.group):
            first = to + j * p.head_dim
            own = [word for word in visits if first <= word["to"] < first + p.head_dim]
            assert [word["last"] for word in own] == [0] * (words - 1) + [1]
