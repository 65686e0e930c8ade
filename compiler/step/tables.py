"""Tables that the compiler computes beside the stored weights: rows by position, which LOAD takes with a stride."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.arena import aligned
from elastix.compiler.errors import ElastixError
from elastix.compiler.image import Weights
from elastix.compiler.importer.block_codes import BlockCodes, NoCodes, block_codes

F32 = NDArray[np.float32]
ROPE: Final = "rope"
"""Name of the rope table."""
_ROW: Final = 16
"""Elements: a row begins at a multiple of 64 bytes."""


@dataclass(frozen=True)
class RopeTable:
    """Rows of C20: cosines and sines of keys, then of queries, 4·Dh values a position.

    inv_freq: name of the Dh/2 frequencies. query_scale: RNE(scale × log2 e).
    """

    inv_freq: str
    scaling: float
    query_scale: float
    positions: int
    head_dim: int

    @property
    def name(self) -> str:
        return ROPE

    @property
    def shape(self) -> tuple[int, int]:
        return self.positions, 4 * self.head_dim

    def values(self, store: Weights) -> F32:
        """The table; the sines are computed in float64. Raises ElastixError for frequencies that are not finite."""
        frequencies = np.asarray(store.read(self.inv_freq), np.float32)
        if not np.all(np.isfinite(frequencies)):
            raise ElastixError(f"{self.inv_freq} is not finite", wanted="rope frequencies that are numbers")
        angles = np.arange(self.positions, dtype=np.float64)[:, None] * frequencies.astype(np.float64)
        cosine = (np.cos(angles) * self.scaling).astype(np.float32)
        sine = (np.sin(angles) * self.scaling).astype(np.float32)
        keys = np.concatenate([cosine, cosine, -sine, sine], axis=1)
        return np.concatenate([keys, keys * np.float32(self.query_scale)], axis=1)


@dataclass(frozen=True)
class PositionTable:
    """Learned positions: the first rows of a stored table in fp32, zeros behind each so that all begin at 64 bytes."""

    weight: str
    positions: int
    columns: int

    @property
    def name(self) -> str:
        return f"{self.weight}[0:{self.positions}]"

    @property
    def shape(self) -> tuple[int, int]:
        return self.positions, aligned(self.columns, _ROW)

    def values(self, store: Weights) -> F32:
        """The table."""
        rows = np.asarray(store.read(self.weight), np.float32)[: self.positions]
        return np.pad(rows, ((0, 0), (0, self.shape[1] - self.columns)))


Table = RopeTable | PositionTable


class WithTables:
    """A weight store and tables of ours by name; a table hides a tensor of the same name."""

    def __init__(self, store: Weights, tables: Mapping[str, F32]) -> None:
        self._store, self._tables = store, tables

    def shape(self, name: str) -> tuple[int, ...]:
        return self._tables[name].shape if name in self._tables else self._store.shape(name)

    def dtype(self, name: str) -> str:
        return "F32" if name in self._tables else self._store.dtype(name)

    def read(self, name: str) -> NDArray[Any]:
        return self._tables[name] if name in self._tables else self._store.read(name)

    def codes(self, name: str) -> BlockCodes | NoCodes:
        return NoCodes("it is computed") if name in self._tables else block_codes(self._store, name)
