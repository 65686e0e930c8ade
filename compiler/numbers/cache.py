"""Rules C12 to C14 in numpy: rows of keys and values as codes with a scale, what is read back, and the rotation."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LARGEST: Final = {8: 127, 4: 15}
"""Z, the largest of the integers that the codes of so many bits stand for."""
_LEAST_POWER: Final = -133
"""128 · 2^−133 is the least normal bf16."""


@dataclass(frozen=True)
class CacheRows:
    """Rows as integers z and scales: row r reads back as scales[r] · z[r].

    z: int8 [rows, Dh], |z| ≤ Z, all odd at 4 bits; scales: bf16 as uint16 [rows], positive and normal, or NaN for a row
    that is not finite.
    """

    bits: int
    z: NDArray[np.int8]
    scales: NDArray[np.uint16]

    def codes(self) -> NDArray[np.uint8]:
        """The bytes that a cache holds: z in two's complement; at 4 bits (z + 15) / 2, two a byte (C12)."""
        if self.bits == 8:
            return self.z.view(np.uint8)
        low, high = np.split(((self.z.astype(np.int64) + 15) // 2).astype(np.uint8), 2, axis=-1)
        return low | high << np.uint8(4)

    @classmethod
    def from_codes(cls, bits: int, codes: NDArray[np.uint8], scales: NDArray[np.uint16]) -> "CacheRows":
        """The inverse of `codes`."""
        if bits == 8:
            return cls(bits, codes.view(np.int8), scales)
        quarters = np.concatenate([codes & 15, codes >> 4], axis=-1).astype(np.int8)
        return cls(bits, 2 * quarters - 15, scales)

    def values(self) -> NDArray[np.float32]:
        """What is read back (C13): exact, but for C6 at the end of the range."""
        exact = self.z * bf16_values(self.scales).astype(np.float64)[:, None]
        largest = np.finfo(np.float32).max
        return np.clip(exact, -largest, largest).astype(np.float32)


def bf16_values(scales: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bf16 as fp32: its 16 bits above 16 zeros."""
    return (scales.astype(np.uint32) << 16).view(np.float32)


def quantize_rows(x: NDArray[np.float32], bits: int) -> CacheRows:
    """C12 on rows [rows, Dh] of fp32; bits 8 or 4."""
    x = np.where(np.abs(x) < np.finfo(np.float32).tiny, np.float32(0), x)
    found = [_quantize_row(row, bits) for row in x]
    scales = np.array([scale for _, scale in found], np.uint16)
    return CacheRows(bits, np.array([z for z, _ in found], np.int8).reshape(x.shape), scales)


def _quantize_row(row: NDArray[np.float32], bits: int) -> tuple[NDArray[np.int64], int]:
    if not np.isfinite(row).all():
        return np.full(len(row), -15 if bits == 4 else 0), 0x7FC0
    significand, power = _least_scale(float(np.abs(row).max(initial=0)), LARGEST[bits])
    reciprocal = (2 * 2**23 + significand) // (2 * significand)  # 2^23 / significand to the nearest integer
    t = np.ldexp(row.astype(np.float64) * reciprocal, -23 - power)  # 24 bits by 17: exact
    z = np.rint(t) if bits == 8 else 2 * np.floor(t / 2) + 1
    return z.astype(np.int64), (power + 134) << 7 | significand & 0x7F


def _least_scale(largest: float, limit: int) -> tuple[int, int]:
    """Significand 128 … 255 and power of two of the least normal bf16 s with limit · s ≥ largest."""
    whole, exponent = np.frexp(largest)
    whole, exponent = int(whole * 2**24), int(exponent) - 24  # largest = whole · 2^exponent
    shift = next(s for s in range(25) if -(-whole // (limit << s)) <= 255)
    if whole == 0 or exponent + shift < _LEAST_POWER:
        return 128, _LEAST_POWER
    return -(-whole // (limit << shift)), exponent + shift


def hadamard(x: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """C14 on rows [rows, Dh] of fp32, Dh a power of two."""
    rows, width = x.shape
    apart = 1
    while apart < width:
        pairs = x.reshape(rows, -1, 2, apart)
        a, b = pairs[:, :, 0], pairs[:, :, 1]
        x = np.stack([a + b, a - b], axis=2).reshape(rows, width)
        apart *= 2
    return x * np.float32(scale)
