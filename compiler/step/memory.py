"""Where everything of a step program lies in memory: weights, constants, programs, caches, logits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.arena import aligned
from elastix.compiler.errors import ElastixError
from elastix.compiler.image import ImageLayout, LayerPlace, ParameterPlace, Weights
from elastix.compiler.processor.step.parameters import StepParameters

PAGE: Final = 4096
SCALE_BYTES: Final = 2


@dataclass(frozen=True)
class CachePlace:
    """A cache of keys or values: `heads` heads one after the other, each its rows of codes and then their scales."""

    name: str
    address: int
    heads: int
    codes_bytes: int
    head_bytes: int

    @classmethod
    def of(cls, name: str, address: int, parameters: StepParameters) -> "CachePlace":
        codes = aligned(parameters.max_context * parameters.row_bytes)
        # A beat more than the scales take, as a reader asks for whole beats.
        scales = aligned(parameters.max_context * SCALE_BYTES) + parameters.beat // 8
        return cls(name, address, parameters.kv_heads, codes, aligned(codes + scales))

    @property
    def bytes(self) -> int:
        return self.heads * self.head_bytes

    def rows(self, head: int) -> int:
        """Byte address of the head's row 0; its scale lies `codes_bytes` further."""
        return self.address + head * self.head_bytes


@dataclass(frozen=True)
class StepMemory:
    """Regions of the device's memory, in bytes: the image from 0, then caches, logits, and last the program.

    logits_stride: from token to token.
    """

    image: ImageLayout
    caches: tuple[CachePlace, ...]
    logits_address: int
    logits_stride: int
    program_address: int

    def layer(self, name: str) -> LayerPlace:
        return next(each for each in self.image.layers if each.name == name)

    def parameter(self, name: str) -> ParameterPlace:
        return next(each for each in self.image.parameters if each.name == name)

    def cache(self, name: str) -> CachePlace:
        return next(each for each in self.caches if each.name == name)


class WithComputed:
    """A weight store and some tensors that the compiler computed, by name; a computed one hides a stored one."""

    def __init__(self, store: Weights, computed: Mapping[str, NDArray[np.float32]]) -> None:
        self._store, self._computed = store, computed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._computed[name].shape if name in self._computed else self._store.shape(name)

    def dtype(self, name: str) -> str:
        return "F32" if name in self._computed else self._store.dtype(name)

    def read(self, name: str) -> NDArray[Any]:
        return self._computed[name] if name in self._computed else self._store.read(name)


def rope_table(
    inv_freq: NDArray[np.float32], positions: int, scaling: float, query_scale: np.float32
) -> NDArray[np.float32]:
    """Rows of 4·Dh values for positions 0 …: C and S of keys, then of queries (C20).

    inv_freq: Dh/2. query_scale: RNE(scale × log2 e). The sines are computed in float64.
    """
    if not np.all(np.isfinite(inv_freq)):
        raise ElastixError("rope frequencies that are not finite", wanted="numbers")
    angles = np.arange(positions, dtype=np.float64)[:, None] * inv_freq.astype(np.float64)
    cosine = (np.cos(angles) * scaling).astype(np.float32)
    sine = (np.sin(angles) * scaling).astype(np.float32)
    keys = np.concatenate([cosine, cosine, -sine, sine], axis=1)
    return np.concatenate([keys, keys * query_scale], axis=1)
