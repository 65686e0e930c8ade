"""Whole decode steps compiled without files of hardware, for processors of every shape, and engines for them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models.compiled_models import compiled
from numpy.typing import NDArray
from random_llama import ODD_WIDTHS, random_llama

from elastix.compiler.image import write_image
from elastix.compiler.importer.files import import_file
from elastix.compiler.options import CompileOptions
from elastix.compiler.stages import Stages
from elastix.compiler.step.compile import lower_step_of
from elastix.runtime.memory_model import IDEAL, MemoryModel
from elastix.runtime.step_device import StepDevice, StepLayout
from elastix.runtime.step_engines import StepEngine
from elastix.runtime.step_simulate import SimulatedStep


@dataclass(frozen=True)
class CompiledStep:
    """A model for one step processor."""

    layout: StepLayout
    weights: bytes
    program: bytes

    def with_processor(self, **parameters: Any) -> "CompiledStep":
        """The same program on a processor that differs in what the program does not depend on."""
        changed = replace(self.layout.parameters, **parameters)
        return replace(self, layout=replace(self.layout, parameters=changed))

    def device(self, engine: StepEngine | None = None) -> StepDevice:
        return StepDevice(self.layout, self.weights, self.program, engine)

    @contextmanager
    def simulated(self, simulation: str = "rtl", model: MemoryModel = IDEAL) -> Iterator[StepDevice]:
        with SimulatedStep(self.layout.parameters, simulation, model) as engine:
            yield self.device(engine)


def compile_step(model: Path, scratch: Path, **options: Any) -> CompiledStep:
    """The model in `CompileOptions(whole_step=True, **options)`; `scratch` is a folder for a file."""
    chosen = CompileOptions(whole_step=True, **options)
    lowered = lower_step_of(import_file(model, max_context=chosen.max_context), chosen, Stages())
    file = scratch / "weights.bin"
    write_image(file, lowered.memory.image, lowered.weights())
    return CompiledStep(StepLayout.of(lowered.manifest()), file.read_bytes(), lowered.program_bytes)


@dataclass(frozen=True)
class Left:
    """What runs leave: logits [tokens, vocabulary], arg max of each, every byte of the caches."""

    logits: NDArray[np.float32]
    arg_max: tuple[int, ...]
    caches: NDArray[np.uint8]


def left(device: StepDevice, tokens: Sequence[int], position: int = 0, *, at_once: int = 0) -> Left:
    """What is there after the tokens, given to the device `at_once` at a time, all if 0."""
    step = at_once or len(tokens)
    found = [device.step(tokens[at : at + step], position + at) for at in range(0, len(tokens), step)]
    logits = np.concatenate([each.logits for each in found])
    return Left(logits, tuple(token for each in found for token in each.arg_max), caches(device))


def caches(device: StepDevice) -> NDArray[np.uint8]:
    """A copy of them."""
    at = device.layout.cache_address
    return device.memory[at : at + device.layout.cache_bytes].copy()


def assert_same(found: Left, wanted: Left) -> None:
    """Every bit; the first token that has another logit is named."""
    different = (found.logits.view(np.uint32) != wanted.logits.view(np.uint32)).any(axis=1)
    assert not different.any(), f"logits differ from token {int(different.argmax())} on, of {len(different)}"
    assert found.arg_max == wanted.arg_max
    assert np.array_equal(found.caches, wanted.caches)


SMALL = {"bits": 5, "beat": 64, "lanes": 4, "vector_lanes": 2, "max_context": 32}


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with random weights: widths that are no multiples of 32, grouped queries, an output head of its own."""
    return random_llama(tmp_path_factory.mktemp("small"), **{**ODD_WIDTHS, "head_dim": 16})


@pytest.fixture(scope="session")
def small(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It compiled for 4 tokens at a time."""
    words = [word for name, value in SMALL.items() for word in (f"--{name.replace('_', '-')}", value)]
    return compiled(small_model, tmp_path_factory.mktemp("out") / "small", "--whole-step", *words)


def step_of(folder: Path) -> CompiledStep:
    """What a folder of `elastix compile --whole-step` holds."""
    layout = StepDevice.load(folder).layout
    return CompiledStep(layout, (folder / "weights.bin").read_bytes(), (folder / "program.bin").read_bytes())
