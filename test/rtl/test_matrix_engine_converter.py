"""The converter alone (C7, C8, C9), one result a cycle, at the edges of every rule."""

import random
from collections.abc import Iterator
from functools import cache

import numpy as np
from matrix_model import convert
from simulated import Simulated

from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.compiler.processor.result_converter import LATENCY, result_converter

PARAMETERS = ProcessorParameters(max_tiles=512)
WIDTH = PARAMETERS.accumulator_bits
LIMIT = 255 * 512 * 32 * 1024 * 511
ONE = 127 << 7
Case = tuple[int, int, int]


@cache
def converter() -> Simulated:
    return Simulated(result_converter(PARAMETERS))


def convert_all(cases: list[Case]) -> list[tuple[int, bool]]:
    """Results and overflow flags, fed without a pause."""
    dut, results = converter(), list[tuple[int, bool]]()
    dut.reset()
    dut.set(clear=0)
    for index in range(len(cases) + LATENCY):
        total, row_scale, exponent = cases[index] if index < len(cases) else (0, 0, 0)
        dut.set(
            valid=int(index < len(cases)), sum=total % (1 << WIDTH), row_scale=row_scale, exponent=exponent & 0xFFFF
        )
        dut.step()
        if dut.get("result_valid"):
            results.append((dut.get("result"), bool(dut.get("overflow"))))
    return results


def check(cases: list[Case]) -> None:
    results = convert_all(cases)
    assert len(results) == len(cases)
    for case, result in zip(cases, results, strict=True):
        bits, overflow = convert(*case)
        assert result == (bits, overflow), f"{case}: {result[0]:08x}, wanted {bits:08x}"


def integers() -> Iterator[int]:
    """Zero, every power of two and its neighbours, and ties of the 24-bit rounding, of both signs."""
    yield 0
    for place in range(LIMIT.bit_length()):
        for value in (1 << place) + np.array([-1, 0, 1]):
            yield from (int(value), -int(value))
        for odd in (1, 2, 3):
            for beside in (-1, 0, 1):
                tie = (((1 << 23) + odd) << 1 | 1) << place >> 8
                value = tie + beside
                if value <= LIMIT:
                    yield from (value, -value)
    yield from (LIMIT, -LIMIT)


def test_integer_to_float_rounds_as_numpy_does() -> None:
    values = list(integers())
    results = convert_all([(value, ONE, 0) for value in values])
    with np.errstate(all="raise"):
        wanted = np.array(values, dtype=np.int64).astype(np.float32)
    assert [bits for bits, _ in results] == wanted.view(np.uint32).tolist()
    assert not any(overflow for _, overflow in results)


def test_row_scale_rounds_once() -> None:
    scales = [ONE, ONE | 1, ONE | 127, 0x4000 - 1, 1 << 7, 0x8000 | ONE | 85]
    check([(value, scale, 0) for value in list(integers())[::3] for scale in scales])


def test_zero_keeps_the_sign_of_the_product() -> None:
    cases = [(0, ONE, 5), (0, 0x8000 | ONE, 5), (-7, 0, 0), (7, 0, 0), (7, 0x8000, 0)]
    assert [bits for bits, _ in convert_all(cases)] == [0, 1 << 31, 1 << 31, 0, 1 << 31]


def test_underflow_flushes_to_signed_zero() -> None:
    """2^-126 is the least normal number; half of it, and anything below, is zero."""
    smallest = 1 << 23
    cases = [
        (1, ONE, -126),
        (1, ONE, -127),
        (-1, ONE, -126),
        (-1, ONE, -127),
        (3, ONE, -128),
        (1, 1 << 7, -1),
        (5, ONE, -32768),
    ]
    assert [bits for bits, _ in convert_all(cases)] == [smallest, 0, 1 << 31 | smallest, 1 << 31, 0, 0, 0]
    check(cases)


def test_overflow_saturates_and_is_told() -> None:
    largest, top = 0x7F7FFFFF, 254 << 7 | 127
    cases = [
        (1, ONE, 128),  # C9 goes beyond
        (-1, ONE, 128),
        (1, ONE, 127),  # the largest power of two
        (1, top, 0),  # the largest bf16 as it is
        (2, top, 0),  # C8 goes beyond
        (-2, top, 0),
        (2, top, -3),  # and comes back as the saturated value
        ((1 << 24) - 1, 231 << 7, 0),  # just the largest number
        ((1 << 25) - 1, 230 << 7, 0),  # rounds to beyond
        (1, ONE, 32767),
    ]
    results = convert_all(cases)
    assert [bits for bits, _ in results[:3]] == [largest, 1 << 31 | largest, 254 << 23]
    assert [overflow for _, overflow in results] == [True, True, False, False, True, True, True, False, True, True]
    check(cases)


def test_random_values() -> None:
    pick, cases = random.Random(3), list[Case]()
    for _ in range(4000):
        total = pick.randint(-LIMIT, LIMIT) >> pick.randint(0, LIMIT.bit_length())
        row_scale = pick.getrandbits(1) << 15 | pick.randint(0, 254) << 7 | pick.getrandbits(7)
        if not row_scale >> 7 & 255:
            row_scale = 0
        cases.append((total, row_scale, pick.choice([0, pick.randint(-200, 200), pick.randint(-32768, 32767)])))
    check(cases)


def test_clear_drops_what_is_on_its_way() -> None:
    dut = converter()
    dut.reset()
    dut.set(valid=1, sum=5, row_scale=254 << 7 | 127, exponent=0, clear=0)
    for _ in range(5):
        dut.step()
    dut.set(valid=0, clear=1)
    dut.step()
    dut.set(clear=0)
    for _ in range(LATENCY + 2):
        dut.step()
        assert not dut.get("result_valid") and not dut.get("overflow")
