"""Rules C12 to C14: what a row of a cache becomes, by bounds that follow from the rule and by exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from elastix.compiler.numbers.cache import LARGEST, CacheRows, bf16_values, hadamard, quantize_rows

TINY = Fraction(2) ** -126


def rows(width: int = 64, count: int = 200) -> NDArray[np.float32]:
    """Rows of all magnitudes, with zeros, subnormals, powers of two and the largest fp32 among them."""
    random = np.random.default_rng(3)
    x = random.standard_normal((count, width)) * 2.0 ** random.integers(-125, 120, (count, 1))
    x[0], x[1], x[2, 0], x[3] = 0, 1e-40, np.finfo(np.float32).max, 2.0 ** random.integers(-20, 20, width)
    x[4, 1:], x[5] = 0, -1.0
    return x.astype(np.float32)


@pytest.mark.parametrize("bits", [8, 4])
def test_the_scale_is_the_least_that_holds_the_row(bits: int):
    x = rows()
    for row, word in zip(x, quantize_rows(x, bits).scales, strict=True):
        scale = Fraction(float(bf16_values(np.array([word]))[0]))
        largest = max(Fraction(abs(float(v))) if abs(v) >= float(TINY) else Fraction(0) for v in row)
        below = Fraction(float(bf16_values(np.array([word - 1], np.uint16))[0]))
        assert scale * LARGEST[bits] >= largest
        assert scale == TINY or below * LARGEST[bits] < largest


@pytest.mark.parametrize("bits", [8, 4])
def test_integers_are_the_nearest(bits: int):
    """Half a step, and what the reciprocal's 17 bits add to it: Z · 2^-16."""
    x = rows()
    found = quantize_rows(x, bits)
    z = found.z.astype(np.float64)
    assert np.abs(z).max() == LARGEST[bits] and (bits == 8 or (z % 2 == 1).all())
    with np.errstate(under="ignore"):
        scaled = np.where(np.abs(x) < 2.0**-126, 0, x).astype(np.float64) / bf16_values(found.scales)[:, None]
    step = 1 if bits == 8 else 2
    assert np.abs(scaled - z).max() <= step / 2 + LARGEST[bits] * 2.0**-16
    exact = z * bf16_values(found.scales).astype(np.float64)[:, None]
    np.testing.assert_array_equal(found.values(), np.minimum(exact, np.finfo(np.float32).max))


def test_ties():
    """To even at 8 bits; upwards at 4, where even numbers lie between two odd ones."""
    row = np.float32([[127, 0.5, 1.5, 2.5, -0.5, -1.5]])
    assert quantize_rows(row, 8).z.tolist() == [[127, 0, 2, 2, 0, -2]]
    row = np.float32([[15, 0, 2, -2, -15, 14]])
    assert quantize_rows(row, 4).z.tolist() == [[15, 1, 3, -1, -15, 15]]


def test_codes_and_back():
    eight, four = quantize_rows(rows(6), 8), quantize_rows(rows(6), 4)
    for each in (eight, four):
        codes = each.codes()
        assert codes.shape == (200, 6 * each.bits // 8)
        np.testing.assert_array_equal(CacheRows.from_codes(each.bits, codes, each.scales).z, each.z)
    z = np.int8([[-15, -13, 15, 1]])
    assert CacheRows(4, z, np.uint16([0x3F80])).codes().tolist() == [[0xF0, 0x81]]


def test_a_row_that_is_not_finite_shows():
    x = np.ones((3, 4), np.float32)
    x[1, 2], x[2, 0] = np.inf, np.nan
    for bits in (8, 4):
        found = quantize_rows(x, bits)
        assert found.scales.tolist() == [quantize_rows(x[:1], bits).scales[0], 0x7FC0, 0x7FC0]
        assert np.isnan(found.values()[1:]).all() and found.codes()[1:].tolist() == [[0] * (bits // 2)] * 2


@pytest.mark.parametrize("width", [1, 2, 8, 64])
def test_the_rotation_is_its_own_inverse(width: int):
    x = np.random.default_rng(0).integers(-1000, 1000, (5, width)).astype(np.float32)
    turned = hadamard(x, 1.0)
    signs = np.array([[(-1.0) ** (i & j).bit_count() for j in range(width)] for i in range(width)])
    np.testing.assert_array_equal(turned, x @ signs)
    np.testing.assert_array_equal(hadamard(turned, 1 / width), x)
