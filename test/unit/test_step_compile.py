"""Waits of compiled programs order them: proved by the oracle, which says once more what instructions touch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.files import import_file
from elastix.compiler.numbers.step_oracle_hazards import check_hazards, order_of
from elastix.compiler.options import CompileOptions
from elastix.compiler.processor.step.instructions import Instruction, Unit
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.stages import Stages
from elastix.compiler.step.compile import LoweredStep, lower_step_of

WAITS = tuple(f"wait_{unit.name.lower()}" for unit in Unit)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with random weights, of one layer: two heads of keys, three queries each."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=48,
        intermediate_size=72,
        num_hidden_layers=1,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=8,
        vocab_size=99,
        max_position_embeddings=64,
    )
    folder = tmp_path_factory.mktemp("llama")
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


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
    for number, name in shorter[::11]:
        before, program[number] = program[number], with_wait(program[number], name, -1)
        changed = any(
            not np.array_equal(order_of(program, tokens).finished, order.finished)
            for tokens, order in zip((1, 2, 3), orders, strict=True)
        )
        assert is_refused(program, parameters) == changed, f"{number}: {before}, {name}"
        caught += changed
        program[number] = before
    assert caught > 10, f"{caught} of {len(shorter[::11])}"


def with_wait(instruction: Instruction, name: str, more: int) -> Instruction:
    return replace(instruction, values={**instruction.values, name: instruction[name] + more})


def is_refused(program: list[Instruction], parameters: StepParameters) -> bool:
    try:
        check_hazards(program, parameters)
    except ElastixError as error:
        assert "wanted: wait_" in str(error)
        return True
    return False
