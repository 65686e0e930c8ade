"""Fetch, dispatch, queues and streams together: random programs, units and memories that take their time."""

from random import Random

import pytest
from sequencer_bench import PROGRAM, Counts, Run, SequencerBench, UnitModel
from sequencer_programs import program_of, weights

from elastix.compiler.processor.step.instructions import Instruction, Opcode, Unit
from elastix.compiler.processor.step.parameters import StepParameters

SHAPES = (
    StepParameters(beat=64, max_burst=16, fifo_beats=16, crc=False, kv_heads=3, head_dim=16),
    StepParameters(beat=128, lanes=3, channels=2, max_burst=16, fifo_beats=64, crc=False, kv_heads=2, head_dim=32),
    StepParameters(beat=256, lanes=2, channels=3, max_burst=16, fifo_beats=32, crc=False, kv_heads=2, head_dim=16),
    StepParameters(beat=512, max_burst=8, fifo_beats=8, crc=False, kv_heads=2, head_dim=16),
    StepParameters(
        beat=128,
        lanes=2,
        channels=5,
        attention_channels=4,
        vector_lanes=2,
        max_burst=16,
        fifo_beats=32,
        crc=False,
        kv_heads=2,
        head_dim=32,
    ),
    StepParameters(
        beat=64, channels=2, attention_channels=2, vector_lanes=1, max_burst=16, fifo_beats=16, crc=False, head_dim=8
    ),
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
    "maximum of results to memory": linear(target=3, maximum=1),
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
