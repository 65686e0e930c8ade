"""fp32 as the rules C4 … C9 have it: computed in float64, rounded once, flushed, saturated.

Arrays or scalars in and out; values are float32 with no NaN, no infinity and no subnormal. + − × ÷ of two float32
in float64, rounded to float32, gives the correctly rounded result (53 ≥ 2·24 + 2; Figueroa 1995).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
LARGEST = np.float32(np.finfo(np.float32).max)
"""0x7F7FFFFF, what a saturated result becomes (C6)."""


@dataclass
class Flags:
    """Sticky flags of a computation. overflow: some result saturated (C6)."""

    overflow: bool = False


def flush(x: ArrayLike) -> Float32:
    """C5: a biased exponent of 0 becomes zero of its sign."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    subnormal = (bits & np.uint32(0x7F800000)) == 0
    return np.where(subnormal, bits & np.uint32(0x80000000), bits).astype(np.uint32).view(np.float32)


def round_once(exact: NDArray[np.float64], flags: Flags) -> Float32:
    """C4, C5, C6: the one rounding of a value that float64 holds (exactly, or well enough to round)."""
    with np.errstate(over="ignore", under="ignore"):
        rounded = np.asarray(exact, np.float64).astype(np.float32)
    overflowed = np.isinf(rounded)
    flags.overflow |= bool(overflowed.any())
    return flush(np.where(overflowed, np.copysign(LARGEST, rounded), rounded))


def _operand(x: ArrayLike) -> NDArray[np.float64]:
    return flush(x).astype(np.float64)


def add(a: ArrayLike, b: ArrayLike, flags: Flags) -> Float32:
    """C4: a + b."""
    return round_once(_operand(a) + _operand(b), flags)


def multiply(a: ArrayLike, b: ArrayLike, flags: Flags) -> Float32:
    """C4: a × b."""
    return round_once(_operand(a) * _operand(b), flags)


def divide(a: ArrayLike, b: ArrayLike, flags: Flags) -> Float32:
    """C4: a ÷ b; b must not be zero (C6: infinity cannot arise)."""
    divisor = _operand(b)
    if not np.all(divisor):
        raise ZeroDivisionError("fp32 division by zero, which no rule defines")
    return round_once(_operand(a) / divisor, flags)


def from_integer(acc: Int64) -> Float32:
    """C7: RNE of an exact integer of at most 53 bits and a sign; zero gives +0."""
    if np.any(np.abs(acc) > 1 << 53):
        raise OverflowError("an accumulator beyond 53 bits: no layer that fits a descriptor has one (C2)")
    return acc.astype(np.float64).astype(np.float32)


def from_bf16(bits: NDArray[np.uint16]) -> Float32:
    """A bf16 pattern as fp32, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def scale_by_power_of_two(p: ArrayLike, e: ArrayLike, flags: Flags) -> Float32:
    """C9: p · 2^e by adding e to the exponent; no rounding, underflow is flushed, overflow saturates.

    In float64 the product is exact: |exponent| < 1023 for every fp32 p and |e| ≤ 800.
    """
    exact = np.ldexp(_operand(p), np.asarray(e, np.int32))
    smallest = np.float64(np.finfo(np.float32).smallest_normal)
    flushed: NDArray[Any] = np.where(np.abs(exact) < smallest, np.copysign(0.0, exact), exact)
    return round_once(flushed, flags)
