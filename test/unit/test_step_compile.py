"""Waits of compiled programs order them: proved by the oracle, which says once more what instructions touch."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_llama import random_llama

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.files import import_file
from elastix.compiler.ir import PassFailed, new_context, parse, run_passes
from elastix.compiler.numbers.step_oracle_hazards import check_hazards, order_of
from elastix.compiler.options import CompileOptions
from elastix.compiler.processor.step.instructions import Instruction, Unit
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.stages import Stages
from elastix.compiler.step.compile import LoweredStep, lower_step_of
from elastix.passes.s5_lower.set_waits import set_waits

WAITS = tuple(f"wait_{unit.name.lower()}" for unit in Unit)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with random weights, of one layer: two heads of keys, three queries each."""
    return random_llama(tmp_path_factory.mktemp("llama"))


def lowered(model: Path, **options: Any) -> LoweredStep:
    return lower_step_of(import_file(model, 20), CompileOptions(whole_step=True, **options), Stages())


@pytest.fixture(scope="module")
def three_lanes(model: Path) -> LoweredStep:
    return lowered(model, lanes=3, beat=64)


@pytest.mark.parametrize(("lanes", "beat"), [(1, 64), (1, 256), (3, 256)])
def test_waits_order_the_program(model: Path, lanes: int, beat: int) -> None:
    step = lowered(model, lanes=lanes, beat=beat)
    check_hazards(step.program, step.parameters)


def test_waits_order_the_program_anywhere(three_lanes: LoweredStep) -> None:
    """Not only at the last position, where rows are longest."""
    for position in (0, 1, 9, 17):
        check_hazards(three_lanes.program, three_lanes.parameters, position=position)


def test_a_wait_that_is_too_short_is_caught(three_lanes: LoweredStep) -> None:
    """Each wait a little shorter: either the program's order is as before, or the oracle finds what is not ordered."""
    program, parameters = list(three_lanes.program), three_lanes.parameters
    orders = [order_of(program, tokens) for tokens in (1, 2, 3)]
    shorter = [
        (number, name) for number, each in enumerate(program[:-1]) for name in WAITS if each.values.get(name, 0) > 0
    ]
    caught = 0
    for number, name in shorter[::7]:
        before, program[number] = program[number], with_wait(program[number], name, -1)
        changed = any(
            not np.array_equal(order_of(program, tokens).finished, order.finished)
            for tokens, order in zip((1, 2, 3), orders, strict=True)
        )
        assert is_refused(program, parameters) == changed, f"{number}: {before}, {name}"
        caught += changed
        program[number] = before
    assert caught > 7, f"{caught} of {len(shorter[::7])}"


def with_wait(instruction: Instruction, name: str, more: int) -> Instruction:
    return replace(instruction, values={**instruction.values, name: instruction[name] + more})


def is_refused(program: list[Instruction], parameters: StepParameters) -> bool:
    try:
        check_hazards(program, parameters)
    except ElastixError as error:
        assert "wanted: wait_" in str(error)
        return True
    return False


MANY = """
"epu.step_processor"() {sym_name = "p", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1,
    max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8,
    max_context = 32, head_dim = 8, kv_heads = 1, group = 1, attention_lanes = 8, attention_channels = 1, activations = [], features = []}
    : () -> ()
"epu.step_program"() ({
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 8}, buffers = {}} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 8}, buffers = {}} : () -> ()
  "epu.instruction"() {opcode = "end", values = {}, buffers = {}} : () -> ()
}) {sym_name = "program", processor = @p} : () -> ()
"""


def test_more_instructions_than_a_wait_can_count(monkeypatch: pytest.MonkeyPatch) -> None:
    with new_context():
        run_passes(parse(MANY), [set_waits])
        monkeypatch.setattr(sys.modules["elastix.passes.s5_lower.set_waits"], "MOST", 1)
        with pytest.raises(PassFailed, match=r"'epu.instruction' op wait_vector of 2; wanted: at most 1,"):
            run_passes(parse(MANY), [set_waits])
