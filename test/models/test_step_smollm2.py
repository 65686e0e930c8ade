"""SmolLM2's chat answer from the RTL alone: every logit and every byte of the caches are the emulator's."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from models.compiled_models import compiled
from models.step_models import assert_same, caches, left

from elastix.compiler.tokenizer import load
from elastix.runtime.step_device import StepDevice
from elastix.runtime.step_simulate import SimulatedStep

QUESTION, ANSWERED = "What is the capital of France?", 8


@pytest.fixture(scope="module")
def folder(smollm2_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M-Instruct as a whole decode step at 8 bits."""
    return compiled(smollm2_file, tmp_path_factory.mktemp("out") / "smollm2", "--whole-step")


def answers_alike(folder: Path, prompt: Sequence[int], count: int) -> list[int]:
    """The answer's first tokens by the RTL, which finds the caches as the emulator leaves them after the prompt."""
    emulated, rtl = StepDevice.load(folder), StepDevice.load(folder)
    position = len(prompt) - 1
    if position:
        emulated.step(prompt[:-1], 0)
    at = emulated.layout.cache_address
    rtl.memory[at : at + emulated.layout.cache_bytes] = caches(emulated)
    answered = [prompt[-1]]
    with SimulatedStep(emulated.layout.parameters) as engine:
        rtl.engine = engine
        while len(answered) <= count:
            found = left(rtl, answered[-1:], position)
            assert_same(found, left(emulated, answered[-1:], position))
            assert found.arg_max[0] == int(np.argmax(found.logits[0]))
            answered.append(found.arg_max[0])
            position += 1
    return answered[1:]


@pytest.mark.slow
def test_an_answer_in_chat(folder: Path) -> None:
    """Some 15 seconds a token."""
    codec = load(folder / "tokenizer")
    answer = answers_alike(folder, codec.encode(QUESTION, raw=False), ANSWERED)
    assert codec.decode(answer).startswith("The capital of France is Paris")


@pytest.mark.slow
def test_a_short_prompt_from_the_start(folder: Path) -> None:
    """No token of it but by the RTL."""
    prompt = load(folder / "tokenizer").encode("The sky is", raw=True)[:3]
    emulated, rtl = StepDevice.load(folder), StepDevice.load(folder)
    with SimulatedStep(emulated.layout.parameters) as engine:
        rtl.engine = engine
        assert_same(left(rtl, prompt, at_once=1), left(emulated, prompt, at_once=1))
