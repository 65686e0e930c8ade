"""Greedy decoding: the loop over tokens, which is all that Python does at run time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError

Step = Callable[[int, int], NDArray[np.float32]]
"""(token id, position) → logits [V]."""


@dataclass(frozen=True)
class Decoded:
    """One token chosen after the one at `position`; `prompt`: it is the prompt's next, not the model's choice."""

    token: int
    position: int
    prompt: bool


def greedy(
    step: Step, prompt: list[int], tokens: int, *, max_context: int, end: frozenset[int] = frozenset()
) -> Iterator[Decoded]:
    """Read the prompt, then yield up to `tokens` ids, each the arg max (lowest on a tie); stops before an id of `end`.

    Raises ElastixError at once if the prompt is empty or prompt and answer do not fit the cache.
    """
    if not prompt:
        raise ElastixError("an empty prompt", wanted="at least one token", do="give --prompt or --ids")
    if len(prompt) + tokens > max_context:
        raise ElastixError(
            f"{len(prompt)} tokens of prompt and {tokens} to come",
            wanted=f"at most {max_context} together, the length of the cache",
            do="ask for fewer with --tokens, or compile with a larger --max-context",
        )
    token = prompt[0]
    for position in range(len(prompt) + tokens - 1):
        logits = step(token, position)
        reading = position + 1 < len(prompt)
        token = prompt[position + 1] if reading else int(np.argmax(logits))
        if not reading and token in end:
            return
        yield Decoded(token, position, reading)
