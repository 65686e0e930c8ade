"""Biased exponents wider than the 8 bits of fp32, against the ends of the range (C5, C6)."""

from elastix.compiler.circuit import Signal


def too_large(exponent: Signal, carries: Signal | None = None) -> Signal:
    """`exponent` (signed, at least 10 bits), plus 1 where `carries`, is beyond 254. No carry chain."""
    highest = exponent[1:8].all() & (exponent[0] if carries is None else exponent[0] | carries)
    return ~exponent[-1] & (exponent[8:-1].any() | highest)


def too_small(exponent: Signal) -> Signal:
    """`exponent` (signed) is below 1."""
    return exponent[-1] | ~exponent.any()
