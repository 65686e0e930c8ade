"""A step processor's device: the memory of an output folder and the engine that carries out its program."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.program_runner import PROGRAM_FILE, WEIGHTS_FILE
from elastix.compiler.step.manifest import StepManifest, load_step_manifest
from elastix.runtime.step_engines import EmulatorEngine, Memory, StepEngine


@dataclass(frozen=True)
class StepLayout:
    """What a device needs to know of a manifest. Addresses and sizes in bytes.

    weights lie from 0 on; the caches are zeros before the first token; logits of token m lie at
    `logits_address + m · logits_stride`; size: of the whole memory; vocabulary: token ids and logits.
    """

    parameters: StepParameters
    weights_bytes: int
    program_address: int
    program_bytes: int
    cache_address: int
    cache_bytes: int
    logits_address: int
    logits_stride: int
    size: int
    vocabulary: int

    @classmethod
    def of(cls, manifest: StepManifest) -> "StepLayout":
        """That of a manifest."""
        memory = manifest.memory
        return cls(
            manifest.step_processor,
            memory.weights_bytes,
            memory.program_address,
            memory.program_bytes,
            memory.cache_address,
            memory.cache_bytes,
            memory.logits_address,
            memory.logits_stride,
            memory.size,
            manifest.vocabulary,
        )


@dataclass(frozen=True)
class StepOutput:
    """logits: fp32 [tokens, vocabulary], a copy; arg_max: of each token; overflow: whether a result saturated (C6)."""

    logits: NDArray[np.float32]
    arg_max: tuple[int, ...]
    overflow: bool


class StepDevice:
    """A whole language model: token ids and a position go in, logits come out; caches go on from call to call."""

    def __init__(
        self, layout: StepLayout, weights: Path | Memory | bytes, program: bytes, engine: StepEngine | None = None
    ) -> None:
        """weights: `weights.bin`, a file or its bytes; engine: the emulator, unless another is given.

        Raises ElastixError for files whose sizes are not the layout's.
        """
        size = weights.stat().st_size if isinstance(weights, Path) else len(weights)
        if (size, len(program)) != (layout.weights_bytes, layout.program_bytes):
            raise ElastixError(
                f"{size} bytes of weights and {len(program)} of program",
                wanted=f"{layout.weights_bytes} and {layout.program_bytes}, as the manifest says",
            )
        self.layout = layout
        self.memory: Memory = np.zeros(layout.size, np.uint8)
        image = self.memory[:size]
        if isinstance(weights, Path):
            with weights.open("rb") as file:
                file.readinto(image.data)
        else:
            image[:] = np.frombuffer(weights, np.uint8)
        at = layout.program_address
        self.memory[at : at + len(program)] = np.frombuffer(program, np.uint8)
        self.engine: StepEngine = EmulatorEngine(layout.parameters) if engine is None else engine

    @classmethod
    def load(cls, folder: Path, engine: StepEngine | None = None) -> "StepDevice":
        """The device of an output folder. Raises ElastixError if a file is missing or not the manifest's (SHA-256)."""
        layout = StepLayout.of(load_step_manifest(folder))
        if not (folder / WEIGHTS_FILE).exists():
            raise ElastixError(
                f"no {WEIGHTS_FILE} in {folder}", wanted="a model with weights", do="compile it without --no-weights"
            )
        return cls(layout, folder / WEIGHTS_FILE, (folder / PROGRAM_FILE).read_bytes(), engine)

    @property
    def max_context(self) -> int:
        """Tokens that the caches hold."""
        return self.layout.parameters.max_context

    def reset(self) -> None:
        """Empty the caches."""
        at = self.layout.cache_address
        self.memory[at : at + self.layout.cache_bytes] = 0

    def step(self, token_ids: Sequence[int], position: int) -> StepOutput:
        """Tokens at `position`, `position` + 1 …, in runs of at most M; rows before them must be in the caches.

        Raises ElastixError, before anything is run, for no tokens, an id outside the vocabulary or a position beyond
        the context; else what the engine raises.
        """
        self._check(token_ids, position)
        layout, lanes = self.layout, self.layout.parameters.lanes
        logits = np.empty((len(token_ids), layout.vocabulary), np.float32)
        arg_max: list[int] = []
        overflow = False
        for first in range(0, len(token_ids), lanes):
            here = [int(each) for each in token_ids[first : first + lanes]]
            found = self.engine.run(self.memory, layout.program_address, here, position + first)
            for lane in range(len(here)):
                at = layout.logits_address + lane * layout.logits_stride
                logits[first + lane] = self.memory[at : at + 4 * layout.vocabulary].view("<f4")
            arg_max += found.arg_max
            overflow |= found.overflow
        return StepOutput(logits, tuple(arg_max), overflow)

    def _check(self, token_ids: Sequence[int], position: int) -> None:
        if not token_ids:
            raise ElastixError("a step without tokens", wanted="at least one token id")
        for each in token_ids:
            if not 0 <= each < self.layout.vocabulary:
                raise ElastixError(f"token id {each}", wanted=f"0 to {self.layout.vocabulary - 1}")
        if position < 0 or position + len(token_ids) > self.max_context:
            raise ElastixError(
                f"positions {position} to {position + len(token_ids) - 1}",
                wanted=f"0 to {self.max_context - 1}, the rows of the caches",
                do="use a shorter text, or compile with a longer --max-context",
            )
