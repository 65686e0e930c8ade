"""C4 … C9 at their corners, bit by bit; the property tests compare with exact fractions everywhere else."""

import numpy as np
import pytest

from elastix.compiler.numbers.fp32 import (
    Flags,
    add,
    divide,
    flush,
    from_bf16,
    from_integer,
    multiply,
    scale_by_power_of_two,
)

LARGEST, SMALLEST, MINUS_ZERO = 0x7F7FFFFF, 0x00800000, 0x80000000


def number(bits: int) -> np.ndarray:
    return np.array([bits], np.uint32).view(np.float32)


def bits(x: np.ndarray) -> int:
    return int(np.asarray(x, np.float32).view(np.uint32).ravel()[0])


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (0x007FFFFF, 0),
        (0x807FFFFF, MINUS_ZERO),
        (1, 0),
        (SMALLEST, SMALLEST),
        (MINUS_ZERO, MINUS_ZERO),
        (0x3F800000, 0x3F800000),
    ],
)
def test_flush(x: int, y: int) -> None:
    assert bits(flush(number(x))) == y


@pytest.mark.parametrize(
    ("a", "b", "product", "overflow"),
    [
        (0x3F800001, 0x3F800001, 0x3F800002, False),  # (1 + 2^-23)²: the 2^-46 is lost
        (0x3F800001, 0x3FC00000, 0x3FC00002, False),  # 1.5·(1 + 2^-23) lies half way: to even
        (0x3F800003, 0x3FC00000, 0x3FC00004, False),  # half way again, the other neighbour is even
        (LARGEST, 0x40000000, LARGEST, True),
        (LARGEST | MINUS_ZERO, 0x40000000, LARGEST | MINUS_ZERO, True),
        (LARGEST, 0x3F800000, LARGEST, False),
        (SMALLEST, 0x3F000000, 0, False),
        (SMALLEST | MINUS_ZERO, 0x3F000000, MINUS_ZERO, False),
        (
            0x00FFFFFF,
            0x3F000000,
            SMALLEST,
            False,
        ),  # 2^-126 − 2^-150 rounds up to a normal number before it could be flushed
        (0x00FFFFFD, 0x3F000000, 0, False),
        (0x007FFFFF, 0x7F000000, 0, False),  # a subnormal operand is zero
    ],
)
def test_multiply(a: int, b: int, product: int, overflow: bool) -> None:
    flags = Flags()
    assert bits(multiply(number(a), number(b), flags)) == product
    assert flags.overflow == overflow


def test_add_and_divide() -> None:
    flags = Flags()
    assert bits(add(number(0x3F800000), number(0x33800000), flags)) == 0x3F800000  # 1 + 2^-24: to even
    assert bits(add(number(0x3F800001), number(0x33800000), flags)) == 0x3F800002
    assert bits(add(number(SMALLEST + 1), number(SMALLEST | MINUS_ZERO), flags)) == 0  # exact, subnormal
    assert bits(divide(number(0x3F800000), number(0x40400000), flags)) == 0x3EAAAAAB
    assert not flags.overflow
    assert bits(add(number(LARGEST), number(LARGEST), flags)) == LARGEST
    assert flags.overflow
    with pytest.raises(ZeroDivisionError):
        divide(number(LARGEST), number(MINUS_ZERO), flags)


@pytest.mark.parametrize(
    ("integer", "pattern"),
    [
        (0, 0),
        (1, 0x3F800000),
        (-1, 0xBF800000),
        ((1 << 24) + 1, 0x4B800000),
        ((1 << 24) + 3, 0x4B800002),
        (-((1 << 24) + 1), 0xCB800000),
        ((1 << 25) - 1, 0x4C000000),
        ((1 << 49) - 1, 0x58000000),
        ((1 << 48) + (1 << 24), 0x57800000),
        ((1 << 48) + (1 << 24) + 1, 0x57800001),
    ],
)
def test_from_integer(integer: int, pattern: int) -> None:
    assert bits(from_integer(np.array([integer], np.int64))) == pattern


def test_no_accumulator_is_rounded_twice() -> None:
    with pytest.raises(OverflowError):
        from_integer(np.array([(1 << 53) + 1], np.int64))


@pytest.mark.parametrize(
    ("p", "e", "y", "overflow"),
    [
        (0x3F800000, 127, 0x7F000000, False),
        (0x3F800000, 128, LARGEST, True),
        (0xBF800000, 300, LARGEST | MINUS_ZERO, True),
        (0x3F800000, -126, SMALLEST, False),
        (0x3FFFFFFF, -127, 0, False),  # would round up to a normal number if it were rounded: C9 does not round
        (0xBFFFFFFF, -127, MINUS_ZERO, False),
        (0x00000000, 119, 0, False),
        (MINUS_ZERO, 119, MINUS_ZERO, False),
        (LARGEST, 0, LARGEST, False),
        (LARGEST, 1, LARGEST, True),
    ],
)
def test_token_exponent(p: int, e: int, y: int, overflow: bool) -> None:
    flags = Flags()
    assert bits(scale_by_power_of_two(number(p), e, flags)) == y
    assert flags.overflow == overflow


def test_bf16() -> None:
    assert bits(from_bf16(np.array([0x3F81], np.uint16))) == 0x3F810000
