"""Logits of a compiled language model on text: every token goes through the compiled step."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class CompiledLogits:
    """As `evaluate_score.Logits` says; every window begins with empty caches.

    step: logits [T, V] after T tokens from a position on, earlier ones being in the caches; reset: empties them.
    """

    def __init__(
        self,
        step: Callable[[Sequence[int], int], NDArray[np.float32]],
        reset: Callable[[], None],
        pieces: Sequence[Sequence[int]],
    ) -> None:
        self._step, self._reset, self._pieces = step, reset, pieces

    def rows(self, window: int, begin: int, end: int) -> Tensor:
        """Logits after the positions begin … end − 1: fp32 [end − begin, V]."""
        if begin == 0:
            self._reset()
        return torch.tensor(self._step(self._pieces[window][begin:end], begin))
