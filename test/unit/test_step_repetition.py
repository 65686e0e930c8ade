"""How long a program takes, told from a few of its layers."""

from pathlib import Path

import pytest
from models.step_models import CompiledStep, compile_step
from random_llama import random_llama

from elastix.compiler.processor.step.instructions import Instruction, decode_program
from elastix.compiler.step.cycles import predict
from elastix.compiler.step.cycles_stream import Supply
from elastix.compiler.step.repetition import KEPT, Repeated, repetition_of, shortened

LAYERS, POSITION = 9, 21


def compiled(folder: Path, layers: int) -> CompiledStep:
    model = random_llama(folder, num_hidden_layers=layers)
    return compile_step(model, folder, max_context=40, bits=4, beat=64, vector_lanes=2)


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> CompiledStep:
    return compiled(tmp_path_factory.mktemp("deep"), LAYERS)


@pytest.fixture(scope="module")
def program(step: CompiledStep) -> list[Instruction]:
    return decode_program(step.program)


def waits(program: list[Instruction]) -> list[tuple[str, dict[str, int]]]:
    return [
        (each.opcode.name, {name: count for name, count in each.values.items() if name.startswith("wait_")})
        for each in program
    ]


def test_a_shortened_program_is_that_of_fewer_layers(program: list[Instruction], tmp_path: Path) -> None:
    found = repetition_of(program)
    assert found is not None
    assert found.times >= LAYERS - 2
    fewer = compiled(tmp_path, LAYERS - found.times + KEPT)
    assert waits(shortened(program, found, KEPT)) == waits(decode_program(fewer.program))


@pytest.mark.parametrize("supply", [Supply(1.0, 8, 8), Supply(0.7, 30, 30, shared=True)])
def test_estimates_are_the_cycle_models_figures(step: CompiledStep, program: list[Instruction], supply: Supply) -> None:
    parameters = step.layout.parameters
    found, wanted = (
        Repeated.of(program).estimate(parameters, POSITION, supply),
        predict(program, parameters, POSITION, 1, supply),
    )
    assert found.cycles == pytest.approx(wanted.cycles, rel=2e-3)
    assert found.beats == wanted.beats
    assert found.rho == wanted.rho


def test_a_program_of_a_few_layers_is_looked_at_whole(tmp_path: Path) -> None:
    step = compiled(tmp_path, 2)
    program = decode_program(step.program)
    supply = Supply(0.7, 30, 30, shared=True)
    wanted = predict(program, step.layout.parameters, POSITION, 1, supply)
    assert repetition_of(program) is None
    assert Repeated.of(program).estimate(step.layout.parameters, POSITION, supply).cycles == wanted.cycles
