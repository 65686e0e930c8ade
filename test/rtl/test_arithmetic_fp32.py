"""fp32 sums, products, exponents and integers (C4 to C9), against float64 rounded once."""

from collections.abc import Callable

import numpy as np
import pytest
from arithmetic_bench import EDGES, beyond, pairs, same, stream, words
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers import fp32
from elastix.compiler.processor.arithmetic import exponent_add, fp32_add, fp32_multiply, integer_to_fp32

Words = NDArray[np.uint32]


def values(bits: Words) -> NDArray[np.float64]:
    return fp32.flush(bits.view(np.float32)).astype(np.float64)


def check_add(a: Words, b: Words) -> None:
    found = stream(fp32_add.fp32_add(), fp32_add.LATENCY, a=a, b=b)
    same(found["y"], fp32.add(a.view(np.float32), b.view(np.float32), fp32.Flags()).view(np.uint32), a, b)
    same(found["overflow"], beyond(values(a) + values(b)), a, b)


def check_multiply(a: Words, b: Words) -> None:
    found = stream(fp32_multiply.fp32_multiply(), fp32_multiply.LATENCY, a=a, b=b)
    same(found["y"], fp32.multiply(a.view(np.float32), b.view(np.float32), fp32.Flags()).view(np.uint32), a, b)
    same(found["overflow"], beyond(values(a) * values(b)), a, b)


CHECKS = pytest.mark.parametrize("check", [check_add, check_multiply])


@CHECKS
def test_every_edge_with_every_edge(check: Callable[[Words, Words], None]) -> None:
    check(*pairs(EDGES))


@CHECKS
def test_many_numbers(check: Callable[[Words, Words], None]) -> None:
    check(words(120_000, 1), words(120_000, 2))


def test_sums_at_every_distance_of_exponents_and_at_ties() -> None:
    """Fractions at their ends, and with every last bits, 0 to 30 places apart, added and subtracted."""
    fractions = np.array([0, 1, 2, 3, 4, 5, 7, 0x3FFFFF, 0x400000, 0x400001, 0x7FFFFC, 0x7FFFFD, 0x7FFFFE, 0x7FFFFF])
    left, right, apart, minus = (
        column.ravel() for column in np.meshgrid(fractions, fractions, np.arange(31), np.array([0, 1]))
    )
    a = (120 << 23 | left).astype(np.uint32)
    b = (minus << 31 | (120 - apart) << 23 | right).astype(np.uint32)
    check_add(a, b)
    check_add(b, a)


def test_differences_that_cancel() -> None:
    """Neighbours, and numbers that differ in one bit of the pattern: every number of leading zeros."""
    pick, a = np.random.default_rng(3), words(40_000, 4)
    a = np.where(a >> 23 & 0xFF == 0, a | 0x00800000, a)
    other = np.where(
        pick.random(len(a)) < 0.5, a ^ (1 << pick.integers(0, 25, len(a))), a + pick.integers(-4, 5, len(a))
    )
    other = np.where(other >> 23 & 0xFF == 0xFF, a, other)
    check_add(a.astype(np.uint32), (other ^ 0x80000000).astype(np.uint32))


def test_sums_about_the_ends_of_the_range() -> None:
    pick = np.random.default_rng(5)
    low, high = pick.integers(0, 1 << 26, 20_000), pick.integers(0x7D000000, 0x7F800000, 20_000)
    for magnitudes in (low, high):
        signs = pick.integers(0, 2, (2, len(magnitudes))) << 31
        check_add(
            (signs[0] | magnitudes).astype(np.uint32), (signs[1] | pick.permutation(magnitudes)).astype(np.uint32)
        )


def test_sums_that_round_up_to_a_power_of_two() -> None:
    """All ones and about half a step: to the next exponent, and from the largest number to beyond (C6)."""
    exponents, lows, apart, halves = (
        column.ravel()
        for column in np.meshgrid(
            np.array([25, 26, 150, 253, 254]), np.arange(4), np.array([23, 24, 25]), np.array([0, 1, 0x7FFFFF])
        )
    )
    a = (exponents << 23 | (0x7FFFFF - lows)).astype(np.uint32)
    b = ((exponents - apart) << 23 | halves).astype(np.uint32)
    check_add(a, b)
    check_add(a ^ np.uint32(1 << 31), b ^ np.uint32(1 << 31))
    found = stream(fp32_add.fp32_add(), fp32_add.LATENCY, a=a, b=b)
    carried = (exponents == 254) & (lows == 0) & (apart == 24)
    assert found["overflow"][carried].all() and not found["overflow"][(apart == 25)].any()


def test_products_that_round_up_to_a_power_of_two() -> None:
    """Mantissas whose product is within a few steps of 2: about the largest number, about the least, and between."""
    left = np.random.default_rng(12).integers((1 << 23) + 1, 1 << 24, 20_000)
    right = (1 << 47) // left + np.random.default_rng(13).integers(-2, 3, len(left))
    for total in (127, 128, 300, 380, 381, 382):
        exponent = np.random.default_rng(total).integers(max(1, total - 254), min(254, total - 1) + 1, len(left))
        a, b = exponent << 23 | left & 0x7FFFFF, (total - exponent) << 23 | np.clip(right - (1 << 23), 0, 0x7FFFFF)
        check_multiply(a.astype(np.uint32), b.astype(np.uint32))


def test_products_about_the_ends_of_the_range() -> None:
    """Biased exponents that add up to about 127, where results vanish, and to about 127 + 255."""
    pick = np.random.default_rng(6)
    for total in (127, 382):
        a = pick.integers(max(1, total - 254), min(254, total - 1), 40_000)
        b = np.clip(total - a + pick.integers(-2, 3, len(a)), 1, 254)
        fractions = np.where(
            pick.random((2, len(a))) < 0.5,
            (1 << 23) - 1 - pick.integers(0, 3, (2, len(a))),
            pick.integers(0, 1 << 23, (2, len(a))),
        )
        check_multiply((a << 23 | fractions[0]).astype(np.uint32), (b << 23 | fractions[1]).astype(np.uint32))


def test_a_product_a_half_step_below_the_least_normal_number_stays() -> None:
    """C5: 2^-126 − 2^-150 is rounded on the subnormal grid first. 0x1p-126 · (1 − 2^-24), and a hair less."""
    a = np.array([0x00800000, 0x00FFFFFF, 0x00FFFFFE, 0x00800001], np.uint32)
    b = np.array([0x3F7FFFFF, 0x3F000000, 0x3F000000, 0x3F7FFFFD], np.uint32)
    check_multiply(a, b)
    found = stream(fp32_multiply.fp32_multiply(), fp32_multiply.LATENCY, a=a, b=b)["y"]
    assert found.tolist() == [0x00800000, 0x00800000, 0, 0]


def test_exponents_added_over_the_whole_range() -> None:
    exponents, e = (column.ravel() for column in np.meshgrid(np.arange(255), np.arange(-300, 301)))
    edges, far = (column.ravel() for column in np.meshgrid(EDGES, np.array([-32768, -700, -254, 254, 700, 32767])))
    signs = np.random.default_rng(7).integers(0, 2, len(exponents)) << 31
    p = np.concatenate([signs | exponents << 23 | 0x155555, edges]).astype(np.uint32)
    e = np.concatenate([e, far])
    found = stream(exponent_add.exponent_add(), exponent_add.LATENCY, p=p, e=e)
    # Beyond ±700 nothing but zeros and saturation is left, and float64 would give out.
    near = np.clip(e, -700, 700)
    wanted = fp32.scale_by_power_of_two(p.view(np.float32), near, fp32.Flags())
    same(found["y"], wanted.view(np.uint32), p, e)
    same(found["overflow"], beyond(np.ldexp(values(p), near)), p, e)


def integers(width: int, signed: bool) -> NDArray[np.int64]:
    """Zero, powers of two and their neighbours, ties, and numbers of every length, up to 62 bits."""
    pick, length = np.random.default_rng(width), min(width - signed, 62)
    places = 1 << np.arange(length, dtype=np.int64)
    odd = np.array([(((1 << 23) + k) << 1 | 1) for k in (1, 2, 3, (1 << 23) - 2, (1 << 23) - 1)], np.int64)
    shifts = np.arange(max(length - 25, 0), dtype=np.int64)
    ties = (odd[:, None, None] << shifts[:, None]) + np.array([-1, 0, 1])
    lengths = pick.integers(0, 1 << length, 10_000) >> pick.integers(0, length, 10_000)
    found = np.concatenate([[0, (1 << length) - 1], places, places - 1, (places + 1)[:-1], ties.ravel(), lengths])
    return np.concatenate([found, -found, [-(1 << length)]]) if signed else found


@pytest.mark.parametrize(
    ("width", "signed"), [(25, False), (27, True), (32, True), (33, False), (44, False), (64, True)]
)
def test_integers_round_as_numpy_does(width: int, signed: bool) -> None:
    numbers = integers(width, signed)
    found = stream(integer_to_fp32.integer_to_fp32(width, signed), integer_to_fp32.LATENCY, value=numbers)
    same(found["y"], numbers.astype(np.float32).view(np.uint32), numbers)


def test_integers_of_other_widths_are_refused() -> None:
    for width in (24, 65):
        with pytest.raises(ElastixError, match=f"integer_to_fp32 of {width} bits"):
            integer_to_fp32.integer_to_fp32(width, True)
