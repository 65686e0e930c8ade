"""Whole decode steps: the same bits from emulator, oracle, RTL in process and Verilator, on any processor.

A small Llama of random weights, which the tests make, shows it in seconds; stories260K, where it is at hand, at length.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import data_path
from models.compiled_models import Command
from models.step_models import CompiledStep, assert_same, compile_step, left, step_of

from elastix.runtime.memory_model import DDR3_1600_X16, DDR4_2400_X32, DDR4_2400_X64, HBM2_CHANNEL, IDEAL, MemoryModel
from elastix.runtime.step_device import StepDevice
from elastix.runtime.step_engines import OracleEngine

SAME = 50
"""Greedy tokens until which 8 bits may change nothing; later near ties between two words fall either way."""
TOKENS = (5, 17, 98, 0, 41, 41, 63, 8, 77, 2, 30)


def test_every_engine_and_pace_gives_the_same_bits(small: Path) -> None:
    """Emulator, oracle and RTL; one token a run, four a run, rests of four; memories at any pace."""
    step = step_of(small)
    wanted = left(step.device(), TOKENS, at_once=1)
    assert len(set(wanted.logits[-1].tolist())) > 90
    assert_same(left(step.device(), TOKENS), wanted)
    assert_same(left(step.device(OracleEngine(step.layout.parameters)), TOKENS), wanted)
    for model, at_once in ((IDEAL, 1), (DDR3_1600_X16, 0), (HBM2_CHANNEL.with_pressure(3), 3)):
        with step.simulated("rtl", model) as device:
            assert_same(left(device, TOKENS, at_once=at_once), wanted)


@pytest.mark.slow
def test_sixteen_vector_lanes_give_the_same_bits(small: Path, small_model: Path, tmp_path: Path) -> None:
    """More lanes than rows of a block; scores' rows end within a word."""
    shape = {"beat": 128, "channels": 2, "lanes": 2, "vector_lanes": 16, "max_context": 33}
    step, wanted = compile_step(small_model, tmp_path, bits=5, **shape), left(step_of(small).device(), TOKENS)
    ours = left(step.device(), TOKENS)
    np.testing.assert_array_equal(ours.logits.view(np.uint32), wanted.logits.view(np.uint32))
    with step.simulated("rtl", DDR3_1600_X16) as device:
        assert_same(left(device, TOKENS), ours)


def test_the_command_line_runs_it_on_its_rtl(small: Path, elastix: Command) -> None:
    words = ["run", small, "--ids", ",".join(map(str, TOKENS[:5])), "--tokens", 3, "--engine"]
    found = elastix(*words, "rtl", "--check")
    assert found["checked_against"] == "emulator"
    assert found["steps_compared"] == 2 + 3 - 1  # the prompt of five goes in four and one
    assert found["cycles"] > 1000 * found["steps_compared"]
    assert found["ids"] == elastix(*words, "emulator")["ids"]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("steps")


@pytest.fixture(scope="module")
def stories_step(scratch: Path) -> CompiledStep:
    """stories260K at 8 bits."""
    return compile_step(data_path("stories260K"), scratch)


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return json.loads(data_path("golden.json").read_text())["stories260K"]


def continued(device: StepDevice, prompt: list[int], count: int) -> list[int]:
    """The greedy continuation, by the processor's own arg max."""
    ids = [device.step(prompt, 0).arg_max[-1]]
    while len(ids) < count:
        ids.append(device.step(ids[-1:], len(prompt) + len(ids) - 1).arg_max[0])
    return ids


@pytest.mark.parametrize("index", range(3))
def test_a_story_is_the_fp32_models(stories_step: CompiledStep, golden: dict[str, Any], index: int) -> None:
    case = golden["prompts"][index]
    assert continued(stories_step.device(), case["prompt_ids"], SAME) == case["greedy_ids"][:SAME]


def told(step: CompiledStep, count: int) -> list[int]:
    """The tokens of a story, the one that begins texts first."""
    return [1, *continued(step.device(), [1], count - 1)]


@pytest.mark.slow
def test_a_story_of_256_tokens_on_the_rtl(stories_step: CompiledStep) -> None:
    """The RTL's own arg max is all that goes back in."""
    tokens = told(stories_step, 256)
    wanted = left(stories_step.device(), tokens, at_once=1)
    with stories_step.simulated() as device:
        found = left(device, tokens, at_once=1)
    assert_same(found, wanted)
    assert found.arg_max[:-1] == tuple(tokens[1:])


@pytest.mark.slow
def test_the_oracle_tells_the_same(stories_step: CompiledStep) -> None:
    tokens = told(stories_step, 20)
    oracle = stories_step.device(OracleEngine(stories_step.layout.parameters))
    assert_same(left(oracle, tokens, at_once=1), left(stories_step.device(), tokens, at_once=1))


@pytest.mark.slow
def test_verilator_tells_the_same(stories_step: CompiledStep) -> None:
    tokens = told(stories_step, 32)
    with stories_step.simulated("verilator") as device:
        assert_same(left(device, tokens, at_once=1), left(stories_step.device(), tokens, at_once=1))


PACED = DDR4_2400_X64.with_pressure(5)
PROCESSORS: tuple[tuple[Mapping[str, int], Mapping[str, int], MemoryModel], ...] = (
    ({"channels": 1, "lanes": 1, "beat": 64}, {"vector_lanes": 1, "attention_lanes": 1}, IDEAL),
    ({"channels": 2, "lanes": 4, "beat": 64, "vector_lanes": 4, "attention_channels": 2}, {}, DDR3_1600_X16),
    (
        {"channels": 4, "lanes": 1, "beat": 64, "vector_lanes": 2, "attention_channels": 4},
        {"attention_lanes": 4},
        PACED,
    ),
    ({"channels": 2, "lanes": 1, "beat": 128}, {"vector_lanes": 1, "attention_lanes": 8}, HBM2_CHANNEL),
    (
        {"channels": 4, "lanes": 4, "beat": 128, "vector_lanes": 1, "attention_channels": 2},
        {"attention_lanes": 2},
        IDEAL.with_pressure(7, 50),
    ),
    ({"channels": 1, "lanes": 4, "beat": 256}, {"vector_lanes": 2, "attention_lanes": 2}, DDR4_2400_X32),
    (
        {"channels": 4, "lanes": 1, "beat": 256},
        {"vector_lanes": 4, "attention_lanes": 1},
        DDR3_1600_X16.with_pressure(9),
    ),
    (
        {"channels": 1, "lanes": 4, "beat": 512},
        {"vector_lanes": 1, "attention_lanes": 4},
        HBM2_CHANNEL.with_pressure(2),
    ),
    ({"channels": 2, "lanes": 1, "beat": 512}, {"vector_lanes": 2, "attention_lanes": 8}, IDEAL),
    (
        {"channels": 4, "lanes": 4, "beat": 512, "vector_lanes": 8, "attention_channels": 4},
        {},
        DDR4_2400_X64,
    ),
)
"""Every pair of two of channels, M, beat and vector lanes but for a few; every kind of memory."""


@pytest.mark.slow
@pytest.mark.parametrize("shape, parts, memory", PROCESSORS, ids=lambda value: "")
def test_eight_tokens_are_the_same_on_any_processor(
    stories_step: CompiledStep,
    scratch: Path,
    shape: Mapping[str, int],
    parts: Mapping[str, int],
    memory: MemoryModel,
) -> None:
    tokens = told(stories_step, 8)
    wanted = left(stories_step.device(), tokens, at_once=1)
    step = compile_step(data_path("stories260K"), scratch, **shape).with_processor(**parts)
    ours = left(step.device(), tokens)
    np.testing.assert_array_equal(ours.logits.view(np.uint32), wanted.logits.view(np.uint32))
    assert ours.arg_max == wanted.arg_max
    with step.simulated("rtl", memory) as device:
        assert_same(left(device, tokens), ours)
