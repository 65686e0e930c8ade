"""Units and memories that take their time around the sequencer, and what they must see of a program."""

from collections import deque
from dataclasses import dataclass
from random import Random

from axi_model import Bench, Part, ReadSlave
from sequencer_harness import Prefixed, simulated

from elastix.compiler.processor.step.instructions import FIELDS, Instruction, Opcode, Unit
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.stream_control import Consumer, consumers

PROGRAM = 0x40_0000 + 64
STREAM_OF = {Opcode.LINEAR: Consumer.MATRIX, Opcode.LOAD: Consumer.LOAD, Opcode.EMBED: Consumer.EMBED}


def word_at(address: int, bits: int) -> int:
    return (address * 0x9E3779B97F4A7C15F39CC0605CEDC835 + 0x1234567) % (1 << bits)


@dataclass
class Run:
    """What the program is carried out with."""

    parameters: StepParameters
    tokens: int
    position: int
    ids: tuple[int, ...]

    def skipped(self, one: Instruction) -> bool:
        return one.opcode is not Opcode.LINEAR and one["lane"] >= self.tokens

    def beats(self, one: Instruction) -> dict[int, list[int]]:
        """Byte addresses of the beats that each channel gives for it, CRC beats left out."""
        p, row = self.parameters, self.position + one["lane"]
        size, given = p.beat // 8, dict[int, list[int]]()

        def add(channel: int, address: int, count: int) -> None:
            given.setdefault(channel, []).extend(address + size * i for i in range(count))

        if self.skipped(one):
            return given
        match one.opcode:
            case Opcode.LINEAR:
                for c in range(p.channels):
                    blocks = len(range(c, one["row_blocks"], p.channels))
                    add(c, one["weights"] + c * one["channel_stride"], blocks * one["block_beats"])
            case Opcode.EMBED:
                block = self.ids[one["lane"]] // p.rows
                at = one["weights"] + block % p.channels * one["channel_stride"]
                add(block % p.channels, at + block // p.channels * one["block_beats"] * size, one["block_beats"])
            case Opcode.LOAD:
                add(0, one["address"] + row * one["stride"], -(-4 * one["count"] // size))
            case Opcode.SCORES:
                places = [p.row_place(row)[0] for row in range(self.position)]
                for e in range(p.attention_channels):
                    rows, part = places.count(e), 64 * e * one["channel_stride"]
                    scales = -(-2 * rows // size)
                    add(e, one["keys"] + one["key_scales"] + part, scales)
                    add(e, one["values"] + one["value_scales"] + part, scales)
                    add(e, one["keys"] + part, rows * p.row_beats)
            case Opcode.VALUES:
                places = [p.row_place(row)[0] for row in range(self.position)]
                for e in range(p.attention_channels):
                    add(e, one["values"] + 64 * e * one["channel_stride"], places.count(e) * p.row_beats)
            case _:
                pass
        return given


class Counts(Part):
    """Counts what has finished: skipped instructions in the order of their unit, and not before their waits."""

    def __init__(self, bench: "SequencerBench", program: list[Instruction]) -> None:
        self.bench = bench
        self.order = {unit: deque(each for each in program if each.unit is unit) for unit in Unit}

    def sample(self) -> None:
        bench, finishing = self.bench, self.bench.dut.get("finishing")
        before = dict(bench.finished)
        for unit in Unit:
            if finishing >> unit & 1:
                one, done = self.order[unit].popleft(), bench.dut.get(f"done_{unit.name.lower()}")
                assert done != bench.run.skipped(one), f"{one} finished out of order"
                assert done or all(before[other] >= one[f"wait_{other.name.lower()}"] for other in Unit)
                bench.finished[unit] += 1
        self.bench.bad |= bool(self.bench.dut.get("bad"))
        self.bench.ended |= bool(self.bench.dut.get("ended"))
        self.bench.now += 1


class UnitModel(Part):
    """Takes instructions when it likes, then the beats that they asked for, and is done some time after."""

    def __init__(self, bench: "SequencerBench", unit: Unit, program: list[Instruction], overlap: bool) -> None:
        self.bench, self.unit, self.name, self.overlap = bench, unit, unit.name.lower(), overlap
        self.expected = deque(each for each in program if each.unit is unit and not bench.run.skipped(each))
        self.working = deque[tuple[Instruction, dict[int, list[int]], int]]()
        self.random = bench.random

    def drive(self) -> None:
        dut = self.bench.dut
        free = not self.working or (self.overlap and len(self.working) < 3)
        dut.set(**{f"taken_{self.name}": int(free and self.random.random() < 0.5)})
        done = False
        if self.working:
            _, beats, due = self.working[0]
            done = not any(beats.values()) and self.bench.now >= due
        dut.set(**{f"done_{self.name}": int(done)})
        ready = {(c, consumer): 0 for c in range(self.bench.p.channels) for consumer in self.consumers(c)}
        for one, beats, _ in list(self.working)[:1]:
            consumer = STREAM_OF.get(one.opcode, Consumer.ATTENTION)
            for c in beats:
                ready[c, consumer] = int(bool(beats[c]) and self.random.random() < self.bench.appetite)
        for (c, consumer), value in ready.items():
            dut.set(**{f"w{c}_{consumer.name.lower()}_ready": value})

    def consumers(self, channel: int) -> list[Consumer]:
        mine = {
            Unit.MATRIX: [Consumer.MATRIX],
            Unit.ATTENTION: [Consumer.ATTENTION],
            Unit.LOAD: [Consumer.LOAD, Consumer.EMBED],
        }
        return [each for each in mine.get(self.unit, []) if each in consumers(self.bench.p, channel)]

    def sample(self) -> None:
        dut, bench = self.bench.dut, self.bench
        if dut.get(f"done_{self.name}"):
            self.working.popleft()
        for one, beats, _ in list(self.working)[:1]:
            consumer = STREAM_OF.get(one.opcode, Consumer.ATTENTION).name.lower()
            for c, addresses in beats.items():
                if dut.get(f"w{c}_{consumer}_valid") and dut.get(f"w{c}_{consumer}_ready"):
                    assert dut.get(f"w{c}_data") == word_at(addresses.pop(0), bench.p.beat)
        if dut.get(f"begin_{self.name}") and dut.get(f"taken_{self.name}"):
            self._take()

    def _take(self) -> None:
        dut, bench = self.bench.dut, self.bench
        one = self.expected.popleft()
        for unit in Unit:
            assert bench.finished[unit] >= one[f"wait_{unit.name.lower()}"], f"{one} began too early"
        given = dut.get(f"instruction_{self.name}")
        unseen = {"weights", "block_beats", "channel_stride", "keys", "key_scales", "values", "value_scales", "address"}
        unseen |= {"stride"} if one.opcode is Opcode.LOAD else set()
        for field in FIELDS[one.opcode]:
            if field.name not in unseen and not field.name.startswith("wait_"):
                value = given >> (32 * field.word + field.low) & (field.limit - 1)
                assert value == one[field.name], f"{field.name} of {one}"
        if self.unit is Unit.MATRIX:
            blocks, more = divmod(one["row_blocks"], bench.p.channels)
            assert (dut.get("blocks_matrix"), dut.get("more_matrix")) == (blocks, more)
        elif self.unit is not Unit.LOAD:
            assert dut.get(f"position_{self.name}") == bench.run.position + one["lane"]
        if one.opcode is Opcode.EMBED:
            token = bench.run.ids[one["lane"]]
            assert dut.get("channel_load") == token // bench.p.rows % bench.p.channels
            assert dut.get("slice_load") == token % bench.p.rows
        due = bench.now + self.random.choice((1, 2, 5, 30))
        self.working.append((one, bench.run.beats(one), due))


class SequencerBench(Bench):
    """A program in memory, and units that carry it out."""

    def __init__(self, run: Run, program: list[Instruction], seed: int, *, pressure: float = 0.0) -> None:
        self.p, self.run, self.random = run.parameters, run, Random(seed)
        super().__init__(simulated(run.parameters))
        self.finished, self.now, self.bad, self.ended = dict.fromkeys(Unit, 0), 0, False, False
        self.appetite = self.random.choice((1.0, 0.5))
        self.image = b"".join(each.encode() for each in program)
        slaves = list[ReadSlave]()
        for bus in ("io", *(f"w{c}" for c in range(self.p.channels))):
            data = self._program_word if bus == "io" else self._word
            slave = ReadSlave(
                Prefixed(self.dut, bus),
                data,
                beat=self.p.beat,
                max_burst=self.p.max_burst,
                latency=self.random.choice((1, 20, 100)),
            )
            slave.pressure = pressure
            slaves.append(slave)
        self.io, self.streams = slaves[0], slaves[1:]
        units = [UnitModel(self, unit, program, unit is Unit.VECTOR) for unit in Unit]
        self.units = units
        self.parts: list[Part] = [*slaves, *units, Counts(self, program)]
        given = {f"token_{i}": value for i, value in enumerate(run.ids)}
        self.dut.set(clear=0, start=0, tokens=run.tokens, position=run.position, **given)
        self.dut.reset()

    def _word(self, address: int) -> int:
        return word_at(address, self.p.beat)

    def _program_word(self, address: int) -> int:
        at, size = address - PROGRAM, self.p.beat // 8
        if not 0 <= at < len(self.image):
            return self._word(address)
        return int.from_bytes(self.image[at : at + size], "little")

    def begin(self) -> None:
        self.pulse("clear")
        self.pulse("start", number=PROGRAM // 64)

    def finish(self, limit: int = 60000) -> None:
        for _ in range(limit):
            self.cycle()
            if self.ended or self.bad:
                return
        raise AssertionError(f"no end; finished {self.finished}")
