"""The header of a GGUF file, read without its long arrays: metadata, and where each tensor lies.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The vocabulary is stepped over, not decoded, which
makes opening a file a matter of milliseconds.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from elastix.compiler.errors import ElastixError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_ALIGNMENT = 32


@dataclass(frozen=True)
class GgufTensor:
    """Where one tensor lies: shape as torch has it (rows first), bytes begin … end of the file."""

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class GgufField:
    """One metadata value: a scalar or string, or the length of an array; begin … end: its bytes with key and type."""

    value: Any
    is_array: bool
    begin: int
    end: int


class GgufFile:
    """An open GGUF file.

    Raises ElastixError if it is missing, not GGUF, truncated, or holds a type that the gguf package does not know.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ElastixError(f"no file {path}", wanted="a GGUF file", do="check the path")
        if path.stat().st_size < 24:
            raise _truncated(path, path.stat().st_size)
        self.path = path
        self.data = np.memmap(path, dtype=np.uint8, mode="r")
        self._bytes = memoryview(self.data)  # pyright: ignore[reportArgumentType]  (numpy arrays are buffers)
        if bytes(self._bytes[:4]) != _MAGIC:
            raise ElastixError(f"{path} does not begin with GGUF", wanted="a GGUF file", do="check the path")
        self.version, tensor_count, field_count = struct.unpack_from("<IQQ", self._bytes, 4)
        if self.version not in _VERSIONS:
            raise ElastixError(f"{path} is GGUF version {self.version}", wanted="version 2 or 3", do="convert it again")
        try:
            self.fields, at = self._read_fields(24, field_count)
            self.tensors = self._read_tensors(at, tensor_count)
        except (struct.error, UnicodeDecodeError, IndexError) as error:
            raise _truncated(path, len(self.data)) from error
        for tensor in self.tensors.values():
            if tensor.end > len(self.data):
                raise _truncated(path, len(self.data))

    def config_bytes(self) -> bytes:
        """A GGUF file of the same metadata without the tokenizer's arrays, its tensors one number each.

        The vocabulary's size stands in the metadata instead. transformers reads the configuration from it far faster.
        """
        architecture = str(self.fields["general.architecture"].value)
        kept = [
            bytes(self._bytes[f.begin : f.end])
            for key, f in self.fields.items()
            if not key.startswith("tokenizer.") or not f.is_array
        ]
        size_key, tokens = f"{architecture}.vocab_size", self.fields.get("tokenizer.ggml.tokens")
        if size_key not in self.fields and tokens is not None:
            kept.append(_string(size_key) + struct.pack("<II", 4, tokens.value))
        tensors = [_string(name) + struct.pack("<IQIQ", 1, 1, 0, 0) for name in self.tensors]
        head = _MAGIC + struct.pack("<IQQ", self.version, len(tensors), len(kept)) + b"".join(kept) + b"".join(tensors)
        alignment = self._alignment()
        return head + bytes(-len(head) % alignment + max(alignment, 4))

    def _alignment(self) -> int:
        field = self.fields.get("general.alignment")
        return int(field.value) if field is not None else _ALIGNMENT

    def _read_fields(self, at: int, count: int) -> tuple[dict[str, GgufField], int]:
        fields: dict[str, GgufField] = {}
        for _ in range(count):
            begin = at
            key, at = self._read_string(at)
            (kind,) = struct.unpack_from("<I", self._bytes, at)
            value, at = self._read_value(kind, at + 4)
            fields[key] = GgufField(value, kind == _ARRAY, begin, at)
        return fields, at

    def _read_value(self, kind: int, at: int) -> tuple[Any, int]:
        if kind == _STRING:
            return self._read_string(at)
        if kind == _ARRAY:
            return self._skip_array(at)
        form = _SCALARS.get(kind)
        if form is None:
            raise ElastixError(
                f"{self.path} has metadata of type {kind}", wanted="a type of GGUF version 3", do="convert it again"
            )
        return struct.unpack_from(form, self._bytes, at)[0], at + struct.calcsize(form)

    def _skip_array(self, at: int) -> tuple[int, int]:
        kind, length = struct.unpack_from("<IQ", self._bytes, at)
        at += 12
        if kind in _SCALARS:
            return length, at + length * struct.calcsize(_SCALARS[kind])
        step = struct.Struct("<Q")
        for _ in range(length):
            if kind == _STRING:
                at += 8 + step.unpack_from(self._bytes, at)[0]
            else:
                _, at = self._read_value(kind, at)
        return length, at

    def _read_string(self, at: int) -> tuple[str, int]:
        (length,) = struct.unpack_from("<Q", self._bytes, at)
        if length > len(self.data) - at:
            raise _truncated(self.path, len(self.data))
        return bytes(self._bytes[at + 8 : at + 8 + length]).decode(), at + 8 + length

    def _read_tensors(self, at: int, count: int) -> dict[str, GgufTensor]:
        infos: list[tuple[str, tuple[int, ...], int, int]] = []
        for _ in range(count):
            name, at = self._read_string(at)
            (rank,) = struct.unpack_from("<I", self._bytes, at)
            shape = struct.unpack_from(f"<{rank}Q", self._bytes, at + 4)[::-1]
            kind, offset = struct.unpack_from("<IQ", self._bytes, at + 4 + 8 * rank)
            at += 16 + 8 * rank
            infos.append((name, shape, kind, offset))
        base = at + (-at % self._alignment())
        return {name: self._place(name, shape, kind, base + offset) for name, shape, kind, offset in infos}

    def _place(self, name: str, shape: tuple[int, ...], kind: int, begin: int) -> GgufTensor:
        try:
            known = GGMLQuantizationType(kind)
        except ValueError as error:
            raise ElastixError(
                f"{name} in {self.path} is of GGUF type {kind}", wanted="a known type", do="update gguf"
            ) from error
        block, size = GGML_QUANT_SIZES[known]
        return GgufTensor(known.name, shape, begin, begin + int(np.prod(shape, dtype=np.int64)) // block * size)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _truncated(path: Path, size: int) -> ElastixError:
    return ElastixError(f"{path} is truncated: {size} bytes", wanted="the whole file", do="download it again")
