"""fp32 and the launch of a layer by exact fractions: shares nothing with the project's code but the READMEs."""

from fractions import Fraction

LARGEST = (2**24 - 1) * Fraction(2) ** 104
SMALLEST_NORMAL = Fraction(2) ** -126


def round_half_even(x: Fraction) -> int:
    """The nearest integer, the even one of two."""
    floor = x.numerator // x.denominator
    rest = x - floor
    return floor + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2 == 1))


def fp32(x: Fraction) -> tuple[Fraction, bool]:
    """C4, C5, C6: the fp32 number for an exact value, and whether it saturated (the sign of a zero is not kept)."""
    if x == 0:
        return x, False
    exponent = -126
    while abs(x) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - 23)
    rounded = round_half_even(x / unit) * unit
    if abs(rounded) > LARGEST:
        return (LARGEST if x > 0 else -LARGEST), True
    return (rounded if abs(rounded) >= SMALLEST_NORMAL else Fraction(0)), False


def result(acc: int, rowscale: Fraction, e: int) -> tuple[Fraction, bool]:
    """C7, C8, C9."""
    f, _ = fp32(Fraction(acc))
    p, first = fp32(f * rowscale)
    exact = p * Fraction(2) ** e
    if abs(exact) < SMALLEST_NORMAL:
        return Fraction(0), first
    y, second = fp32(exact)
    return y, first or second
