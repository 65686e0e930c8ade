"""The vector engine against the rules, bit for bit: every operation, odd counts, periods, visitors, order."""

from random import Random

import numpy as np
import pytest
from vector_bench import Bench, Load, VisitorPass, vector_instruction
from vector_programs import random_program, with_waits

from elastix.compiler.numbers.fp32 import Float32
from elastix.compiler.numbers.step_oracle_state import Place
from elastix.compiler.processor.step.instructions import Maximum, Operation, Target
from elastix.compiler.processor.step.parameters import StepParameters

LARGEST, LEAST = np.finfo(np.float32).max, np.finfo(np.float32).smallest_normal
EDGES = np.array([0.0, -0.0, LARGEST, -LARGEST, LEAST, -LEAST, 1.0, -1.0, 0.5, 3.0], np.float32)
HALF = 0x3F000000


def parameters(lanes: int, **changes: object) -> StepParameters:
    given: dict[str, object] = {
        "beat": 64,
        "vector_lanes": lanes,
        "vector_elements": 512,
        "constant_elements": 256,
        "max_context": 64,
        "head_dim": 8,
        "kv_heads": 2,
        "group": 2,
        "lanes": 2,
        "max_tiles": 8,
    }
    return StepParameters(**(given | changes))  # type: ignore[arg-type]


@pytest.fixture(params=(1, 2, 4, 8), ids=lambda lanes: f"L{lanes}")
def bench(request: pytest.FixtureRequest) -> Bench:
    made = Bench(parameters(request.param), seed=request.param)
    fill(made)
    return made


def numbers(random: Random, count: int, spread: int = 6) -> Float32:
    values = np.array([random.gauss(0, 1) * 2.0 ** random.randint(-spread, spread) for _ in range(count)], np.float32)
    for place in range(count):
        if random.random() < 0.05:
            values[place] = random.choice([0.0, -0.0])
    return values


def fill(bench: Bench, spread: int = 6) -> None:
    p = bench.parameters
    bench.load(
        [
            Load(numbers(bench.random, p.vector_elements, spread), 0),
            Load(numbers(bench.random, p.constant_elements, spread), 0, constant=True),
        ]
    )


def test_memories_hold_what_the_loader_brings(bench: Bench) -> None:
    bench.check()


def test_copy(bench: Bench) -> None:
    bench.carry_out([vector_instruction(operation=Operation.COPY, target=Target.VECTOR, count=37, a=8, to=128)])
    bench.check()


@pytest.mark.parametrize("seed", range(4))
def test_random_programs(bench: Bench, seed: int) -> None:
    random = Random(seed)
    program = with_waits(bench.run, random_program(bench.parameters, random, 40, 448))
    bench.carry_out(program)
    bench.check()
