"""The vector engine against the rules, bit for bit: every operation, odd counts, periods, visitors, order."""

from functools import cache
from random import Random

import numpy as np
import pytest
from vector_bench import Bench, vector_instruction
from vector_programs import random_program, with_waits
from vector_sources import Load, VisitorPass, bits_of

from elastix.compiler.numbers.fp32 import Float32
from elastix.compiler.processor.step.instructions import Instruction, Maximum, Operation, Target
from elastix.compiler.processor.step.parameters import StepParameters

OWN = 448
"""Elements of vector memory that programs use beside visitors."""
LARGEST, LEAST = np.finfo(np.float32).max, np.finfo(np.float32).smallest_normal
EDGES = np.array([0.0, -0.0, LARGEST, -LARGEST, LEAST, -LEAST, 1.0, -1.0, 0.5, 3e-20, -4e20, 1 + 2**-23], np.float32)
HALF = 0x3F000000


@cache
def parameters(lanes: int, **changes: object) -> StepParameters:
    given: dict[str, object] = {
        "beat": 64,
        "vector_lanes": lanes,
        "vector_elements": 1024,
        "constant_elements": 256,
        "max_context": 64,
        "head_dim": max(8, lanes),
        "kv_heads": 2,
        "group": 2,
        "lanes": 2,
        "max_tiles": 8,
    }
    return StepParameters(**(given | changes))  # type: ignore[arg-type]


@pytest.fixture(params=(1, 2, 4, 8, 16), ids=lambda lanes: f"L{lanes}")
def bench(request: pytest.FixtureRequest) -> Bench:
    made = Bench(parameters(request.param), seed=request.param)
    fill(made)
    return made


def numbers(random: Random, count: int) -> Float32:
    values = np.array([random.gauss(0, 1) * 2.0 ** random.randint(-6, 6) for _ in range(count)], np.float32)
    for place in range(count):
        if random.random() < 0.05:
            values[place] = random.choice([0.0, -0.0])
    return values


def fill(bench: Bench) -> None:
    p = bench.parameters
    vector, constant = numbers(bench.random, p.vector_elements), numbers(bench.random, p.constant_elements)
    bench.load([Load(vector, 0), Load(constant, 0, constant=True)])


def copies(count: int, **fields: int) -> Instruction:
    return vector_instruction(operation=Operation.COPY, count=count, **{"target": Target.NONE, **fields})


def test_memories_hold_what_the_loader_brings(bench: Bench) -> None:
    bench.check()


@pytest.mark.parametrize("count", [1, 8, 37])
def test_every_elementwise_operation(bench: Bench, count: int) -> None:
    """Odd counts, constants that begin again, s of either sign, results in either memory."""
    simple = [each for each in Operation if each < Operation.EXPONENTIAL and each is not Operation.ROTATE]
    program = [copies(5, a=16, maximum=Maximum.SIGNED, max_register=9)]
    unit = bench.parameters.alignment
    for index, operation in enumerate(simple):
        fields = {"a": unit * (index % (104 // unit)), "b": 112, "c": 128, "d": 192, "period": unit * (index % 3)}
        fields["to"] = 208 + 48 * (index % 6)
        target = Target.CONSTANT if index == 3 else Target.VECTOR
        fields |= {"to": 0} if target is Target.CONSTANT else {}
        fields |= {"k": HALF + 0x1234567, "scalar_register": 9, "maximum": index % 4, "max_register": 20 + index}
        program.append(vector_instruction(operation=operation, target=target, count=count, wait_vector=1, **fields))
    rotation = {"operation": Operation.ROTATE, "target": Target.VECTOR, "a": 0, "c": 128, "d": 160, "to": 640}
    width = bench.parameters.head_dim
    rotation |= {"period": width, "count": -(-count // width) * width}
    rotation |= {"maximum": Maximum.MAGNITUDE, "max_register": 40}
    bench.carry_out([*program, vector_instruction(**rotation)])
    bench.check()


def test_partners_in_other_words() -> None:
    for lanes, head_dim in ((1, 16), (4, 32), (8, 16), (16, 32)):
        bench = Bench(parameters(lanes, head_dim=head_dim, beat=128), seed=lanes)
        fill(bench)
        fields = {
            "period": head_dim,
            "count": 3 * head_dim,
            "a": 48 if lanes == 16 else 24,
            "c": 64,
            "d": 128,
            "to": 512,
        }
        bench.carry_out([vector_instruction(operation=Operation.ROTATE, target=Target.VECTOR, **fields)])
        bench.check()


@pytest.mark.parametrize("operation", [each for each in Operation if each < Operation.ROTATE])
def test_edges_of_the_numbers(bench: Bench, operation: Operation) -> None:
    """Zeros keep their signs, results beyond the numbers saturate and are told, small ones are flushed."""
    left, right = np.repeat(EDGES, len(EDGES)), np.tile(EDGES, len(EDGES))
    bench.load([Load(left, 0), Load(right, 160), Load(right[:112], 0, constant=True), Load(EDGES, 112, constant=True)])
    unit = bench.parameters.alignment
    bench.load([Load(EDGES[index : index + 1], 512 + unit * index) for index in range(len(EDGES))])
    fields = {"a": 0, "b": 160, "c": 0, "d": 112, "period": 112, "k": int(bits_of(EDGES)[4])}
    program = [
        copies(1, a=512 + unit * index, maximum=Maximum.SIGNED, max_register=index) for index in range(len(EDGES))
    ]
    for index in range(len(EDGES)):
        fields |= {"scalar_register": index, "wait_vector": len(EDGES), "maximum": 1 + index % 3, "max_register": 63}
        program.append(vector_instruction(operation=operation, target=Target.VECTOR, count=len(left), to=640, **fields))
    bench.carry_out(program)
    bench.check()


def test_maxima_begin_anew_or_go_on(bench: Bench) -> None:
    data = np.array([-3.0, 2.0, -0.0, 0.0, -7.5, 1.0, 4.0, -8.0], np.float32)
    unit = bench.parameters.alignment
    bench.load([Load(data, 0), Load(np.full(8, -0.0, np.float32), unit), Load(np.full(8, -2.5, np.float32), 2 * unit)])
    program = list[Instruction]()
    for register, (maximum, a, count) in enumerate(
        [
            (m, a, n)
            for m in (Maximum.SIGNED, Maximum.MAGNITUDE, Maximum.MAGNITUDE_KEEP)
            for a in (0, unit, 2 * unit)
            for n in (1, 3)
        ]
    ):
        program.append(copies(count, a=a, maximum=maximum, max_register=register))
    for a in (0, 2 * unit, unit):
        program.append(copies(8, a=a, maximum=Maximum.MAGNITUDE_KEEP, max_register=30))
    bench.carry_out(program)
    bench.check()


@pytest.mark.parametrize("seed", range(3))
def test_random_programs(bench: Bench, seed: int) -> None:
    """With no waits but for what is read: all else must come in order by itself."""
    program = random_program(bench.parameters, Random(seed), 40, OWN)
    bench.carry_out(with_waits(bench.run, program))
    bench.check()


def visits(random: Random, first: int, registers: int, unit: int) -> list[VisitorPass]:
    """Instructions of another unit, on 32 elements each, three registers in turn; addresses are multiples of `unit`."""
    found = list[VisitorPass]()
    operations = (Operation.COPY, Operation.ADD, Operation.ADD_CONSTANT, Operation.MULTIPLY, Operation.ACTIVATE)
    for index in range(8):
        count, to, operation = random.randint(1, 32), first + 32 * index, random.choice(operations)
        source = 128 + unit * random.randrange(96 // unit) if operation is Operation.ADD_CONSTANT else to
        tracked = random.choice([None, count // 2])
        maximum, register = random.choice(list(Maximum)), registers + index % 3
        found.append(VisitorPass(numbers(random, count), to, operation, source, maximum, register, tracked))
    return found


def test_short_reductions_follow_each_other_among_maxima(bench: Bench) -> None:
    """A result waits for no maximum and drops none, and stays apart from the sum of the next."""
    kinds = (Operation.SQUARES, Operation.MEAN, Operation.EXPONENTIAL, Operation.SQUARES, Operation.EXPONENTIAL)
    program, reductions = list[Instruction](), list[Instruction]()
    for index, operation in enumerate(kinds):
        maximum = Maximum.SIGNED if operation is Operation.EXPONENTIAL else Maximum.MAGNITUDE
        program.append(copies(index + 1, a=64 * index, maximum=maximum, max_register=index))
        fields = {"operation": operation, "count": index + 1, "a": 64 * index, "k": HALF, "epsilon": HALF}
        fields |= {"wait_vector": len(kinds), "scalar_register": index, "result_register": 8 + index}
        reductions.append(vector_instruction(**fields))
    bench.carry_out([*program, *reductions])
    reductions = [Instruction(each.opcode, {**each.values, "wait_vector": 0}) for each in reductions]
    unit = bench.parameters.alignment
    for _ in range(4):
        visitors = [
            VisitorPass(
                numbers(bench.random, 1),
                OWN + unit * (index % (576 // unit)),
                maximum=Maximum.SIGNED,
                max_register=16 + index,
            )
            for index in range(48)
        ]
        bench.carry_out(reductions, matrix=visitors, chance=0.5)
        bench.check()


@pytest.mark.parametrize("chance", [1.0, 0.3])
def test_visitors_among_passes(bench: Bench, chance: float) -> None:
    random = Random(7)
    program = with_waits(bench.run, random_program(bench.parameters, random, 30, OWN))
    unit = bench.parameters.alignment
    matrix, attention = visits(random, OWN, 32, unit), visits(random, OWN + 256, 40, unit)
    bench.carry_out(program, matrix=matrix, attention=attention, chance=chance)
    bench.check()


def test_visitors_of_several_tokens_come_in_turn(bench: Bench) -> None:
    """Words of three tokens one after the other, each tracked in its own register."""
    passes = [
        VisitorPass(
            numbers(bench.random, 40), 256 * token, Operation.ADD, 256 * token, Maximum.MAGNITUDE_KEEP, 5 + token
        )
        for token in range(3)
    ]
    bench.carry_out(matrix=passes, interleaved=True)
    bench.check()


def test_a_word_a_cycle(bench: Bench) -> None:
    """Passes follow each other with a cycle between them, visitors without any."""
    lanes, length = bench.parameters.vector_lanes, 256
    passes = [copies(length, a=0, target=Target.VECTOR, to=256), copies(length, a=512, target=Target.VECTOR, to=768)]
    bench.carry_out(passes)
    assert bench.ends[1] - bench.ends[0] == length // lanes + 1
    bench.carry_out(matrix=[VisitorPass(numbers(bench.random, length), 0)])
    alone = bench.cycles
    bench.carry_out(passes[1:], matrix=[VisitorPass(numbers(bench.random, length), 0)])
    assert bench.cycles - alone <= length // lanes + 4
    bench.check()


def test_loader_beside_passes(bench: Bench) -> None:
    unit = bench.parameters.alignment
    loads = [Load(numbers(bench.random, 30), 512), Load(numbers(bench.random, 50), unit, constant=True)]
    program = [copies(200, a=0, target=Target.VECTOR, to=256, maximum=Maximum.SIGNED) for _ in range(3)]
    bench.carry_out(program, loads=loads, matrix=visits(bench.random, 640, 32, unit), chance=0.5)
    bench.check()


def test_clear_forgets_what_is_under_way(bench: Bench) -> None:
    program = random_program(bench.parameters, Random(5), 30, OWN)
    for cycle in (30, 95, 200, 333):
        bench.carry_out(with_waits(bench.run, program), clear_at=cycle, expected=False)
        bench.start_anew()
        fill(bench)
        bench.carry_out(with_waits(bench.run, program))
        bench.check()


@pytest.mark.parametrize("features", [(), ("attention",), ("rotate", "mean"), ("normalize_shift",)], ids="-".join)
def test_without_features(features: tuple[str, ...]) -> None:
    """What the model does not want is not there, the rest works."""
    bench = Bench(parameters(2, features=features, activations=()), seed=1)
    fill(bench)
    needed = {
        Operation.ROTATE: "rotate",
        Operation.NORMALIZE_SHIFT: "normalize_shift",
        Operation.MEAN: "mean",
        Operation.EXPONENTIAL: "attention",
        Operation.ACTIVATE: "an activation",
    }
    for_attention = {Target.QUERY, Target.PROBABILITY, Target.KEY, Target.VALUE}
    program = [
        each
        for each in random_program(bench.parameters, Random(3), 80, OWN)
        if needed.get(Operation(each["operation"]), "attention") in (*features, "attention")
        and (
            "attention" in features
            or (each["operation"] != Operation.EXPONENTIAL and each["target"] not in for_attention)
        )
    ]
    assert len(program) > 30
    bench.carry_out(with_waits(bench.run, program))
    bench.check()


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh"])
def test_other_activations(activation: str) -> None:
    bench = Bench(parameters(1, activations=(activation,)), seed=2)
    fill(bench)
    activate = {"operation": Operation.ACTIVATE, "target": Target.VECTOR, "count": 300, "a": 0, "to": 512}
    bench.carry_out([vector_instruction(**activate)])
    bench.check()


def test_a_row_ends_within_a_tile(bench: Bench) -> None:
    """Missing columns of the last tile are 0, whatever the tile held."""
    program, unit = list[Instruction](), bench.parameters.alignment
    for register, (count, to, lane) in enumerate([(96, 0, 0), (33, 0, 0), (1, 64, 1), (64, 128, 1)]):
        program.append(copies(count, a=unit, maximum=Maximum.MAGNITUDE, max_register=register))
        fields = {"count": count, "a": unit, "to": to, "lane": lane, "bits": 8 + register, "scalar_register": register}
        fields |= {"wait_vector": len(program), "target": Target.ACTIVATIONS}
        program.append(vector_instruction(operation=Operation.QUANTIZE, **fields))
    bench.carry_out(program)
    bench.check()
