"""The kernels over caches of codes against rules C12 to C14 in numpy: every bit."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from test_runtime_kernels import Floats, attention, call, normal

from elastix.compiler.numbers.cache import CacheRows, bf16_values, hadamard, quantize_rows

Doubles = NDArray[np.float64]


def spread(*shape: int, seed: int = 0) -> Floats:
    """Rows of all magnitudes; a zero, a subnormal, the largest fp32, an infinity and a NaN among them."""
    random = np.random.default_rng(seed)
    x = random.standard_normal(shape) * 2.0 ** random.integers(-125, 120, (*shape[:-1], 1))
    flat = x.reshape(-1, shape[-1])
    flat[0], flat[1], flat[2, 0], flat[3, -1], flat[4, 0] = 0, 1e-40, np.finfo(np.float32).max, np.inf, np.nan
    return x.astype(np.float32)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("width", [64, 10, 2])
def test_update(bits: int, width: int):
    """Rows land at their positions; a position outside is not written; nothing else changes."""
    values = spread(2, 3, 5, width)
    codes = np.full((2, 3, 8, width * bits // 8), 0x5A, np.uint8)
    scales = np.full((2, 3, 8), 0x5A5A, np.uint16)
    wanted_codes, wanted_scales = codes.copy(), scales.copy()
    rows = quantize_rows(values.reshape(-1, width), bits)
    wanted_codes[:, :, [5, 2, 7]] = rows.codes().reshape(2, 3, 5, -1)[:, :, :3]
    wanted_scales[:, :, [5, 2, 7]] = rows.scales.reshape(2, 3, 5)[:, :, :3]
    call("quantized_cache_update", codes, scales, values, np.array([5, 2, 7, 8, -1]), 2, 3, 8, 5, width, bits)
    np.testing.assert_array_equal(codes, wanted_codes)
    np.testing.assert_array_equal(scales, wanted_scales)


@pytest.mark.parametrize("bits", [8, 4])
def test_update_at_every_significand_and_tie(bits: int):
    """Each scale of an octave, each integer of a row and the places half way between, and one ulp beside them."""
    ties = np.arange(-256, 257) / 2.0 if bits == 8 else np.arange(-15.0, 16.0)
    beside = [np.nextafter(np.float32(t), np.float32(way)) for t, way in itertools.product(ties, (-1e9, 1e9))]
    row = np.concatenate([ties, beside]).astype(np.float32)
    row = row[np.abs(row) <= (127 if bits == 8 else 15)]
    row = row[: len(row) // 2 * 2]
    values = (row * np.float32(2.0**-9) * np.arange(128, 257, dtype=np.float32)[:, None]).astype(np.float32)
    codes = np.zeros((129, len(row) * bits // 8), np.uint8)
    scales = np.zeros(129, np.uint16)
    call("quantized_cache_update", codes, scales, values, np.arange(129), 1, 1, 129, 129, len(row), bits)
    wanted = quantize_rows(values, bits)
    np.testing.assert_array_equal(codes, wanted.codes())
    np.testing.assert_array_equal(scales, wanted.scales)


@pytest.mark.parametrize("width", [1, 2, 8, 64, 256])
def test_hadamard(width: int):
    x, y = normal(7, width) * np.float32(3), np.empty((7, width), np.float32)
    call("hadamard", x, y, 7, width, 1 / width)
    np.testing.assert_array_equal(y, hadamard(x, 1 / width))
    call("hadamard", x, x, 7, width, 1 / width)
    np.testing.assert_array_equal(y, x)


TAYLOR = [1 / math.factorial(n) for n in range(12, -1, -1)]


def exponential(x: Doubles) -> Doubles:
    """runtime/elementary.h's, step by step."""
    x = np.clip(x, -708.0, 709.0)
    n = np.rint(x * float.fromhex("0x1.71547652b82fep+0"))
    r = (x - n * float.fromhex("0x1.62e42feep-1")) - n * float.fromhex("0x1.a39ef35793c76p-33")
    p = np.full_like(x, TAYLOR[0])
    for coefficient in TAYLOR[1:]:
        p = p * r + coefficient
    return np.ldexp(p, n.astype(np.int64))


def strands(products: Doubles) -> Doubles:
    """Sums over the last axis in eight strands, each in index order, joined in halves."""
    padded = np.pad(products, [(0, 0), (0, -products.shape[-1] % 8)]).reshape(len(products), -1, 8)
    sums = np.zeros((len(products), 8))
    for part in range(padded.shape[1]):
        sums = sums + padded[:, part]
    for half in (4, 2, 1):
        sums = sums[:, :half] + sums[:, half : 2 * half]
    return sums[:, 0]


def attend(q: Floats, k: CacheRows, v: CacheRows, scale: np.float32, mask: Floats | None) -> Floats:
    """C13 for one query over all rows."""
    dots = strands(q.astype(np.float64) * k.z) * bf16_values(k.scales).astype(np.float64)
    score = (dots * np.float64(scale)).astype(np.float32)
    if mask is not None:
        score = np.where(mask <= -3e38, np.float32(-np.inf), score + mask)
    seen = np.flatnonzero(score != -np.inf)
    if not len(seen):
        return np.zeros_like(q)
    p = exponential(score[seen].astype(np.float64) - score.max()).astype(np.float32).astype(np.float64)
    total, sums = 0.0, np.zeros(len(q))
    for weight, row in zip(p, seen, strict=True):
        total += weight
        sums = sums + weight * np.float64(bf16_values(v.scales[row : row + 1])[0]) * v.z[row]
    return (sums / total).astype(np.float32)


@pytest.mark.parametrize("bits", [(8, 8), (4, 4), (8, 4), (4, 8)])
@pytest.mark.parametrize("width", [64, 10])
@pytest.mark.parametrize("masked", [False, True])
def test_attention(bits: tuple[int, int], width: int, masked: bool):
    """Grouped heads, two tokens that see keys up to their positions, and a mask that excludes all of one's keys."""
    batch, heads, kv_heads, tokens, length = 2, 6, 2, 2, 11
    shape = (batch, kv_heads, length)
    q = normal(batch, heads, tokens, width) * np.float32(3)
    rows = [
        quantize_rows(normal(batch * kv_heads * length, width, seed=s), b) for s, b in zip((1, 2), bits, strict=True)
    ]
    positions = [4, 9]
    mask = normal(batch, 1, tokens, length, seed=3)
    mask[0, 0, 0, 1:3], mask[1, 0, 1] = -np.inf, np.finfo(np.float32).min
    y = np.empty_like(q)
    sizes = (batch, heads, kv_heads, tokens, length, width, *bits)
    tensors = [each for row in rows for each in (row.codes(), row.scales)]
    given = mask if masked else None
    call("quantized_attention", q, *tensors, np.array(positions), given, y, *sizes, 0.125, 1)
    for b, head, t in itertools.product(range(batch), range(heads), range(tokens)):
        keys, first = positions[t] + 1, int(np.ravel_multi_index((b, head // 3, 0), shape))
        k, v = (CacheRows(r.bits, r.z[first : first + keys], r.scales[first : first + keys]) for r in rows)
        wanted = attend(q[b, head, t], k, v, np.float32(0.125), mask[b, 0, t, :keys] if masked else None)
        np.testing.assert_array_equal(y[b, head, t].view(np.uint32), wanted.view(np.uint32))


def test_the_order_of_a_sum():
    """Large terms that cancel take the low bits of what their strand held: another order gives other scores."""
    random, keys, width = np.random.default_rng(5), 7, 64
    q = random.standard_normal(width).astype(np.float32)
    q[24:32] = random.standard_normal(8) * 2.0**44
    q[32:40] = -q[24:32]
    z = random.integers(-127, 128, (keys, width), np.int8)
    z[:, 32:40] = z[:, 24:32]
    k = CacheRows(8, z, np.full(keys, 0x3C00, np.uint16))
    v = quantize_rows(random.standard_normal((keys, width)).astype(np.float32), 8)
    y = np.empty_like(q)
    tensors = (k.codes(), k.scales, v.codes(), v.scales)
    call("quantized_attention", q, *tensors, None, None, y, 1, 1, 1, 1, keys, width, 8, 8, 1.0, 0)
    np.testing.assert_array_equal(y, attend(q, k, v, np.float32(1.0), None))


@pytest.mark.parametrize("bits", [(8, 32), (32, 4), (32, 32)])
def test_attention_with_floats_on_one_side(bits: tuple[int, int]):
    """Close to attention over what the codes read back as; the same in every bit where nothing is coded."""
    q, k, v = normal(1, 4, 1, 16), normal(2, 9, 16, seed=1), normal(2, 9, 16, seed=2)
    tensors: list[NDArray[np.generic] | None] = []
    back: list[Floats] = []
    for values, b in zip((k, v), bits, strict=True):
        rows = quantize_rows(values.reshape(-1, 16), b) if b < 32 else None
        tensors += [values, None] if rows is None else [rows.codes(), rows.scales]
        back.append(values[None] if rows is None else rows.values().reshape(1, 2, 9, 16))
    y = np.empty_like(q)
    call("quantized_attention", q, *tensors, None, None, y, 1, 4, 2, 1, 9, 16, *bits, 0.25, 0)
    wanted = attention(q, back[0], back[1], 0.25, causal=False)
    np.testing.assert_allclose(y, wanted, rtol=0 if bits == (32, 32) else 1e-5, atol=0 if bits == (32, 32) else 1e-6)
