"""Figures of a language model on a text: how well it predicts it, and how far it is from a reference."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

from elastix.compiler.errors import ElastixError

ROWS_AT_ONCE: Final = 64
"""Positions whose logits are in memory together; scoring holds a few copies of them in float64."""


@dataclass(frozen=True)
class Quality:
    """Of a model, and of what it is compared with, where it is.

    tokens: scored; nll: nats a token; reference_nll: of the reference; kl: mean KL(reference ‖ model), nats; top1:
    share of positions where both find the same token likeliest.
    """

    tokens: int
    nll: float
    reference_nll: float
    kl: float
    top1: float


class Logits(Protocol):
    """A model's answers to a text's windows; asked for in order, window by window, from the first position on."""

    def rows(self, window: int, begin: int, end: int) -> Tensor:
        """Logits after the positions begin … end − 1 of a window: fp32 [end − begin, V]."""
        ...


class Score:
    """Adds up: NLL of each next token in the windows, KL and top 1 at every position. Sums are in float64."""

    def __init__(self) -> None:
        self._scored = self._positions = self._same = 0
        self._nll = self._reference_nll = self._kl = 0.0

    def add(self, following: Sequence[int], reference: Tensor, found: Tensor) -> None:
        """Logits [T, V] at neighbouring positions and the tokens that follow them, T, or T − 1 at a window's end."""
        for begin in range(0, len(found), ROWS_AT_ONCE):
            here = slice(begin, begin + ROWS_AT_ONCE)
            self._add(torch.tensor(following[here], dtype=torch.int64), reference[here], found[here])

    def _add(self, following: Tensor, reference: Tensor, found: Tensor) -> None:
        p, q = torch.log_softmax(reference.double(), -1), torch.log_softmax(found.double(), -1)
        count = len(following)
        self._reference_nll -= float(p[:count].gather(1, following[:, None]).sum())
        self._nll -= float(q[:count].gather(1, following[:, None]).sum())
        self._kl += float((p.exp() * (p - q)).sum())
        self._same += int((reference.argmax(-1) == found.argmax(-1)).sum())
        self._scored, self._positions = self._scored + count, self._positions + len(found)

    def quality(self) -> Quality:
        """The means; raises ElastixError where nothing was predicted."""
        if not self._scored:
            raise ElastixError("a text of fewer than two tokens", wanted="something to predict")
        nll, reference_nll = self._nll / self._scored, self._reference_nll / self._scored
        return Quality(self._scored, nll, reference_nll, self._kl / self._positions, self._same / self._positions)


def score(
    pieces: Sequence[Sequence[int]],
    found: Logits,
    reference: Logits | None = None,
    advance: Callable[[float], None] = lambda _: None,
) -> Quality:
    """The quality of a model on windows; without a reference it is its own, and KL is 0.

    Both have one vocabulary. advance: called with the number of tokens done.
    """
    total = Score()
    for window, piece in enumerate(pieces):
        for begin in range(0, len(piece), ROWS_AT_ONCE):
            end = min(begin + ROWS_AT_ONCE, len(piece))
            logits = found.rows(window, begin, end)
            beside = logits if reference is None else reference.rows(window, begin, end)
            total.add(piece[begin + 1 : end + 1], beside, logits)
            advance(end - begin)
    return total.quality()


def perplexity(nll: float) -> float:
    """e^nll; infinite where that is beyond float64."""
    return math.exp(nll) if nll < 700 else math.inf
