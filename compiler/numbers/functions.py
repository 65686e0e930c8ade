"""Rules C15 to C18 and the weights of C21: functions in tables, fixed point, reciprocals, activations.

Tables come from decimal arithmetic of 50 digits alone, so they are the same on every machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.fp32 import LARGEST, Flags, Float32, Int64, flush, multiply, scale_by_power_of_two

SEGMENTS: Final = 256
OFFSET_BITS: Final = 12
"""A place inside a segment is d / 2^12 of its width."""
FIX_LIMIT: Final = (1 << 31) - 1
"""The largest magnitude of C16."""
_DIGITS: Final = Context(prec=50, rounding=ROUND_HALF_EVEN)
_PI: Final = Decimal("3.14159265358979323846264338327950288419716939937511")


def _normal_tail(u: Decimal) -> Decimal:
    """1 − Φ(u) = 1/2 − φ(u)·Σ u^(2k+1) / (1·3·5 … (2k+1)), to 40 decimal places; Abramowitz and Stegun 26.2.11."""
    if u > 13:
        return Decimal(0)  # below 10^-38
    square, term, total, odd = u * u, u, u, 1
    while term * 10**45 > total:
        odd += 2
        term = term * square / odd
        total += term
    return Decimal("0.5") - total * (-square / 2).exp() / (2 * _PI).sqrt()


def _tanh_tail(u: Decimal) -> Decimal:
    """(1 − tanh v)/2 = 1/(1 + e^2v), v = √(2/π)·(u + 0.044715·u³)."""
    v = (2 / _PI).sqrt() * (u + Decimal("0.044715") * u**3)
    return 1 / (1 + (2 * v).exp())


def _exp2(f: Decimal) -> Decimal:
    return (-f * Decimal(2).ln()).exp()


@dataclass(frozen=True)
class Table:
    """A function over `SEGMENTS` segments of `width` from `begin` on, scaled by 2^scale_bits (C15)."""

    function: Callable[[Decimal], Decimal]
    begin: int
    width: Decimal
    scale_bits: int


_FINE: Final = Decimal(1) / 256
_COARSE: Final = Decimal(1) / 16
TABLES: Final = {
    "exp2": Table(_exp2, 0, _FINE, 24),
    "reciprocal": Table(lambda m: 1 / m, 1, _FINE, 24),
    "rsqrt_even": Table(lambda m: 1 / m.sqrt(), 1, _FINE, 24),
    "rsqrt_odd": Table(lambda m: 1 / (2 * m).sqrt(), 1, _FINE, 24),
    "silu": Table(lambda u: 1 / (1 + u.exp()), 0, _COARSE, 22),
    "gelu": Table(_normal_tail, 0, _COARSE, 22),
    "gelu_tanh": Table(_tanh_tail, 0, _COARSE, 22),
}
"""The tables of C15 by name."""
ACTIVATIONS: Final = ("silu", "gelu", "gelu_tanh", "relu")
"""What C18 knows; relu has no table."""


def _integer(x: Decimal) -> int:
    return int(x.to_integral_value(ROUND_HALF_EVEN))


@cache
def coefficients(name: str) -> NDArray[np.int64]:
    """C15: c0, c1, c2 of each segment, int64 [256, 3], read-only. Raises ElastixError for an unknown table."""
    if name not in TABLES:
        raise ElastixError(f"table {name!r}", wanted=", ".join(TABLES))
    table = TABLES[name]
    with localcontext(_DIGITS):
        at = [table.function(table.begin + j * table.width / 2) for j in range(2 * SEGMENTS + 1)]
        scale = 1 << table.scale_bits
        rows = [
            (
                _integer(scale * f0),
                _integer(scale * (4 * fm - 3 * f0 - f1)),
                _integer(scale * (2 * f0 + 2 * f1 - 4 * fm)),
            )
            for f0, fm, f1 in zip(at[:-1:2], at[1::2], at[2::2], strict=True)
        ]
    found = np.array(rows, np.int64)
    found.flags.writeable = False
    return found


def evaluate(name: str, index: ArrayLike, offset: ArrayLike) -> Int64:
    """C15: Y of segment `index` at `offset`/4096 of its width; arrays of the same shape, 0 … 255 and 0 … 4095."""
    c0, c1, c2 = coefficients(name)[np.asarray(index, np.int64)].T
    d = np.asarray(offset, np.int64).T
    return (c0 + (((c1 + ((c2 * d) >> OFFSET_BITS)) * d) >> OFFSET_BITS)).T


def fix(x: ArrayLike, k: int) -> Int64:
    """C16: fix_k(x), the integers nearest to x·2^k on the side of 0, at most 2^31 − 1 in magnitude."""
    values = flush(x).astype(np.float64)
    magnitude = np.minimum(np.floor(np.ldexp(np.abs(values), k)), FIX_LIMIT)
    return np.where(values < 0, -magnitude, magnitude).astype(np.int64)


def _parts(x: Float32) -> tuple[Int64, Int64, Int64]:
    """E, i and d of C17; of zeros, something."""
    bits = x.view(np.uint32).astype(np.int64)
    return (bits >> 23 & 0xFF) - 127, bits >> 15 & 0xFF, bits >> 3 & 0xFFF


def recip(x: ArrayLike, flags: Flags) -> Float32:
    """C17: 1/x with the sign of x; a zero gives the largest fp32 of its sign and sets the flag."""
    values = flush(x)
    exponent, index, offset = _parts(values)
    y = evaluate("reciprocal", index, offset).astype(np.float32)
    found = scale_by_power_of_two(y, -24 - exponent, flags)
    flags.overflow |= bool((values == 0).any())
    return np.copysign(np.where(values == 0, LARGEST, found), values)


def rsqrt(x: ArrayLike, flags: Flags) -> Float32:
    """C17: 1/√x; a zero gives the largest fp32 and sets the flag. Raises ElastixError for a negative number."""
    values = flush(x)
    if (values < 0).any():
        raise ElastixError("the root of a negative number", wanted="a mean square plus an epsilon, which is none (C19)")
    exponent, index, offset = _parts(values)
    odd = exponent % 2 != 0
    y = np.where(odd, evaluate("rsqrt_odd", index, offset), evaluate("rsqrt_even", index, offset))
    found = scale_by_power_of_two(y.astype(np.float32), -24 - exponent // 2, flags)
    flags.overflow |= bool((values == 0).any())
    return np.where(values == 0, LARGEST, found)


def gate(name: str, x: ArrayLike) -> Float32:
    """C18: T(x) of `silu`, `gelu`, `gelu_tanh` or `relu`, exact in fp32; raises ElastixError for another name."""
    values = flush(x)
    if name == "relu":
        return (values > 0).astype(np.float32)
    if name not in ACTIVATIONS:
        raise ElastixError(f"activation {name!r}", wanted=", ".join(ACTIVATIONS))
    u = np.minimum(fix(np.abs(values), 16), (1 << 20) - 1)
    tail = np.maximum(evaluate(name, u >> OFFSET_BITS, u & 0xFFF), 0)
    whole = 1 << TABLES[name].scale_bits
    return (np.where(values >= 0, whole - tail, tail) / whole).astype(np.float32)


def activation(name: str, x: ArrayLike, flags: Flags) -> Float32:
    """C18: x × T(x), one rounding. What is negative and vanishes is −0, as C4 has it."""
    return multiply(x, gate(name, x), flags)


def exponential(score: ArrayLike, largest: ArrayLike) -> Int64:
    """C21: p = 2^(score − largest) in units of 2^-24, an integer of at most 2^24.

    Raises ElastixError for a score above the largest.
    """
    v = fix(largest, 20) - fix(score, 20)
    if (v < 0).any():
        raise ElastixError("a score above the largest score", wanted="the largest of all scores (C21)")
    n = v >> 20
    p = evaluate("exp2", v >> OFFSET_BITS & 0xFF, v & 0xFFF)
    return np.where(n < 25, p >> np.minimum(n, 25), 0)


def exponential_weight(p: ArrayLike, value_scale: ArrayLike, flags: Flags) -> Float32:
    """C21: w = p·2^-24 × s', one rounding; p from `exponential`, s' fp32."""
    fraction = scale_by_power_of_two(np.asarray(p, np.int64).astype(np.float32), -24, flags)
    return multiply(fraction, value_scale, flags)


def reciprocal_of_sum(total: ArrayLike, flags: Flags) -> Float32:
    """C21: r = recip(C7(D))·2^24 of D = Σ p, an exact integer."""
    d = np.asarray(total, np.int64).astype(np.float64).astype(np.float32)
    return scale_by_power_of_two(recip(d, flags), 24, flags)
