"""A compiled decode step with the engines that were asked for, and what running it cost."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.stages import peak_memory_bytes
from elastix.compiler.step.manifest import is_step_folder, load_step_manifest
from elastix.runtime.step_checked import CheckedStepEngine
from elastix.runtime.step_device import StepDevice
from elastix.runtime.step_engines import StepEngine, open_step_engine
from elastix.runtime.step_lockstep import LockStepEngine
from elastix.tools.session import Session


def open_session(
    folder: Path, engine: str, check: str | None, stack: ExitStack, *, lock_step: bool = False
) -> "Session | StepSession":
    """The session of an output folder, whichever kind it is; arguments as StepSession has them.

    Raises ElastixError for `lock_step` of a folder without a whole decode step.
    """
    if is_step_folder(folder):
        return StepSession(folder, engine, check, stack, lock_step=lock_step)
    if lock_step:
        raise ElastixError(f"--lock-step for {folder}", wanted="a folder that `elastix compile --whole-step` wrote")
    return Session(folder, engine, check, stack)


class StepSession:
    """What Session is, for the output folder of a whole decode step.

    lock_step: compare the RTL with the emulator instruction by instruction; `engine` must be rtl, without a check.
    """

    def __init__(
        self, folder: Path, engine: str, check: str | None, stack: ExitStack, *, lock_step: bool = False
    ) -> None:
        begun = time.perf_counter()
        self.manifest = load_step_manifest(folder)
        self.folder, self.engine_name, self._stack = folder, engine, stack
        self.checked_against: str | None = None
        self.lock_step = self._lock_step(engine, check) if lock_step else None
        self.engine: StepEngine = self.lock_step or self.engine_for(engine)
        self.chosen: StepEngine = self.engine
        self.device = StepDevice.load(folder, self.engine)
        self.checked: CheckedStepEngine | None = None
        if check is not None:
            self.checked_against = second = check or ("oracle" if engine == "emulator" else "emulator")
            if second == engine:
                raise ElastixError(f"--check {second} beside --engine {engine}", wanted="two different engines")
            first = self.manifest.memory.cache_address
            self.chosen = self.checked = CheckedStepEngine(self.engine, self.engine_for(second), first)
        self._named: dict[str, StepEngine] = {}
        self._load_seconds = time.perf_counter() - begun

    def _lock_step(self, engine: str, check: str | None) -> LockStepEngine:
        if engine != "rtl" or check is not None:
            beside = f"--engine {engine}" if check is None else "--check"
            raise ElastixError(f"--lock-step beside {beside}", wanted="--engine rtl, and no other check")
        manifest = self.manifest
        self.checked_against = "emulator"
        return self._stack.enter_context(LockStepEngine(manifest.step_processor, manifest.memory.cache_address))

    def engine_for(self, name: str | None) -> StepEngine:
        """Another engine for the same processor; the chosen one, with its check, where none is named."""
        return self.chosen if name is None else open_step_engine(name, self.manifest.step_processor, self._stack)

    def use(self, engine: StepEngine) -> None:
        """Carry out the steps that follow on this engine."""
        self.device.engine = engine

    def use_named(self, name: str | None) -> None:
        """Carry out what follows on the engine of that name, opened once; on the chosen one where none is named."""
        if name is not None and name not in self._named:
            self._named[name] = self.engine_for(name)
        self.use(self.chosen if name is None else self._named[name])

    def must_be_a_language_model(self, do: str = "") -> None:
        """It is one: other models have no whole decode step."""

    @property
    def max_context(self) -> int:
        """Tokens that the caches hold."""
        return self.device.max_context

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        return self.manifest.vocabulary

    def reset(self) -> None:
        """Empty the caches."""
        self.device.reset()

    @property
    def lanes(self) -> int:
        """M, the tokens that a run takes at most."""
        return self.manifest.step_processor.lanes

    def step(self, tokens: Sequence[int], position: int) -> NDArray[np.float32]:
        """Logits [T, V] after each of T tokens, the first at `position`; M tokens a run."""
        return self.device.step(tokens, position).logits

    def figures(self, seconds: dict[str, float]) -> dict[str, Any]:
        """What `--json` prints of every run."""
        return {
            "engine": self.engine_name,
            "checked_against": self.checked_against,
            "steps_compared": self._compared(),
            "instructions_compared": self.lock_step.instructions if self.lock_step else 0,
            "cycles": self.cycles,
            "seconds": {"load": self._load_seconds, **seconds},
            "peak_memory_bytes": peak_memory_bytes(),
        }

    def _compared(self) -> int:
        checking = self.lock_step or self.checked
        return checking.runs if checking else 0

    @property
    def cycles(self) -> int:
        """Clock cycles that the engine has simulated, 0 if it simulates none."""
        return int(getattr(self.engine, "cycles", 0))

    def summary(self) -> str:
        """The engine, the cycles it simulated and what was compared, in a line."""
        parts = [self.engine_name]
        if cycles := self.cycles:
            parts.append(f"{cycles:,} cycles simulated")
        if self.checked_against:
            parts.append(f"{self._compared()} steps equal in every bit to {self.checked_against}")
        if self.lock_step:
            parts.append(f"and {self.lock_step.instructions:,} instructions in every write")
        return "; ".join(parts)
