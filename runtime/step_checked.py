"""Two engines of a step processor side by side: every run on both, and every bit of what they leave compared."""

from collections.abc import Sequence

import numpy as np

from elastix.compiler.errors import ElastixError
from elastix.runtime.step import StepResult
from elastix.runtime.step_engines import Memory, StepEngine


class CheckedStepEngine:
    """Runs a second engine on a memory of its own, and compares both memories from byte `first` on after every run.

    first: where caches begin; logits and whatever else runs write lie behind. runs: how many were compared.
    """

    def __init__(self, engine: StepEngine, second: StepEngine, first: int) -> None:
        self.engine, self.second, self.first = engine, second, first
        self.runs = 0
        self._own: Memory | None = None

    def run(self, memory: Memory, program: int, tokens: Sequence[int], position: int) -> StepResult:
        """As StepEngine.run. Raises ElastixError, naming position and place, where a bit differs."""
        if self._own is None or len(self._own) != len(memory):
            self._own = memory.copy()
        self._own[self.first :] = memory[self.first :]
        found = self.engine.run(memory, program, tokens, position)
        other = self.second.run(self._own, program, tokens, position)
        different = np.flatnonzero(memory[self.first :] != self._own[self.first :])
        if len(different) or found.arg_max != other.arg_max:
            at = f"byte {self.first + int(different[0]):#x} of memory" if len(different) else "arg max"
            raise ElastixError(
                f"two engines differ at position {position}: {at}, {len(different)} bytes in all",
                wanted="every bit alike",
                do="compare them instruction by instruction",
            )
        self.runs += 1
        return found
