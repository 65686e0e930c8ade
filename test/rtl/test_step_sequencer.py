"""Fetch, dispatch, queues and streams together: random programs, units and memories that take their time."""

from collections import deque
from dataclasses import dataclass
from functools import cache
from random import Random

import pytest
from axi_model import Bench, Part, ReadSlave
from simulated import Simulated

from elastix.compiler.circuit import Module, Signal, concat
from elastix.compiler.processor.burst_reader import burst_reader, io_reader_shape
from elastix.compiler.processor.step.instructions import FIELDS, Instruction, Opcode, Operation, Unit
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.sequencer import sequencer
from elastix.compiler.processor.step.stream_control import Consumer, consumers, stream_control

READ_IN = {"arready": 1, "rvalid": 1, "rresp": 2, "rlast": 1}
READ_OUT = ("arvalid", "araddr", "arlen", "arsize", "arburst", "rready")
PROGRAM = 0x40_0000 + 64
STREAM_OF = {Opcode.LINEAR: Consumer.MATRIX, Opcode.LOAD: Consumer.LOAD, Opcode.EMBED: Consumer.EMBED}


def word_at(address: int, bits: int) -> int:
    return (address * 0x9E3779B97F4A7C15F39CC0605CEDC835 + 0x1234567) % (1 << bits)


def harness(p: StepParameters) -> Module:
    """The sequencer with its reader and its streams; AXI ports io_* and w<c>_*."""
    m = Module("sequencer_harness")
    clear, module = m.input("clear"), sequencer(p)
    request_ready, quiet, io = m.wire("ready_of_streams", p.channels), m.wire("quiet", 1), m.wire("io_comes", 1)
    io_data = m.wire("io_beat", p.beat)
    wires = {"request_ready": request_ready, "quiet": quiet, "in_valid": io, "in_data": io_data, "clear": clear}
    others = {name: m.input(name, width) for name, width in module.inputs.items() if name not in wires}
    parts = m.instance("sequencer", module, **wires, **others)
    for name in module.outputs:
        if not name.startswith(("request_", "io_")):
            m.output(name, parts[name])

    def axi(bus: str) -> dict[str, Signal]:
        given = {name: m.input(f"{bus}_{name}", width) for name, width in READ_IN.items()}
        return {**given, "rdata": m.input(f"{bus}_rdata", p.beat), "timeout": m.constant(0, 32)}

    reader = m.instance(
        "reader",
        burst_reader(io_reader_shape(p.beat, p.max_burst, p.fifo_beats)),
        start=parts["io_start"],
        cancel=clear,
        address=parts["io_address"],
        beats=parts["io_beats"],
        blocks=m.constant(0, 32),
        block_beats=m.constant(0, 20),
        **axi("io"),
    )
    io.assign(reader["valid"])
    io_data.assign(reader["data"])
    for name in READ_OUT:
        m.output(f"io_{name}", reader[name])
    readies, quiets = list[Signal](), list[Signal]()
    for c in range(p.channels):
        takers = {
            f"{each.name.lower()}_ready": m.input(f"w{c}_{each.name.lower()}_ready") for each in consumers(p, c == 0)
        }
        if Consumer.ATTENTION in consumers(p, c == 0):
            takers["attention_wanted"] = takers["attention_ready"]
        names = ("request_address", "request_count", "request_block_beats", "request_consumer")
        stream = m.instance(
            f"stream_{c}",
            stream_control(p, c == 0),
            clear=clear,
            request_valid=parts["request_valid"][c],
            **{name: parts[name] for name in names},
            **takers,
            **axi(f"w{c}"),
        )
        readies.append(stream["request_ready"])
        quiets.append(stream["quiet"])
        for each in consumers(p, c == 0):
            name = f"{each.name.lower()}_valid"
            m.output(f"w{c}_{name}", stream[name])
        for name in (*READ_OUT, "data", "bad"):
            m.output(f"w{c}_{name}", stream[name])
    request_ready.assign(concat(*reversed(readies)))
    quiet.assign(concat(*quiets).all())
    return m


class Prefixed(Simulated):
    """The ports of one bus."""

    def __init__(self, dut: Simulated, bus: str) -> None:
        self.dut, self.bus = dut, bus

    def set(self, **values: int) -> None:
        self.dut.set(**{f"{self.bus}_{name}": value for name, value in values.items()})

    def get(self, name: str) -> int:
        return self.dut.get(f"{self.bus}_{name}")


@cache
def simulated(p: StepParameters) -> Simulated:
    return Simulated(harness(p))


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
                scales = -(-2 * self.position // size)
                add(0, one["keys"] + one["key_scales"], scales)
                add(0, one["values"] + one["value_scales"], scales)
                add(0, one["keys"], self.position * p.row_beats)
            case Opcode.VALUES:
                add(0, one["values"], self.position * p.row_beats)
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
        return [each for each in mine.get(self.unit, []) if each in consumers(self.bench.p, channel == 0)]

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


def weights(random: Random, rows: int = 40) -> dict[str, int]:
    bits, tiles, header = random.randrange(1, 9), random.randrange(1, 5), random.randrange(1, 4)
    return {
        "bits": bits,
        "scale_format": random.randrange(3),
        "c9": random.randrange(512),
        "row_blocks": random.randrange(1, rows),
        "tiles": tiles,
        "group_tiles": random.randrange(1, 9),
        "header_words": header,
        "weights": random.randrange(1 << 20) * 64,
        "block_beats": header + bits * tiles,
        "channel_stride": random.randrange(1 << 16) * 64,
    }


def instruction(random: Random, run: Run, counts: dict[Unit, int]) -> Instruction:
    p = run.parameters
    opcode = random.choice(
        (Opcode.LINEAR, *[Opcode.VECTOR] * 3, Opcode.SCORES, Opcode.VALUES, Opcode.LOAD, Opcode.EMBED)
    )
    values = {"lane": random.randrange(p.lanes)}
    for unit in Unit:
        if random.random() < 0.3:
            values[f"wait_{unit.name.lower()}"] = random.randint(max(0, counts[unit] - 3), counts[unit])
    memory, element = (lambda: random.randrange(1 << 20) * 64), (lambda: random.randrange(1 << 10) * 8)
    match opcode:
        case Opcode.LINEAR:
            values |= weights(random, 8) | {"target": 1, "rows": random.randrange(100), "to": element()}
        case Opcode.VECTOR:
            values |= {
                "operation": random.randrange(13),
                "target": random.randrange(3),
                "count": 1 + random.randrange(99),
            }
            values |= {name: element() for name in ("a", "b", "c", "d", "to")} | {"k": random.randrange(1 << 32)}
            if values["operation"] == Operation.ROTATE:
                values |= {"count": p.head_dim * random.randint(1, 4), "period": p.head_dim}
        case Opcode.SCORES:
            values |= {"bank": 1, "head": random.randrange(p.kv_heads), "keys": memory(), "values": memory()}
            values |= {"key_scales": memory(), "value_scales": memory(), "to": element(), "stride": element()}
        case Opcode.VALUES:
            values |= {"head": random.randrange(p.kv_heads), "values": memory(), "to": element()}
        case Opcode.LOAD:
            values |= {"target": 2, "count": 1 + random.randrange(60), "address": memory(), "to": element()}
            values |= {"stride": random.choice((0, 64, 4096))}
        case _:
            values |= weights(random, 8) | {"row_blocks": -(-max(run.ids) // p.rows) + 1, "to": element()}
    counts[_unit(opcode)] += 1
    return Instruction(opcode, values)


def _unit(opcode: Opcode) -> Unit:
    unit = Instruction(opcode, {}).unit
    assert unit is not None
    return unit


def program_of(random: Random, run: Run, length: int) -> list[Instruction]:
    counts = dict.fromkeys(Unit, 0)
    program = [instruction(random, run, counts) for _ in range(length)]
    return [*program, Instruction(Opcode.END, {f"wait_{unit.name.lower()}": counts[unit] for unit in Unit})]


SHAPES = (
    StepParameters(beat=64, max_burst=16, fifo_beats=16, crc=False, kv_heads=3, head_dim=16),
    StepParameters(beat=128, lanes=3, channels=2, max_burst=16, fifo_beats=64, crc=False, kv_heads=2, head_dim=32),
    StepParameters(beat=256, lanes=2, channels=3, max_burst=16, fifo_beats=32, crc=False, kv_heads=2, head_dim=16),
    StepParameters(beat=512, max_burst=8, fifo_beats=8, crc=False, kv_heads=2, head_dim=16),
)


def random_run(p: StepParameters, random: Random) -> Run:
    position = random.choice((0, 1, 9, 33))
    ids = tuple(random.randrange(1000) for _ in range(p.lanes))
    return Run(p, random.randint(1, p.lanes), position, ids)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda p: f"D{p.beat}-C{p.channels}-M{p.lanes}")
@pytest.mark.parametrize("seed", range(4))
def test_every_unit_gets_its_instructions_and_data_in_order(shape: StepParameters, seed: int) -> None:
    random = Random(seed)
    run = random_run(shape, random)
    program = program_of(random, run, 40)
    bench = SequencerBench(run, program, seed, pressure=random.choice((0.0, 0.4)))
    bench.begin()
    bench.finish()
    assert not bench.bad
    assert not any(unit.expected or unit.working for unit in bench.units)
    for unit in Unit:
        assert bench.finished[unit] == sum(each.unit is unit for each in program)
    # The program is read up to the piece of 256 bytes that has END, and no further.
    last = max(address + count * shape.beat // 8 for address, count in bench.io.bursts)
    assert last == -(-(PROGRAM + len(bench.image)) // 256) * 256


def linear(**changed: int) -> Instruction:
    good = weights(Random(1)) | {"target": 1, "rows": 5}
    return Instruction(Opcode.LINEAR, good | changed)


def vector(**values: int) -> Instruction:
    return Instruction(Opcode.VECTOR, {"operation": 0, "target": 1, "count": 8} | values)


END = Instruction(Opcode.END, {})
BAD = {
    "opcode": bytes([9]) + bytes(63),
    "a bit that means nothing": bytes([2, 0, 0, 0]) + bytes(59) + bytes([1]),
    "bits": linear(bits=0),
    "beats of a block": linear(block_beats=7),
    "too many tiles": linear(tiles=65, block_beats=300),
    "operation of results": linear(operation=4),
    "weights between beats": linear(weights=4),
    "element between words": vector(a=12),
    "no elements": vector(count=0),
    "quantizing to vector memory": vector(operation=14),
    "activation bits": vector(operation=14, target=4, bits=12),
    "head of keys": Instruction(Opcode.SCORES, {"head": 3}),
    "token beyond the table": Instruction(Opcode.EMBED, weights(Random(1)) | {"row_blocks": 3}),
    "counts never reached": Instruction(Opcode.END, {"wait_vector": 2}),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_instruction_stops_at_its_address(what: str) -> None:
    one, run = BAD[what], Run(SHAPES[0], 1, 0, (7,))
    bench = SequencerBench(run, [vector(), END], 1)
    encoded = one.encode() if isinstance(one, Instruction) else one
    bench.image = vector().encode() + encoded + END.encode()
    bench.begin()
    bench.finish()
    assert bench.bad and not bench.ended
    assert bench.dut.get("bad_address") == PROGRAM + 64


def test_good_ones_beside_them_are_taken() -> None:
    run = Run(SHAPES[0], 1, 0, (5,))
    program = [linear(), vector(), vector(operation=14, target=4, bits=11, count=32)]
    program += [Instruction(Opcode.EMBED, weights(Random(1)) | {"row_blocks": 3}), END]
    bench = SequencerBench(run, program, 1)
    bench.begin()
    bench.finish()
    assert bench.ended and not bench.bad


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_left_of_a_run_that_was_cleared(seed: int) -> None:
    random = Random(seed)
    run = random_run(SHAPES[1], random)
    bench = SequencerBench(run, program_of(random, run, 20), seed)
    bench.begin()
    for _ in range(random.randrange(20, 700)):
        bench.cycle()
    bench.pulse("clear")
    for unit in bench.units:
        unit.working.clear()
        unit.expected.clear()
    for _ in range(random.choice((0, 300))):
        bench.cycle()
    program = program_of(random, run, 20)
    bench.image = b"".join(each.encode() for each in program)
    bench.finished, bench.ended = dict.fromkeys(Unit, 0), False
    bench.units[:] = [UnitModel(bench, unit, program, unit is Unit.VECTOR) for unit in Unit]
    bench.parts[-len(Unit) - 1 :] = [*bench.units, Counts(bench, program)]
    bench.begin()
    bench.finish()
    assert bench.ended and not bench.bad
    assert not any(unit.expected or unit.working for unit in bench.units)


def test_dispatch_is_quick_enough() -> None:
    run = Run(SHAPES[0], 1, 33, (7,))
    program = [vector() for _ in range(60)]
    bench = SequencerBench(run, [*program, END], 0)
    bench.begin()
    bench.finish()
    assert bench.now < 60 * 25 + 200
