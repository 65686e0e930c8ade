"""Greedy decoding: the loop over tokens, which is all that Python does at run time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError

Step = Callable[[Sequence[int], int], NDArray[np.float32]]
"""(token ids, position of the first) → logits [T, V]."""


class CacheFull(ElastixError):
    """An answer that goes on beyond the cache; what came of it before is right."""


@dataclass(frozen=True)
class Decoded:
    """The token at a position of the text; `prompt`: it has been read, and all before it; else the model chose it."""

    token: int
    position: int
    prompt: bool


def in_pieces(prompt: Sequence[int], at_once: int, *, last_alone: bool = False) -> list[list[int]]:
    """The prompt in as few pieces of at most `at_once` tokens as there can be. last_alone: the last is but one token.

    Raises ElastixError if the prompt is empty.
    """
    if not prompt:
        raise ElastixError("an empty prompt", wanted="at least one token", do="give --prompt or --ids")
    whole = len(prompt) - last_alone
    pieces = [list(prompt[at : min(at + at_once, whole)]) for at in range(0, whole, at_once)]
    return pieces + [[prompt[-1]]] * last_alone


def greedy(
    step: Step, prompt: Sequence[Sequence[int]], tokens: int, *, max_context: int, end: frozenset[int] = frozenset()
) -> Iterator[Decoded]:
    """Read the prompt, a piece a step, yielding the last token of each; then up to `tokens` ids, each the arg max.

    The lowest of those that tie; stops before an id of `end`. Raises ElastixError at once if the prompt does not fit
    the cache, CacheFull after the last token whose predecessor still does.
    """
    length = sum(map(len, prompt))
    if length > max_context:
        raise ElastixError(
            f"{length} tokens of prompt",
            wanted=f"at most {max_context}, the length of the cache",
            do="shorten the prompt, or compile with a larger --max-context",
        )
    position, logits = 0, np.empty((0, 0), np.float32)
    for piece in prompt:
        logits = step(piece, position)
        position += len(piece)
        yield Decoded(piece[-1], position - 1, True)
    for count in range(1, tokens + 1):
        token = int(np.argmax(logits[-1]))
        if token in end:
            return
        yield Decoded(token, position, False)
        if count == tokens:
            return
        if position == max_context:
            raise CacheFull(
                f"{count} of {tokens} tokens of answer after {length} of prompt, and the cache is full",
                wanted=f"at most {max_context} tokens in the cache",
                do="ask for fewer with --tokens, or compile with a larger --max-context",
            )
        logits = step([token], position)
        position += 1
