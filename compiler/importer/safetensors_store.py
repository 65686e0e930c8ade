"""Weights of a Hugging Face folder: one safetensors file, or several with an index."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.store import Array, NamedStore, as_float32, bfloat16_as_float32, no_such_weight

_TYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


@dataclass(frozen=True)
class _Entry:
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class SafetensorsStore:
    """One file: 8 bytes of header length, a JSON header, the tensors; https://huggingface.co/docs/safetensors.

    Raises ElastixError if the file is missing, is not safetensors, or is shorter than its header says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries, self._data = _open(path)

    def names(self) -> list[str]:
        return list(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._entry(name).shape

    def dtype(self, name: str) -> str:
        return self._entry(name).dtype

    def read(self, name: str) -> Array:
        entry = self._entry(name)
        if entry.dtype not in _TYPES:
            raise ElastixError(
                f"{name} in {self.path} is stored as {entry.dtype}",
                wanted=" or ".join(_TYPES),
                do="convert the checkpoint to one of these types",
            )
        values: Array = self._data[entry.begin : entry.end].view(_TYPES[entry.dtype]).reshape(entry.shape)
        return bfloat16_as_float32(values) if entry.dtype == "BF16" else as_float32(values)

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            raise no_such_weight(name, str(self.path))
        return self._entries[name]


def open_folder(folder: Path) -> NamedStore | SafetensorsStore:
    """The weights of a folder: `model.safetensors`, or the files that `model.safetensors.index.json` names."""
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return SafetensorsStore(folder / "model.safetensors")
    try:
        weight_map = cast(dict[str, str], json.loads(index.read_text())["weight_map"])
    except (ValueError, KeyError, TypeError) as error:
        raise _not_safetensors(index, "no weight_map") from error
    shards = {file: SafetensorsStore(folder / file) for file in dict.fromkeys(weight_map.values())}
    for name, file in weight_map.items():
        shards[file].shape(name)
    return NamedStore({name: (shards[file], name) for name, file in weight_map.items()}, str(folder))


def _open(path: Path) -> tuple[dict[str, _Entry], np.memmap[Any, np.dtype[np.uint8]]]:
    if not path.exists():
        raise ElastixError(
            f"no file {path}",
            wanted="a folder with config.json and model.safetensors, or a GGUF file",
            do="check the path",
        )
    if path.stat().st_size < 8:
        raise _not_safetensors(path, "shorter than 8 bytes")
    data = np.memmap(path, dtype=np.uint8, mode="r")
    length = int(data[:8].view(np.uint64)[0])
    if length > len(data) - 8:
        raise _not_safetensors(path, f"{len(data)} bytes long with a header of {length} bytes")
    try:
        header = cast(dict[str, Any], json.loads(bytes(data[8 : 8 + length])))
        entries = {
            name: _Entry(
                dtype=str(entry["dtype"]),
                shape=tuple(int(n) for n in entry["shape"]),
                begin=8 + length + int(entry["data_offsets"][0]),
                end=8 + length + int(entry["data_offsets"][1]),
            )
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _not_safetensors(path, "its header is not readable") from error
    for name, entry in entries.items():
        _check(path, name, entry, len(data))
    return entries, data


def _check(path: Path, name: str, entry: _Entry, size: int) -> None:
    if entry.end > size:
        raise ElastixError(
            f"{path} is truncated: {size} bytes, {name} ends at {entry.end}",
            wanted="the whole file",
            do="download it again",
        )
    kind = _TYPES.get(entry.dtype)
    if kind is not None and entry.end - entry.begin != np.dtype(kind).itemsize * int(
        np.prod(entry.shape, dtype=np.int64)
    ):
        raise _not_safetensors(path, f"the size of {name} does not follow from its shape")


def _not_safetensors(path: Path, why: str) -> ElastixError:
    return ElastixError(
        f"{path} is not a safetensors file: {why}", wanted="a complete checkpoint", do="download it again"
    )
