"""Checkpoints of Hugging Face whose linear layers are packed integers: GPTQ and AWQ.

For each packed layer `X` the files hold `X.qweight`, `X.qzeros` (int32 words of codes), `X.scales` (fp16) and, for
GPTQ, `X.g_idx`, the group of each column. They are seen here as what the model calls them: `X.weight`, [N, K], with
w = scale·(q − zero).

- GPTQ packs along the columns: qweight [K·b/32, N], qzeros [groups, N·b/32], codes one after the other from the lowest
  bit on, a 3-bit code perhaps across two words. https://github.com/AutoGPTQ/AutoGPTQ (`nn_modules/qlinear/
  qlinear_cuda.py`, `pack`). Its first checkpoint format stores zero points less one; `gptq_v2` stores them as they are.
  https://github.com/ModelCloud/GPTQModel (`utils/model.py`, `convert_gptq_v1_to_v2_format_module`).
- AWQ packs along the rows: qweight [K, N/8], qzeros [groups, N/8], of 4 bits, the codes of a word in the order
  0 2 4 6 1 3 5 7. https://github.com/casper-hansen/AutoAWQ (`utils/packing_utils.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.block_codes import BlockCodes, NoCodes, block_codes
from elastix.compiler.importer.store import Array, WeightStore, no_such_weight

Codes = NDArray[np.uint8]
Words = NDArray[np.uint32]
AWQ_ORDER: Final = (0, 2, 4, 6, 1, 3, 5, 7)
_PARTS: Final = ("qweight", "qzeros", "scales", "g_idx")


@dataclass(frozen=True)
class Packing:
    """How the linear layers of a checkpoint are packed.

    method: `gptq` or `awq`; bits: of a code; group: columns that share a scale, −1 for all of a row;
    zeros_less_one: stored zero points are one too small.
    """

    method: str
    bits: int
    group: int
    zeros_less_one: bool

    @classmethod
    def of(cls, config: Mapping[str, Any], where: str) -> "Packing":
        """Read `quantization_config` of a config.json; raises ElastixError, naming the field, for any other packing."""
        method = str(config.get("quant_method", ""))
        if method not in _BITS:
            raise _unknown(where, "quant_method", method or None, "gptq or awq")
        bits, group = config.get("bits"), config.get("group_size", 128)
        if not isinstance(bits, int) or bits not in _BITS[method]:
            raise _unknown(where, "bits", bits, " or ".join(map(str, _BITS[method])))
        if not isinstance(group, int) or (group != -1 and group < 1):
            raise _unknown(where, "group_size", group, "a number of columns, or -1")
        if method == "awq":
            _check(config, "version", "gemm", ("gemm",), where)
            return cls(method, bits, group, False)
        layout = _check(config, "checkpoint_format", "gptq", ("gptq", "gptq_v2"), where)
        return cls(method, bits, group, layout == "gptq")


_BITS: Final = {"gptq": (2, 3, 4, 8), "awq": (4,)}


def _check(config: Mapping[str, Any], field: str, default: str, known: tuple[str, ...], where: str) -> str:
    found = str(config.get(field) or default).lower()
    if found not in known:
        raise _unknown(where, field, found, " or ".join(known))
    return found


def _unknown(where: str, field: str, found: object, wanted: str) -> ElastixError:
    return ElastixError(
        f"quantization_config in {where} has {field} {found}", wanted=wanted, do="take another version of the model"
    )


def unpack(words: Words, bits: int) -> Codes:
    """Codes [..., n·32/bits] of words [..., n], from the lowest bit on; n is a multiple of bits if 32 is not."""
    if 32 % bits == 0:
        shifts = np.arange(0, 32, bits, dtype=np.uint32)
        codes = (words[..., None] >> shifts & np.uint32((1 << bits) - 1)).astype(np.uint8)
        return codes.reshape(*words.shape[:-1], -1)
    blocks = words.reshape(*words.shape[:-1], -1, bits)
    codes = np.empty((*blocks.shape[:-1], 32), np.uint8)
    for place in range(32):
        word, at = divmod(place * bits, 32)
        found = blocks[..., word] >> np.uint32(at)
        if at + bits > 32:
            found = found | blocks[..., word + 1] << np.uint32(32 - at)
        codes[..., place] = found & np.uint32((1 << bits) - 1)
    return codes.reshape(*words.shape[:-1], -1)


def _one_more(words: Words, bits: int) -> Codes:
    """Codes whose stored value is one too small.

    Words were written by subtracting 1 from every code at once, so a code of 0 borrowed from the next one, and adding
    at once gives both back. 3-bit codes, which lie across words, were decreased one by one.
    """
    if 32 % bits == 0:
        return unpack(words + np.uint32(sum(1 << at for at in range(0, 32, bits))), bits)
    return (unpack(words, bits) + np.uint8(1)) & np.uint8((1 << bits) - 1)


class PackedStore:
    """A checkpoint with its packed layers under the names of their weights; all else as it is.

    Raises ElastixError, naming the tensor, if the shapes of a layer's parts do not belong together.
    """

    def __init__(self, files: WeightStore, packing: Packing, where: str) -> None:
        self._files, self._packing, self._where = files, packing, where
        self._there = set(files.names())
        layers = [name.removesuffix(".qweight") for name in files.names() if name.endswith(".qweight")]
        self._layers = {f"{layer}.weight": layer for layer in layers}

    def names(self) -> list[str]:
        parts = {f"{layer}.{part}" for layer in self._layers.values() for part in _PARTS}
        return [*(name for name in self._files.names() if name not in parts), *self._layers]

    def shape(self, name: str) -> tuple[int, ...]:
        if name not in self._layers:
            return self._files.shape(name)
        first, second = self._files.shape(self._part(name, "qweight"))
        if self._packing.method == "awq":
            return second * len(AWQ_ORDER), first
        return second, first * 32 // self._packing.bits

    def dtype(self, name: str) -> str:
        return self._packing.method.upper() if name in self._layers else self._files.dtype(name)

    def read(self, name: str) -> Array:
        if name not in self._layers:
            return self._files.read(name)
        q, scale, zero, group_of = self._layer(name)
        return scale[:, group_of] * (q.astype(np.float32) - zero[:, group_of])

    def codes(self, name: str) -> BlockCodes | NoCodes:
        """Codes of a packed layer whose groups are neighbouring columns, a multiple of 32 of them."""
        if name not in self._layers:
            return block_codes(self._files, name)
        q, scale, zero, group_of = self._layer(name)
        columns = self.shape(name)[1]
        group = self._group(columns)
        if not np.array_equal(group_of, np.arange(columns) // group):
            return NoCodes("the columns of its groups are not neighbours (desc_act)")
        if group % 32 and group < columns:
            return NoCodes(f"it has groups of {group} columns, ours are multiples of 32")
        # fp16 times an integer below 2^9 is exact.
        return BlockCodes(self._packing.bits, group, q, scale, -scale * zero, self._packing.method.upper())

    def _layer(self, name: str) -> tuple[Codes, NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
        """q [N, K], scale and zero [N, groups], and the group of each column [K]."""
        qweight, qzeros = self._words(name, "qweight"), self._words(name, "qzeros")
        bits, (rows, columns) = self._packing.bits, self.shape(name)
        if self._packing.method == "awq":
            order = np.argsort(AWQ_ORDER)
            q, zero = (
                unpack(words, bits).reshape(len(words), -1, len(order))[..., order].reshape(len(words), -1)
                for words in (qweight, qzeros)
            )
            q = q.T
        else:
            q = unpack(qweight.T, bits)
            zero = _one_more(qzeros, bits) if self._packing.zeros_less_one else unpack(qzeros, bits)
        scale = self._files.read(self._part(name, "scales")).T
        wanted = (rows, -(-columns // self._group(columns)))
        for part, found in (("scales", scale.shape), ("qzeros", zero.T.shape)):
            if found != wanted:
                raise ElastixError(
                    f"{self._part(name, part)} in {self._where} is for {found[0]} rows and {found[1]} groups",
                    wanted=f"{wanted[0]} and {wanted[1]}, for a layer of {rows} × {columns} weights",
                    do="use the configuration that came with these weights",
                )
        return np.ascontiguousarray(q), scale, zero.T.astype(np.float32), self._group_of(name, wanted[1], columns)

    def _group_of(self, name: str, groups: int, columns: int) -> NDArray[np.intp]:
        part = f"{self._layers[name]}.g_idx"
        if part not in self._there:
            return np.arange(columns) // self._group(columns)
        found = self._files.read(part).astype(np.intp)
        if found.shape != (columns,) or found.min(initial=0) < 0 or found.max(initial=0) >= groups:
            raise ElastixError(
                f"{part} in {self._where} has shape {list(found.shape)} and values up to {found.max(initial=0)}",
                wanted=f"{columns} numbers from 0 to {groups - 1}",
                do="download it again",
            )
        return found

    def _group(self, columns: int) -> int:
        return columns if self._packing.group == -1 else min(self._packing.group, columns)

    def _words(self, name: str, part: str) -> Words:
        words = self._files.read(self._part(name, part))
        # 3-bit codes come in blocks of three words.
        block = 1 if 32 % self._packing.bits == 0 else self._packing.bits
        if words.dtype != np.int32 or words.ndim != 2 or words.shape[part == "qzeros"] % block:
            raise ElastixError(
                f"{self._part(name, part)} in {self._where} is {words.dtype} {list(words.shape)}",
                wanted=f"int32 in two dimensions, codes of {self._packing.bits} bits",
                do="take another version of the model",
            )
        return words.view(np.uint32)

    def _part(self, name: str, part: str) -> str:
        if (full := f"{self._layers[name]}.{part}") not in self._there:
            raise no_such_weight(full, self._where)
        return full
