"""Where weights are read from: by name, one tensor at a time, out of memory-mapped files."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError

Array = NDArray[Any]
TRANSPOSED = ".T"


class WeightStore(Protocol):
    """Tensors by name; nothing is read before `read`, and nothing read is kept.

    A name that ends in `.T` is the transposed matrix of the name before it.
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
        """The values: float32, or the stored type if that is an integer or bool; raises ElastixError if there is no such name."""
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
    """Stores seen under the names of a model: each name leads to a store and a name in it; `.T` transposes."""

    def __init__(self, places: Mapping[str, tuple[WeightStore, str]], where: str) -> None:
        self._places = dict(places)
        self._where = where

    def names(self) -> list[str]:
        return list(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        store, there, transposed = self._find(name)
        shape = store.shape(there)
        return shape[::-1] if transposed else shape

    def dtype(self, name: str) -> str:
        store, there, _ = self._find(name)
        return store.dtype(there)

    def read(self, name: str) -> Array:
        store, there, transposed = self._find(name)
        values = store.read(there)
        return np.ascontiguousarray(values.T) if transposed else values

    def _find(self, name: str) -> tuple[WeightStore, str, bool]:
        if name in self._places:
            return *self._places[name], False
        plain = name.removesuffix(TRANSPOSED)
        if plain in self._places:
            return *self._places[plain], True
        raise no_such_weight(name, self._where)


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
    return np.ascontiguousarray(values, dtype=wanted)


def bfloat16_as_float32(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16 bit patterns as float32, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


_SAFETENSORS_NAMES = {"float32": "F32", "float64": "F64", "float16": "F16", "int64": "I64", "int32": "I32", "bool": "BOOL"}
