"""A compiled model with the engines that were asked for, and what running it cost."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.manifest import Manifest
from elastix.compiler.program_runner import Program
from elastix.compiler.stages import peak_memory_bytes
from elastix.runtime.device import CheckedEngine, Engine
from elastix.runtime.engines import open_engine, simulated_cycles


class Session:
    """The program in an output folder, an engine, and a second one that checks the first.

    check: None for no second engine, "" for the usual one (the emulator; the oracle beside the emulator), or its name.
    Engines are closed with `stack`. Raises ElastixError for a folder that is not whole, and one engine named twice.
    """

    def __init__(self, folder: Path, engine: str, check: str | None, stack: ExitStack) -> None:
        begun = time.perf_counter()
        self.program = Program.load(folder)
        self.folder, self.engine_name, self._stack = folder, engine, stack
        self.engine = self.chosen = self.engine_for(engine)
        self.checked: CheckedEngine | None = None
        self.checked_against: str | None = None
        if check is not None:
            self.checked_against = second = check or ("oracle" if engine == "emulator" else "emulator")
            if second == engine:
                raise ElastixError(f"--check {second} beside --engine {engine}", wanted="two different engines")
            names = {layer.address: layer.name for layer in self.program.manifest.layers}
            processor = self.program.manifest.processor
            self.chosen = self.checked = CheckedEngine(processor, self.engine, self.engine_for(second), names)
        self._named: dict[str, Engine] = {}
        self._load_seconds = time.perf_counter() - begun

    def engine_for(self, name: str | None) -> Engine:
        """Another engine for the same processor; the chosen one, with its check, where none is named."""
        return self.chosen if name is None else open_engine(name, self.program.manifest.processor, self._stack)

    def use(self, engine: Engine) -> None:
        """Carry out the launches that follow on this engine."""
        if self.program.device.engine is not engine:
            self.program.device.set_engine(engine)

    def use_named(self, name: str | None) -> None:
        """Carry out what follows on the engine of that name, opened once; on the chosen one where none is named."""
        if name is not None and name not in self._named:
            self._named[name] = self.engine_for(name)
        self.use(self.chosen if name is None else self._named[name])

    def must_be_a_language_model(self, do: str = "give --inputs FILE.npz with these arrays") -> None:
        """Raises ElastixError, naming the inputs, where the step does not take a token and its position."""
        inputs = [each.name for each in self.program.inputs]
        if sorted(inputs) != ["ids", "positions"]:
            raise ElastixError(
                f"{self.folder} takes {', '.join(inputs)}, no text",
                wanted="a language model",
                do=do,
            )

    @property
    def manifest(self) -> Manifest:
        """What the folder says of itself."""
        return self.program.manifest

    @property
    def max_context(self) -> int:
        """Tokens that the caches hold."""
        return int(self.program.manifest.model["max_context"])

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        return self.program.manifest.results[0].shape[-1]

    def reset(self) -> None:
        """Empty the caches."""
        self.program.reset()

    @property
    def lanes(self) -> int:
        """Tokens that a run takes at most: compiled steps have one."""
        return 1

    def step(self, tokens: Sequence[int], position: int) -> NDArray[np.float32]:
        """Logits [T, V] after each of T tokens, the first at `position`; a run for each of them."""
        return np.stack([self._step(token, position + after) for after, token in enumerate(tokens)])

    def _step(self, token: int, position: int) -> NDArray[np.float32]:
        if not 0 <= position < self.max_context:
            raise ElastixError(
                f"position {position}",
                wanted=f"0 to {self.max_context - 1}, the rows of the caches",
                do="use a shorter text, or compile with a longer --max-context",
            )
        outputs = self.program.run({"ids": np.array([[token]]), "positions": np.array([position])})
        return outputs[self.program.manifest.results[0].name].reshape(-1)

    @property
    def cycles(self) -> int:
        """Clock cycles that the engine has simulated, 0 if it simulates none."""
        return simulated_cycles(self.engine)

    def figures(self, seconds: dict[str, float]) -> dict[str, Any]:
        """What `--json` prints of every run."""
        return {
            "engine": self.engine_name,
            "checked_against": self.checked_against,
            "launches_compared": self.checked.launches if self.checked else 0,
            "cycles": self.cycles,
            "seconds": {"load": self._load_seconds, **seconds},
            "peak_memory_bytes": peak_memory_bytes(),
        }

    def summary(self) -> str:
        """The engine, the cycles it simulated and what was compared, in a line."""
        parts = [self.engine_name]
        if cycles := self.cycles:
            parts.append(f"{cycles:,} cycles simulated")
        if self.checked:
            parts.append(f"{self.checked.launches} launches equal in every bit to {self.checked_against}")
        return "; ".join(parts)
