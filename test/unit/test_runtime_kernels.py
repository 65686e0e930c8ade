"""Host kernels against float64, each with its error stated; the same bits on every machine, however many threads.

The unit of the bounds is U, half a unit in the last place of fp32: what one rounding may cost, relatively.
"""

import ctypes
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from elastix.compiler.numbers.fp32 import Flags
from elastix.compiler.numbers.oracle import add_bias
from elastix.runtime import library_path

U = 2.0**-24
LIBRARY = ctypes.CDLL(str(library_path()))
KINDS = {"silu": 0, "gelu": 1, "gelu_tanh": 2, "relu": 3}
Floats = NDArray[np.float32]


def call(name: str, *arguments: NDArray[Any] | int | float | None) -> None:
    """Call a kernel: arrays as pointers, None as null, float as its 32-bit pattern, int in 64 bits (enough for 32)."""

    def convert(value: NDArray[Any] | int | float | None) -> Any:
        if value is None:
            return ctypes.c_void_p(0)
        if isinstance(value, np.ndarray):
            assert value.flags.c_contiguous
            return ctypes.c_void_p(value.ctypes.data)
        if isinstance(value, float):
            return ctypes.c_int32(struct.unpack("<i", struct.pack("<f", value))[0])
        return ctypes.c_int64(value)

    function = getattr(LIBRARY, f"elastix_{name}")
    function.restype = None
    function(*(convert(value) for value in arguments))


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def exact(array: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(array).double()


def assert_within(found: Floats, wanted: torch.Tensor, roundings: float, absolute: float = 0.0) -> None:
    np.testing.assert_allclose(found, wanted.numpy(), rtol=roundings * U, atol=absolute)


@pytest.mark.parametrize(("rows", "k"), [(1, 576), (3, 65), (2, 1)])
def test_rms_norm(rows: int, k: int) -> None:
    """Three roundings: the root, and the two products."""
    x, weight, y = normal(rows, k), normal(k, seed=1), np.empty((rows, k), np.float32)
    call("rms_norm", x, weight, y, rows, k, 1e-5)
    eps = float(np.float32(1e-5))
    assert_within(y, exact(weight) * exact(x) / (exact(x).pow(2).mean(-1, keepdim=True) + eps).sqrt(), 3.01)


@pytest.mark.parametrize(("rows", "k"), [(1, 576), (3, 65)])
def test_layer_norm(rows: int, k: int) -> None:
    """Three roundings, the last one of a sum: absolute where it cancels."""
    x, weight, bias, y = normal(rows, k), normal(k, seed=1), normal(k, seed=2), np.empty((rows, k), np.float32)
    call("layer_norm", x, weight, bias, y, rows, k, 1e-5)
    wanted = torch.nn.functional.layer_norm(exact(x), (k,), exact(weight), exact(bias), float(np.float32(1e-5)))
    largest = float((exact(weight).abs() * 4).max())
    assert_within(y, wanted, 1.01, absolute=2 * U * largest)


@pytest.mark.parametrize("scaling", [1.0, 1.25])
@pytest.mark.parametrize("positions", [[0], [7, 8, 9], [2047, 131071]])
def test_rope(positions: Sequence[int], scaling: float) -> None:
    """The angle is rounded as PyTorch rounds it; then the sines, the two products and their sum."""
    batch, heads, head_dim, tokens = 2, 3, 64, len(positions)
    x, y = normal(batch, heads, tokens, head_dim), np.empty((batch, heads, tokens, head_dim), np.float32)
    inv_freq = (10000.0 ** -(np.arange(32) / 32)).astype(np.float32)
    call("rope", x, np.array(positions), inv_freq, y, batch, heads, tokens, head_dim, scaling)
    angle = exact(np.float32(positions)[:, None] * inv_freq)
    cos, sin = (torch.cat([f(angle), f(angle)], -1) * scaling for f in (torch.cos, torch.sin))
    low, high = exact(x).chunk(2, -1)
    assert_within(y, exact(x) * cos + torch.cat([-high, low], -1) * sin, 1.01, absolute=4 * U * 4 * scaling)


def test_sines_of_large_angles() -> None:
    """Through rope of (1, 0): absolute error below U up to 2^19."""
    positions = np.array([0, 1, 2, 3, 1000, 52174, 354, 103993, 208341, 312689, 2**19])
    x = np.tile(np.float32([1, 0]), (len(positions), 1))
    y = np.empty_like(x)
    call("rope", x, positions, np.ones(1, np.float32), y, 1, 1, len(positions), 2, 1.0)
    angle = torch.from_numpy(positions).double()
    assert_within(y, torch.stack([angle.cos(), angle.sin()], -1), 1.001)


def test_cache_update() -> None:
    cache, values = normal(2, 3, 8, 4), normal(2, 3, 2, 4, seed=1)
    wanted = cache.copy()
    wanted[:, :, [5, 2]] = values
    call("cache_update", cache, values, np.array([5, 2]), 2, 3, 8, 2, 4)
    np.testing.assert_array_equal(cache, wanted)
    call("cache_update", cache, values, np.array([8, -1]), 2, 3, 8, 2, 4)
    np.testing.assert_array_equal(cache, wanted)


def attention(
    q: Floats,
    k: Floats,
    v: Floats,
    scale: float,
    *,
    causal: bool,
    positions: list[int] | None = None,
    mask: Floats | None = None,
) -> Floats:
    (batch, heads, tokens, head_dim), (kv_heads, length) = q.shape, k.shape[1:3]
    y = np.empty_like(q)
    where = None if positions is None else np.array(positions)
    call("attention", q, k, v, where, mask, y, batch, heads, kv_heads, tokens, length, head_dim, scale, int(causal))
    return y


def attention_exact(q: Floats, k: Floats, v: Floats, scale: float, mask: NDArray[Any]) -> torch.Tensor:
    """mask: additive, [T, S] or [B, 1, T, S]."""
    groups = q.shape[1] // k.shape[1]
    keys, values = (exact(a).repeat_interleave(groups, 1) for a in (k, v))
    scores = exact(q) @ keys.transpose(-1, -2) * scale + exact(mask.astype(np.float64))
    return scores.softmax(-1) @ values


# A score of size s is rounded to fp32, which moves its weight by s·U; |s| < 8 here, values are below 5.
ATTENTION_ERROR = 5 * 2 * 8 * U


@pytest.mark.parametrize(
    ("heads", "kv_heads", "head_dim", "length"), [(9, 3, 64, 37), (4, 4, 8, 8), (2, 1, 5, 1), (8, 4, 8, 300)]
)
def test_attention_of_a_decode_step(heads: int, kv_heads: int, head_dim: int, length: int) -> None:
    """One query against a static cache: it sees keys up to its position, and none of what lies beyond."""
    q, k, v = (
        normal(2, heads, 1, head_dim),
        normal(2, kv_heads, length, head_dim, seed=1),
        normal(2, kv_heads, length, head_dim, seed=2),
    )
    scale = head_dim**-0.5
    position = length // 2
    y = attention(q, k, v, scale, causal=True, positions=[position])
    mask = np.where(np.arange(length) <= position, 0.0, -np.inf)[None]
    assert_within(y, attention_exact(q, k, v, float(np.float32(scale)), mask), 1.0, ATTENTION_ERROR)
    k[:, :, position + 1 :], v[:, :, position + 1 :] = np.nan, np.nan
    np.testing.assert_array_equal(attention(q, k, v, scale, causal=True, positions=[position]), y)


def test_attention_of_a_prompt() -> None:
    """Without positions the last query sees every key."""
    q, k, v = normal(1, 6, 5, 16), normal(1, 2, 11, 16, seed=1), normal(1, 2, 11, 16, seed=2)
    mask = np.where(np.arange(11) <= np.arange(5)[:, None] + 6, 0.0, -np.inf)
    assert_within(attention(q, k, v, 0.25, causal=True), attention_exact(q, k, v, 0.25, mask), 1.0, ATTENTION_ERROR)


def test_attention_with_a_mask() -> None:
    """Additive, per batch; the least fp32 and −∞ both exclude; a query that sees nothing gives 0."""
    q, k, v = normal(2, 4, 3, 8), normal(2, 2, 9, 8, seed=1), normal(2, 2, 9, 8, seed=2)
    mask = normal(2, 1, 3, 9, seed=3)
    mask[0, 0, 0, 4:], mask[1, 0, 1, :5] = np.finfo(np.float32).min, -np.inf
    wanted = attention_exact(q, k, v, 0.5, np.where(mask < -1e30, -np.inf, mask))
    assert_within(attention(q, k, v, 0.5, causal=False, mask=mask), wanted, 1.0, 2 * ATTENTION_ERROR)
    mask[0, 0, 2] = -np.inf
    assert not attention(q, k, v, 0.5, causal=False, mask=mask)[0, :, 2].any()


def test_attention_with_large_scores() -> None:
    """The maximum is taken away before the exponential."""
    q, k, v = 300 * normal(1, 1, 1, 8), 300 * normal(1, 1, 7, 8, seed=1), normal(1, 1, 7, 8, seed=2)
    best = int(np.argmax(q[0, 0, 0] @ k[0, 0].T))
    np.testing.assert_array_equal(attention(q, k, v, 1.0, causal=False)[0, 0, 0], v[0, 0, best])


REFERENCES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": torch.nn.functional.silu,
    "gelu": lambda x: 0.5 * x * torch.special.erfc(-x / 2**0.5),
    "gelu_tanh": lambda x: x * torch.sigmoid(2 * (2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)),
    "relu": torch.relu,
}


def arguments() -> Floats:
    """Every size of number that an activation meets, of both signs, 0 too."""
    sizes = np.concatenate([np.linspace(0, 12, 4001), np.logspace(-30, 30, 601), [88.0, 89.0, 104.0, 709.0, 1000.0]])
    return np.concatenate([sizes, -sizes]).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_activation(kind: str) -> None:
    """One rounding, and 2e-9 of it for the functions; below 1e-30 the tail counts as absolute.

    gelu_tanh keeps its relative error while 1 + tanh does not cancel, above −5; below, it is absolute, 1e-15.
    """
    x = arguments()
    y = np.empty_like(x)
    call("activation", x, y, x.size, KINDS[kind])
    assert_within(y, REFERENCES[kind](exact(x)), 1.04, absolute=1e-14 if kind == "gelu_tanh" else 1e-30)


@pytest.mark.parametrize("kind", KINDS)
def test_gated_activation(kind: str) -> None:
    """The activation, rounded, times `up`, rounded; y may be gate."""
    gate, up = normal(1536) * 4, normal(1536, seed=1)
    plain = np.empty_like(gate)
    call("activation", gate, plain, gate.size, KINDS[kind])
    call("gated_activation", gate, up, gate, gate.size, KINDS[kind])
    np.testing.assert_array_equal(gate, plain * up)


def test_residual_bias_and_copy() -> None:
    a, b, y = normal(3, 7), normal(3, 7, seed=1), np.empty((3, 7), np.float32)
    call("residual", a, b, y, 21)
    np.testing.assert_array_equal(y, a + b)
    call("add_bias", y, b[0].copy(), 3, 7)
    np.testing.assert_array_equal(y, (a + b) + b[0])
    call("copy", a, y, a.nbytes)
    np.testing.assert_array_equal(y, a)


def test_bias_is_the_oracles() -> None:
    """C10 at its edges: subnormal operands and results, overflow, signed zeros."""
    edges = np.float32([0.0, -0.0, 1e-40, -1e-40, 1.2e-38, -1.3e-38, 3.4e38, -3.4e38, 1.0, -1.0])
    y = np.ascontiguousarray(np.repeat(edges[:, None], len(edges), axis=1))
    wanted = add_bias(y, edges, Flags())
    call("add_bias", y, edges, *y.shape)
    np.testing.assert_array_equal(y.view(np.uint32), wanted.view(np.uint32))


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
@pytest.mark.parametrize(
    ("shape", "permutation"), [((2, 3, 4, 5), (0, 2, 1, 3)), ((3, 4), (1, 0)), ((5,), (0,)), ((2, 1, 3), (2, 0, 1))]
)
def test_transpose(shape: tuple[int, ...], permutation: tuple[int, ...], dtype: type[Any]) -> None:
    x = np.arange(np.prod(shape)).astype(dtype).reshape(shape)
    wanted = np.ascontiguousarray(x.transpose(permutation))
    y = np.zeros_like(wanted)
    call("transpose", x, y, len(shape), np.array(shape, np.int64), np.array(permutation, np.int64), x.itemsize)
    np.testing.assert_array_equal(y, wanted)


def test_transpose_of_nothing_and_of_a_scalar() -> None:
    x, y, none = np.float32([3.0]), np.float32([0.0]), np.zeros(0, np.int64)
    call("transpose", x, y, 0, none, none, 4)
    assert y[0] == 3
    call("transpose", x, y, 1, np.array([0]), np.array([0]), 4)


def fingerprint() -> dict[str, int]:
    """CRC-32 of each kernel's results on inputs that are exact in fp32 whatever made them."""
    generator = np.random.default_rng(7)

    def floats(*shape: int) -> Floats:
        return (generator.integers(-(1 << 20), 1 << 20, shape) / (1 << 18)).astype(np.float32)

    x, weight, y = floats(7, 300), floats(300), np.empty((7, 300), np.float32)
    found: dict[str, int] = {}
    call("rms_norm", x, weight, y, 7, 300, 2.0**-17)
    found["rms_norm"] = zlib.crc32(y.tobytes())
    call("layer_norm", x, weight, weight, y, 7, 300, 2.0**-17)
    found["layer_norm"] = zlib.crc32(y.tobytes())
    for kind, code in KINDS.items():
        call("activation", x, y, x.size, code)
        found[kind] = zlib.crc32(y.tobytes())
    q, k, v = floats(1, 6, 5, 50), floats(1, 2, 99, 50), floats(1, 2, 99, 50)
    found["attention"] = zlib.crc32(attention(q, k, v, 0.125, causal=True).tobytes())
    turned = np.empty_like(q)
    call("rope", q, np.arange(500, 505), np.float32(2.0) ** -np.arange(25, dtype=np.float32), turned, 1, 6, 5, 50, 1.0)
    found["rope"] = zlib.crc32(turned.tobytes())
    return found


PINNED = {
    "rms_norm": 1780924528,
    "layer_norm": 1628489021,
    "silu": 2231456744,
    "gelu": 2668274638,
    "gelu_tanh": 3424687113,
    "relu": 3266465350,
    "attention": 207809322,
    "rope": 4109846547,
}
"""What `fingerprint` gives, wherever it runs."""


def test_the_same_bits_on_every_machine() -> None:
    assert fingerprint() == PINNED


def test_the_same_bits_for_any_number_of_threads() -> None:
    program = "import test_runtime_kernels as t; print(sorted(t.fingerprint().items()))"
    path = os.pathsep.join(p for p in (os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")) if p)
    for threads in "13":
        environment = {**os.environ, "PYTHONPATH": path, "ELASTIX_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == str(sorted(PINNED.items()))
