"""Weights of a GGUF file under their Hugging Face names, dequantized one tensor at a time."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from gguf import MODEL_ARCH_NAMES, GGMLQuantizationType, dequantize, get_tensor_name_map
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.block_codes import BlockCodes, NoCodes
from elastix.compiler.importer.gguf_blocks import WITHOUT_CODES, has_codes, read_blocks
from elastix.compiler.importer.gguf_file import GgufFile
from elastix.compiler.importer.store import Array, as_float32, bfloat16_as_float32, no_such_weight

SUPPORTED = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K")

Restore = Callable[[str, Array], Array]


class GgufStore:
    """The tensors of `file` under the names that `names` gives them (GGUF name to Hugging Face name).

    restore: what conversion to GGUF did to the values, undone (for Llama the rows of q and k are permuted back).
    Raises ElastixError if a tensor is of a type that is not in SUPPORTED.
    """

    def __init__(self, file: GgufFile, names: Mapping[str, str], restore: Restore) -> None:
        self._file = file
        self._gguf_names = {ours: theirs for theirs, ours in names.items() if theirs in file.tensors}
        self._restore = restore
        for name, theirs in self._gguf_names.items():
            kind = file.tensors[theirs].kind
            if kind not in SUPPORTED:
                raise ElastixError(
                    f"{name} in {file.path} is stored as {kind}",
                    wanted=", ".join(SUPPORTED),
                    do="convert the model to one of these types",
                )

    def names(self) -> list[str]:
        return list(self._gguf_names)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._file.tensors[self._gguf_name(name)].shape

    def dtype(self, name: str) -> str:
        return self._file.tensors[self._gguf_name(name)].kind

    def read(self, name: str) -> Array:
        theirs = self._gguf_name(name)
        tensor = self._file.tensors[theirs]
        raw = self._file.data[tensor.begin : tensor.end]
        if tensor.kind == "BF16":
            values: Array = bfloat16_as_float32(raw.view("<u2")).reshape(tensor.shape)
        else:
            rows = raw.reshape(*tensor.shape[:-1], -1)
            values = dequantize(rows, GGMLQuantizationType[tensor.kind]).reshape(tensor.shape)
        return as_float32(self._restore(theirs, values))

    def codes(self, name: str) -> BlockCodes | NoCodes:
        """The codes of a matrix, its rows in the order that `restore` gives them."""
        theirs = self._gguf_name(name)
        tensor = self._file.tensors[theirs]
        if not has_codes(tensor.kind):
            return NoCodes(WITHOUT_CODES.get(tensor.kind, f"it is stored as {tensor.kind}"))
        if len(tensor.shape) != 2:
            return NoCodes(f"it has {len(tensor.shape)} dimensions")
        order = self._row_order(theirs, (tensor.shape[0], tensor.shape[1]))
        if order is None:
            return NoCodes("conversion to GGUF did more to it than move rows")
        found = read_blocks(tensor.kind, self._file.data[tensor.begin : tensor.end], tensor.shape[0])
        return found if isinstance(order, slice) else found.rows(order)

    def _row_order(self, theirs: str, shape: tuple[int, int]) -> NDArray[np.intp] | slice | None:
        """Which rows of the file `restore` puts where; None if it does anything else."""
        here = np.broadcast_to(np.arange(shape[0], dtype=np.int32)[:, None], shape)
        moved = self._restore(theirs, here)
        if moved is here:
            return slice(None)
        columns = np.broadcast_to(np.arange(shape[1], dtype=np.int32), shape)
        if moved.dtype != here.dtype or moved.shape != shape or (moved != moved[:, :1]).any():
            return None
        return moved[:, 0].astype(np.intp) if np.array_equal(self._restore(theirs, columns), columns) else None

    def _gguf_name(self, name: str) -> str:
        if name not in self._gguf_names:
            raise no_such_weight(name, str(self._file.path))
        return self._gguf_names[name]


def gguf_names(architecture: str, layers: int, names: Sequence[str]) -> dict[str, str]:
    """GGUF name of each of a model's parameters, as a map from GGUF to Hugging Face names.

    A name is also looked up without its leading parts: some files were written from the model inside another.
    Raises ElastixError for an architecture that the gguf package does not know.
    """
    known = {name: key for key, name in MODEL_ARCH_NAMES.items()}
    if architecture not in known:
        raise ElastixError(
            f"a GGUF file of architecture {architecture}", wanted="one that the gguf package knows", do="update gguf"
        )
    table = get_tensor_name_map(known[architecture], layers)
    found: dict[str, str] = {}
    for name in names:
        stem, dot, suffix = name.rpartition(".")
        if suffix not in ("weight", "bias"):
            stem, dot, suffix = name, "", ""
        parts = stem.split(".")
        spellings = (table.get_name(".".join(parts[i:])) for i in range(len(parts)))
        theirs = next((spelling for spelling in spellings if spelling is not None), None)
        if theirs is not None:
            found.setdefault(theirs + dot + suffix, name)
    return found
