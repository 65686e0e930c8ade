"""Where weights are read from: by name, one tensor at a time, out of memory-mapped files."""

import re
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.block_codes import BlockCodes, NoCodes, block_codes
from elastix.compiler.importer.hadamard import Float64
from elastix.compiler.importer.views import computes, constant, exactly_seen, last_view, seen, shape_seen

Array = NDArray[Any]
_ROWS = re.compile(r"\[(\d+):(\d+)\]")


class WeightStore(Protocol):
    """Tensors by name; nothing is read before `read`, and nothing read is kept.

    The end of a name may say how its tensor is seen, from left to right: `w.T[4:8]` is rows of the transposed matrix.
    `w.T` is transposed, `w.flat` in one dimension, `w[4:8]` those rows, `w+1` plus one, `w*{n}` with its columns scaled
    by n, `w+{b}` with b added to every row, `w@{b}` the product with b, `w@{H576}` with its rows rotated; n and b are
    names again. `ones64` and `zeros64` are always there. The grammar is in views.py.
    A store of weights that were rounded already may be a StoreOfCodes too (block_codes.py).
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


class ShapeStore:
    """The shapes of a model's weights without any values, which `read` refuses."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
        self._shapes = dict(shapes)
        self._where = where

    def names(self) -> list[str]:
        return list(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        if name not in self._shapes:
            raise no_such_weight(name, self._where)
        return self._shapes[name]

    def dtype(self, name: str) -> str:
        self.shape(name)
        return "F32"

    def read(self, name: str) -> Array:
        self.shape(name)
        raise ElastixError(f"the values of {name}, of a model without weights", wanted="its shape alone")


class NamedStore:
    """Stores seen under the names of a model: each name leads to a store and a name in it; views are taken here."""

    def __init__(self, places: Mapping[str, tuple[WeightStore, str]], where: str) -> None:
        self._places = dict(places)
        self._where = where

    def names(self) -> list[str]:
        return list(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        store, there, views = self._place(name)
        shape = store.shape(there)
        for view in views:
            shape = shape_seen(shape, view, self.shape)
        return shape

    def dtype(self, name: str) -> str:
        store, there, views = self._place(name)
        return "F32" if any(computes(view) for view in views) else store.dtype(there)

    def read(self, name: str) -> Array:
        store, there, views = self._place(name)
        self.shape(name)
        return as_float32(seen(store.read(there), views, self._exact))

    def codes(self, name: str) -> BlockCodes | NoCodes:
        """Codes of a tensor or of rows of it; other views mix or change what shares a scale."""
        store, there, views = self._place(name)
        if other := [view for view in views if not _ROWS.fullmatch(view)]:
            return NoCodes(f"it is used as {other[0]} of what is stored")
        found = block_codes(store, there)
        for view in views:
            if isinstance(found, BlockCodes):
                first, last = view[1:-1].split(":")
                found = found.rows(slice(int(first), int(last)))
        return found

    def _exact(self, name: str) -> Float64:
        """What stands in braces, not rounded."""
        store, there, views = self._place(name)
        return exactly_seen(store.read(there), views, self._exact)

    def _place(self, name: str) -> tuple[WeightStore, str, list[str]]:
        """The store that has the tensor, its name there, and its views from left to right."""
        views: list[str] = []
        while name not in self._places and (found := last_view(name)) is not None:
            name, view = found
            views.insert(0, view)
        if name in self._places:
            return *self._places[name], views
        values = constant(name)
        if values is None:
            raise no_such_weight(name, self._where)
        return ArrayStore({name: values}), name, views


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
