"""Where weights are read from: by name, one tensor at a time, out of memory-mapped files."""

import re
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError

Array = NDArray[Any]
_VIEW = re.compile(r"(.+)(\.T|\.flat|\+1|\[\d+:\d+\])")


class WeightStore(Protocol):
    """Tensors by name; nothing is read before `read`, and nothing read is kept.

    The end of a name may say how its tensor is seen: `w.T` transposed, `w.flat` in one dimension, `w[4:8]` those rows,
    `w+1` plus one; from left to right, so `w.T[4:8]` is rows of the transposed matrix.
    """

    def names(self) -> list[str]:
        """All names, in the order of the file."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor; raises ElastixError if there is no such name."""
        ...

    def dtype(self, name: str) -> str:
        """How the tensor is stored: `F32`, `BF16`, `Q4_1`, …"""
        ...

    def read(self, name: str) -> Array:
        """Values as float32, or the stored type of integers and bools; raises ElastixError if there is no such name."""
        ...


def no_such_weight(name: str, where: str) -> ElastixError:
    """The error for a name that a store lacks."""
    return ElastixError(
        f"no weight named {name} in {where}",
        wanted="a checkpoint of the same model",
        do="compare its names with the model's configuration",
    )


class ArrayStore:
    """Arrays in memory, or functions that make them: computed buffers, the initializers of an ONNX file."""

    def __init__(self, arrays: Mapping[str, Array], where: str = "memory") -> None:
        self._arrays = dict(arrays)
        self._where = where

    def names(self) -> list[str]:
        return list(self._arrays)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._get(name).shape)

    def dtype(self, name: str) -> str:
        return _SAFETENSORS_NAMES.get(str(self._get(name).dtype), str(self._get(name).dtype))

    def read(self, name: str) -> Array:
        return as_float32(self._get(name))

    def _get(self, name: str) -> Array:
        if name not in self._arrays:
            raise no_such_weight(name, self._where)
        return self._arrays[name]


class NamedStore:
    """Stores seen under the names of a model: each name leads to a store and a name in it; views are taken here."""

    def __init__(self, places: Mapping[str, tuple[WeightStore, str]], where: str) -> None:
        self._places = dict(places)
        self._where = where

    def names(self) -> list[str]:
        return list(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        if name in self._places:
            store, there = self._places[name]
            return store.shape(there)
        of, view = self._view(name)
        # An array that takes no memory has the shape that the view gives.
        return tuple(_seen(np.broadcast_to(np.float32(0), self.shape(of)), view).shape)

    def dtype(self, name: str) -> str:
        if name in self._places:
            store, there = self._places[name]
            return store.dtype(there)
        return self.dtype(self._view(name)[0])

    def read(self, name: str) -> Array:
        if name in self._places:
            store, there = self._places[name]
            return store.read(there)
        of, view = self._view(name)
        return as_float32(_seen(self.read(of), view))

    def _view(self, name: str) -> tuple[str, str]:
        found = _VIEW.fullmatch(name)
        if found is None:
            raise no_such_weight(name, self._where)
        return found[1], found[2]


def _seen(values: Array, view: str) -> Array:
    match view:
        case ".T":
            return values.T
        case ".flat":
            return values.reshape(-1)
        case "+1":
            return values + np.float32(1)
        case _:
            first, last = view[1:-1].split(":")
            return values[int(first) : int(last)]


def merge(*stores: WeightStore, where: str) -> NamedStore:
    """One store with the names of all; the first that has a name gives it."""
    places: dict[str, tuple[WeightStore, str]] = {}
    for store in stores:
        for name in store.names():
            places.setdefault(name, (store, name))
    return NamedStore(places, where)


def as_float32(values: Array) -> Array:
    """Floating values as contiguous float32; integers and bools keep their type."""
    wanted = np.float32 if values.dtype.kind == "f" else values.dtype
    return np.asarray(values, dtype=wanted, order="C")


def bfloat16_as_float32(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16 bit patterns as float32, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


_SAFETENSORS_NAMES = {
    "float32": "F32",
    "float64": "F64",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "bool": "BOOL",
}
