"""The blocks of GGUF's quantized types, taken apart into codes, scales and offsets.

Layouts: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h (`block_q4_1`, `block_q4_K`, …); their meaning:
`dequantize_row_*` of ggml-quants.c. Every product of scale and code is exact in float32, so the values that follow are
those of the gguf package, bit for bit but for the sign of zero.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.importer.block_codes import F32, BlockCodes

Bytes = NDArray[np.uint8]
Parts = tuple[NDArray[np.uint8], F32, F32]
"""Codes [blocks, groups, 32], scales and offsets [blocks, groups]."""

_LOW, _FOUR = np.uint8(15), np.uint8(4)


def _halves(blocks: Bytes, at: int, count: int = 1) -> F32:
    """fp16 numbers from byte `at` of each block: [blocks, count]."""
    raw = np.ascontiguousarray(blocks[:, at : at + 2 * count])
    return raw.view("<f2").astype(np.float32)


def _nibbles(packed: Bytes) -> NDArray[np.uint8]:
    """Bytes [blocks, n] to codes [blocks, 2n]: the low halves, then the high ones."""
    return np.concatenate([packed & _LOW, packed >> _FOUR], axis=1)


def _fifth_bits(blocks: Bytes, at: int) -> NDArray[np.uint8]:
    """Four bytes of each block as 32 codes of 0 or 16, lowest bit first."""
    return np.unpackbits(blocks[:, at : at + 4], axis=1, bitorder="little") << _FOUR


def _q8_0(blocks: Bytes) -> Parts:
    scale = _halves(blocks, 0)
    return (blocks[:, 2:] ^ np.uint8(128))[:, None], scale, -128 * scale


def _q4_0(blocks: Bytes) -> Parts:
    scale = _halves(blocks, 0)
    return _nibbles(blocks[:, 2:])[:, None], scale, -8 * scale


def _q4_1(blocks: Bytes) -> Parts:
    return _nibbles(blocks[:, 4:])[:, None], _halves(blocks, 0), _halves(blocks, 2)


def _q5_0(blocks: Bytes) -> Parts:
    scale = _halves(blocks, 0)
    return (_nibbles(blocks[:, 6:]) | _fifth_bits(blocks, 2))[:, None], scale, -16 * scale


def _q5_1(blocks: Bytes) -> Parts:
    codes = _nibbles(blocks[:, 8:]) | _fifth_bits(blocks, 4)
    return codes[:, None], _halves(blocks, 0), _halves(blocks, 2)


def _scales_of_k(blocks: Bytes) -> tuple[F32, F32]:
    """Scales and offsets [blocks, 8] of Q4_K and Q5_K: d·sc and −dmin·m, sc and m of 6 bits in 12 bytes.

    Bytes 0 … 3 hold sc and 4 … 7 m of the groups 0 … 3; of the groups 4 … 7 the low four bits lie in the halves of
    bytes 8 … 11 and the high two atop bytes 0 … 7.
    """
    low, middle, high = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    sc = np.concatenate([low & 63, (high & 15) | (low >> 6 << 4)], axis=1)
    m = np.concatenate([middle & 63, (high >> 4) | (middle >> 6 << 4)], axis=1)
    return _halves(blocks, 0) * sc, -(_halves(blocks, 2) * m)


def _nibbles_of_k(packed: Bytes) -> NDArray[np.uint8]:
    """128 bytes of each block to codes [blocks, 8, 32]: each 32 bytes hold a group in their low halves, then one."""
    pairs = packed.reshape(-1, 4, 1, 32)
    return np.concatenate([pairs & _LOW, pairs >> _FOUR], axis=2).reshape(-1, 8, 32)


def _q4_k(blocks: Bytes) -> Parts:
    return _nibbles_of_k(blocks[:, 16:]), *_scales_of_k(blocks)


def _q5_k(blocks: Bytes) -> Parts:
    fifth = np.unpackbits(blocks[:, 16:48, None], axis=2, bitorder="little").transpose(0, 2, 1) << _FOUR
    return _nibbles_of_k(blocks[:, 48:]) | fifth, *_scales_of_k(blocks)


_KINDS: Final[dict[str, tuple[int, int, Callable[[Bytes], Parts]]]] = {
    "Q8_0": (8, 34, _q8_0),
    "Q4_0": (4, 18, _q4_0),
    "Q4_1": (4, 20, _q4_1),
    "Q5_0": (5, 22, _q5_0),
    "Q5_1": (5, 24, _q5_1),
    "Q4_K": (4, 144, _q4_k),
    "Q5_K": (5, 176, _q5_k),
}
"""Bits of a code, bytes of a block, how to read blocks. All have groups of 32."""

WITHOUT_CODES: Final = {"Q6_K": "Q6_K has groups of 16 columns, ours are multiples of 32"}


def has_codes(kind: str) -> bool:
    """Whether blocks of a GGUF type can be read as codes."""
    return kind in _KINDS


def read_blocks(kind: str, raw: NDArray[Any], rows: int) -> BlockCodes:
    """The bytes of a matrix of so many rows, of a type that has codes."""
    bits, size, parts = _KINDS[kind]
    q, scale, offset = parts(raw.reshape(-1, size))
    return BlockCodes(bits, 32, q.reshape(rows, -1), scale.reshape(rows, -1), offset.reshape(rows, -1), kind)
