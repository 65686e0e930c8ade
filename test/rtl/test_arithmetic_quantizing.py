"""Quantizing of tokens and of rows (C3, C12), and the order of fp32 numbers (C22)."""

import numpy as np
import pytest
from arithmetic_bench import EDGES, pairs, same, signed, stream, words
from numpy.typing import NDArray

from elastix.compiler.circuit import Module
from elastix.compiler.numbers import cache, fp32
from elastix.compiler.processor.arithmetic import float_order, quantization, quantizer

Floats = NDArray[np.float32]
WIDTHS = (8, 9, 10, 11, 12, 13, 14, 15, 16)


def quantize(
    x: Floats, largest: Floats, bits: int, row: int
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.uint64]]]:
    """Each x with the scale of its own largest magnitude: its integer, and what quantization found."""
    many = np.ones(len(x), np.int64)
    scales = stream(
        quantization.quantization(),
        quantization.LATENCY,
        maximum=largest.view(np.uint32),
        bits=bits * many,
        row=row * many,
    )
    z = stream(
        quantizer.quantizer(),
        quantizer.LATENCY,
        x=x.view(np.uint32),
        r=scales["r"],
        power=scales["power"],
        bits=bits * many,
    )["z"]
    return signed(z, 16), scales


def magnitudes() -> Floats:
    """Largest magnitudes: edges, all exponents, fractions about the steps of bf16 and of 127 times it."""
    steps = np.arange(129, 256) * 127 * 512 - (1 << 23)
    beside = np.concatenate([steps - 1, steps, steps + 1, [0, 1, (1 << 23) - 1, (1 << 23) - 2, (1 << 22)]])
    beside = beside[(beside >= 0) & (beside < 1 << 23)]
    exponents, fractions = (c.ravel() for c in np.meshgrid([0, 1, 2, 6, 7, 8, 9, 127, 130, 253, 254], beside))
    found = np.concatenate([EDGES, exponents << 23 | fractions, words(40_000, 20), np.arange(255) << 23])
    return (found & 0x7FFFFFFF).astype(np.uint32).view(np.float32)


def below(largest: Floats, bits: int) -> Floats:
    """For each a number of at most its size: itself, any, much smaller, and halves of steps of C3."""
    pick, count = np.random.default_rng(21), len(largest)
    wide = largest.astype(np.float64)
    step = 2.0 ** (np.floor(np.log2(np.maximum(wide, 1e-300))) - (bits - 2))
    ties = (np.floor(wide / step * pick.random(count)) - 0.5) * step
    choices = [wide, wide * pick.random(count), wide * 2.0 ** -pick.integers(0, 24, count), ties, wide * (1 - 2.0**-24)]
    chosen = np.choose(pick.integers(0, len(choices), count), choices) * np.where(pick.random(count) < 0.5, -1, 1)
    return np.clip(chosen.astype(np.float32), -largest, largest)


@pytest.mark.parametrize("bits", WIDTHS)
def test_tokens(bits: int) -> None:
    """C3, one token to each element: the exponent, then RNE and the clamp."""
    largest = magnitudes()
    x = below(largest, bits)
    z, scales = quantize(x, largest, bits, 0)
    m = fp32.flush(largest).astype(np.float64)
    e = np.where(m == 0, 0, np.frexp(m)[1] - 1 - (bits - 2))
    same(signed(scales["exponent"], 16), e, largest.view(np.uint32))
    limit = (1 << (bits - 1)) - 1
    exact = np.ldexp(fp32.flush(x).astype(np.float64), -e)
    assert (np.rint(exact) > limit).any() and (np.rint(exact) < -limit).any()  # the clamp is met
    same(z, np.clip(np.rint(exact), -limit, limit), x.view(np.uint32), largest.view(np.uint32))


def test_rows() -> None:
    """C12 at 8 bits, a row of two to each element: its scale, its integers."""
    largest = magnitudes()
    x = below(largest, 8)
    z, scales = quantize(x, largest, 8, 1)
    wanted = cache.quantize_rows(np.stack([x, largest], axis=1), 8)
    same(scales["scale"], wanted.scales, largest.view(np.uint32))
    same(z, wanted.z[:, 0], x.view(np.uint32), largest.view(np.uint32))
    z, _ = quantize(-largest, largest, 8, 1)
    same(z, -wanted.z[:, 1].astype(np.int64), largest.view(np.uint32))


def test_the_scale_of_every_row() -> None:
    """Every mantissa that C12 tells from another: 15 bits and whether there is a 1 below."""
    place = np.arange(1 << 15)
    largest = (100 << 23 | (place >> 1) << 9 | (place & 1) << 4).astype(np.uint32).view(np.float32)
    _, scales = quantize(largest, largest, 8, 1)
    values = cache.bf16_values(scales["scale"].astype(np.uint16)).astype(np.float64)
    assert (127 * values >= largest).all()
    next_below = cache.bf16_values((scales["scale"] - 1).astype(np.uint16)).astype(np.float64)
    assert (127 * next_below < largest).all()


def order() -> Module:
    m = Module("float_order")
    a, b = m.input("a", 32), m.input("b", 32)
    m.output("flushed", float_order.flushed(a))
    m.output("larger", float_order.larger_magnitude(a, b))
    m.output("greater", float_order.signed_greater(a, b))
    m.output("clocked", m.register("clocked_q", a[0]))  # a circuit without a clock has none to step
    return m


def test_order() -> None:
    edges, others = pairs(EDGES)
    a = np.concatenate([edges, words(20_000, 30)])
    b = np.concatenate([others, words(10_000, 31), words(20_000, 30)[10_000:]])
    a, b = (fp32.flush(bits.view(np.float32)).view(np.uint32) for bits in (a, b))
    x, y = a.view(np.float32), b.view(np.float32)
    found = stream(order(), 1, a=a, b=b)
    same(found["larger"], np.maximum(np.abs(x), np.abs(y)).view(np.uint32), a, b)
    same(found["greater"], x > y, a, b)
    least = np.uint32(float_order.LEAST).view(np.float32)
    assert least == -fp32.LARGEST


def test_flush() -> None:
    a = np.concatenate([EDGES, words(20_000, 32)])
    found = stream(order(), 1, a=a, b=a)
    same(found["flushed"], fp32.flush(a.view(np.float32)).view(np.uint32), a)
