"""Where temporaries lie: bytes shared by values whose lifetimes do not meet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

ALIGNMENT: Final = 64
"""Bytes: a cache line, and the processor's activation slots and descriptors."""


def aligned(size: int, alignment: int = ALIGNMENT) -> int:
    """`size` rounded up to a multiple of `alignment`."""
    return -(-size // alignment) * alignment


@dataclass(frozen=True)
class Lifetime:
    """A value of `size` bytes that is written at position `first` and last read at position `last`."""

    size: int
    first: int
    last: int


def place(values: Sequence[Lifetime]) -> tuple[list[int], int]:
    """Offsets of the values, in their order, and the bytes that all of them take.

    Linear scan: values in order of birth, each at the lowest offset that no living one touches. A value lives through
    both its ends, so an op's result never lies on its operands. Offsets are multiples of ALIGNMENT.
    """
    offsets = [0] * len(values)
    alive: list[int] = []
    total = 0
    for index in sorted(range(len(values)), key=lambda i: (values[i].first, i)):
        value = values[index]
        alive = [other for other in alive if values[other].last >= value.first]
        offset = 0
        for other in sorted(alive, key=lambda i: offsets[i]):
            if offsets[other] - offset >= aligned(value.size):
                break
            offset = max(offset, offsets[other] + aligned(values[other].size))
        offsets[index] = offset
        alive.append(index)
        total = max(total, offset + aligned(value.size))
    return offsets, total
