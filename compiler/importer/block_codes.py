"""The integer codes of weights that a file stores already rounded, before anything is made of them."""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class BlockCodes:
    """Rows of a matrix as stored: w[r, k] = scale[r, g]·q[r, k] + offset[r, g], g = k div group, in float32.

    bits: 1 … 8; group: columns that share scale and offset, the last group of a row may be short; q: uint8 [N, K];
    scale, offset: float32 [N, groups], of either sign; kind: what the file calls it, `Q4_1` or `GPTQ`.
    An offset and not a zero point: files that store minima (Q4_1) have none that is exact.
    """

    bits: int
    group: int
    q: NDArray[np.uint8]
    scale: F32
    offset: F32
    kind: str

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.q.shape[0], self.q.shape[1]

    def rows(self, which: slice | NDArray[np.intp]) -> "BlockCodes":
        """Some of the rows, in the order given."""
        return replace(self, q=self.q[which], scale=self.scale[which], offset=self.offset[which])

    def values(self) -> F32:
        """The weights as the file means them: float32 [N, K], the product exact, the sum rounded once."""
        group: NDArray[np.intp] = np.arange(self.shape[1]) // self.group
        return self.scale[:, group] * self.q + self.offset[:, group]


@dataclass(frozen=True)
class NoCodes:
    """Why a weight has no codes that could be kept; the end of a sentence that begins `rounded anew: `."""

    reason: str


@runtime_checkable
class StoreOfCodes(Protocol):
    """A weight store (store.py) that can tell the codes of what it holds."""

    def codes(self, name: str) -> BlockCodes | NoCodes:
        """Codes of a matrix, read now and not kept; raises ElastixError if there is no such name."""
        ...


def block_codes(store: object, name: str) -> BlockCodes | NoCodes:
    """The codes of a weight of any store; most know of none."""
    return store.codes(name) if isinstance(store, StoreOfCodes) else NoCodes("the file has no codes")
