"""Logits of a compiled language model on text: every token goes through the compiled step."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class CompiledLogits:
    """As `evaluate_score.Logits` says; every window begins with empty caches.

    step: logits [V] after a token at a position, earlier positions being in the caches; reset: empties them.
    """

    def __init__(
        self,
        step: Callable[[int, int], NDArray[np.float32]],
        reset: Callable[[], None],
        pieces: Sequence[Sequence[int]],
    ) -> None:
        self._step, self._reset, self._pieces = step, reset, pieces

    def rows(self, window: int, begin: int, end: int) -> Tensor:
        """Logits after the positions begin … end − 1: fp32 [end − begin, V]."""
        if begin == 0:
            self._reset()
        piece = self._pieces[window]
        return torch.tensor(np.stack([self._step(piece[at], at) for at in range(begin, end)]))
