"""C15 to C18 and the weights of C21: worst errors against float64 over every place of every table, and corners.

The bounds are those that compiler/numbers/README.md states; each is met to a tenth, so that it says what is.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers import functions
from elastix.compiler.numbers.fp32 import LARGEST, Flags

Float64 = NDArray[np.float64]
PLACES = np.arange(1 << 20)
"""Every segment and offset: segment · 4096 + d."""


def complement(u: Float64) -> Float64:
    return np.array([math.erfc(v) for v in (u / math.sqrt(2)).tolist()]) / 2


def tanh_argument(u: Float64) -> Float64:
    return math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)


def logistic(u: Float64) -> Float64:
    return 1 / (1 + np.exp(np.minimum(-u, 700)))


REFERENCE: dict[str, Callable[[Float64], Float64]] = {
    "exp2": lambda f: np.exp2(-f),
    "reciprocal": lambda m: 1 / m,
    "rsqrt_even": lambda m: 1 / np.sqrt(m),
    "rsqrt_odd": lambda m: 1 / np.sqrt(2 * m),
    "silu": lambda u: logistic(-u),
    "gelu": complement,
    "gelu_tanh": lambda u: logistic(-2 * tanh_argument(u)),
}
GATE: dict[str, Callable[[Float64], Float64]] = {
    "silu": logistic,
    "gelu": lambda x: complement(-x),
    "gelu_tanh": lambda x: logistic(2 * tanh_argument(x)),
}
TABLE_ERRORS = {
    "exp2": 1.8e-7,
    "reciprocal": 1.9e-7,
    "rsqrt_even": 1.8e-7,
    "rsqrt_odd": 1.83e-7,
    "silu": 7.8e-7,
    "gelu": 1.05e-6,
    "gelu_tanh": 1.17e-6,
}
ACTIVATION_ERRORS = {"silu": 3.3e-6, "gelu": 3.8e-6, "gelu_tanh": 3.9e-6}


def worst(error: Float64, bound: float) -> None:
    found = float(np.abs(error).max())
    assert 0.9 * bound < found <= bound


@pytest.mark.parametrize("name", functions.TABLES)
def test_tables_at_every_place(name: str) -> None:
    """Absolute, at the place itself."""
    table = functions.TABLES[name]
    at = table.begin + PLACES / 4096 * float(table.width)
    y = functions.evaluate(name, PLACES >> 12, PLACES & 4095)
    worst(y * 2.0**-table.scale_bits - REFERENCE[name](at), TABLE_ERRORS[name])
    assert y.min() >= 0
    assert y.max() <= 1 << table.scale_bits


@pytest.mark.parametrize("name", ["exp2", "reciprocal", "rsqrt_even", "rsqrt_odd"])
def test_tables_never_rise(name: str) -> None:
    """Over their own range, and where the range begins again, one power of two (or its root) lower."""
    y = functions.evaluate(name, PLACES >> 12, PLACES & 4095)
    assert (np.diff(y) <= 0).all()
    follows = {"rsqrt_even": "rsqrt_odd", "rsqrt_odd": "rsqrt_even"}.get(name, name)
    first = functions.evaluate(follows, [0], [0])[0]
    assert y[-1] >= (first if name == "rsqrt_even" else first // 2)


def test_tables_are_numbers_of_a_few_bits() -> None:
    """What hardware keeps: 25 bits, 18 with sign, 11; first and last rows as they are by hand."""
    rows = np.concatenate([functions.coefficients(name) for name in functions.TABLES])
    assert (rows.min(axis=0).tolist(), rows.max(axis=0).tolist()) == ([0, -104615, 0], [1 << 24, 0, 1980])
    # 2^24·(1, 4/√(1 + 1/512) − 3 − 1/√(1 + 1/256), 2 + 2/√(1 + 1/256) − 4/√(1 + 1/512))
    assert functions.coefficients("rsqrt_even")[0].tolist() == [1 << 24, -32768, 96]
    assert functions.coefficients("silu")[-1].tolist() == [1, 0, 0]
    with pytest.raises(ElastixError, match="table 'exp'"):
        functions.coefficients("exp")


def test_evaluate_rounds_down_twice() -> None:
    c0, c1, c2 = (int(v) for v in functions.coefficients("gelu")[3])
    for d in (0, 1, 2047, 4095):
        wanted = c0 + math.floor((c1 + c2 * d // 4096) * d / 4096)
        assert functions.evaluate("gelu", 3, d) == wanted


def test_fix() -> None:
    x = np.array([0.0, -0.0, 1.0, -1.0, 1.9999999, -(2.0**-21), 3e-7, 2047.9999, 2048.0, -1e38, 1e-39], np.float32)
    limit = (1 << 31) - 1
    whole = [0, 0, 1 << 20, -(1 << 20), (1 << 21) - 1, 0, 0, 2147483520, limit, -limit, 0]
    assert functions.fix(x, 20).tolist() == whole
    assert functions.fix(np.float32(1.5), 16) == 98304


@pytest.mark.parametrize("exponent", [0, 1])
def test_reciprocals_of_every_significand(exponent: int) -> None:
    """Relative. The result is the same for 8 neighbours and the function falls: the first and last are the worst."""
    flags = Flags()
    errors: list[Float64] = []
    roots: list[Float64] = []
    for low in (0, 7):
        x = (((127 + exponent) << 23) | PLACES << 3 | low).astype(np.uint32).view(np.float32)
        errors.append(functions.recip(x, flags) * x.astype(np.float64) - 1)
        roots.append(functions.rsqrt(x, flags) * np.sqrt(x.astype(np.float64)) - 1)
    worst(np.concatenate(errors), 8.9e-7)
    worst(np.concatenate(roots), 4.7e-7)
    assert not flags.overflow


def test_reciprocals_at_the_ends() -> None:
    flags = Flags()
    x = np.array([2.0, -4.0, 2.0**-126, 2.0**126, 2.0**127, -(2.0**127)], np.float32)
    assert functions.recip(x, flags).tolist() == [0.5, -0.25, 2.0**126, 2.0**-126, 0.0, 0.0]
    assert functions.rsqrt(np.array([4.0, 2.0**-126, 2.0**126], np.float32), flags).tolist() == [0.5, 2.0**63, 2.0**-63]
    assert not flags.overflow
    zeros = np.array([0.0, -0.0, 1e-40], np.float32)
    assert functions.recip(zeros, flags).tolist() == [LARGEST, -LARGEST, LARGEST]
    assert flags.overflow
    flags = Flags()
    assert functions.rsqrt(np.zeros(1, np.float32), flags).tolist() == [LARGEST]
    assert flags.overflow
    with pytest.raises(ElastixError, match="negative"):
        functions.rsqrt(np.array([-1.0], np.float32), flags)


@pytest.mark.parametrize("name", GATE)
def test_activations_at_every_place(name: str) -> None:
    """Divided by max(1, |x|): both ends of all that a place stands for, both signs, and far beyond the table."""
    errors: list[Float64] = []
    flags = Flags()
    far = np.geomspace(16, 3e38, 999)
    for u in (PLACES * 2.0**-16, (PLACES + 1 - 2.0**-8) * 2.0**-16, far):
        for x in (u.astype(np.float32), -u.astype(np.float32)):
            exact = x.astype(np.float64)
            with np.errstate(over="ignore"):
                wanted = exact * GATE[name](exact)
            errors.append((functions.activation(name, x, flags) - wanted) / np.maximum(1, np.abs(exact)))
    worst(np.concatenate(errors), ACTIVATION_ERRORS[name])
    assert not flags.overflow


def test_activations_at_zero() -> None:
    x = np.array([0.0, -0.0, -3.0, 3.0, -1e-45], np.float32)
    relu = functions.activation("relu", x, Flags())
    assert relu.tolist() == [0.0, 0.0, 0.0, 3.0, 0.0]
    assert np.signbit(relu).tolist() == [False, True, True, False, True]
    for name in GATE:
        assert np.signbit(functions.activation(name, x, Flags())).tolist() == [False, True, True, False, True]
    with pytest.raises(ElastixError, match="'swish'"):
        functions.activation("swish", x, Flags())


def test_exponentials() -> None:
    """Absolute: the largest weight is 1. What C16 drops is worst where it rounds M down and the scores up."""
    generator = np.random.default_rng(2)
    unit, most = 2.0**-20, 15 / 16
    rows = [(-(np.arange(1 << 19) + part) * unit, above * unit) for part in (0, most) for above in (0, most)]
    rows += [(scores, scores.max()) for scores in generator.uniform(-2000, 2000) + generator.normal(size=(20, 2000))]
    errors: list[Float64] = []
    for scores, largest in rows:
        score = scores.astype(np.float32)
        p = functions.exponential(score, np.float32(largest))
        assert p.max() == 1 << 24
        assert (np.diff(p[np.argsort(score)]) >= 0).all()
        errors.append(p * 2.0**-24 - np.exp2(score.astype(np.float64) - float(np.float32(largest))))
    worst(np.concatenate(errors), 1.36e-6)


def test_exponentials_fall_over_all_powers() -> None:
    """Every place of the first octave and around each octave's end, down to nothing."""
    v = np.unique(np.concatenate([np.arange(1 << 20), *((n << 20) + np.arange(-9, 9) for n in range(1, 30))]))
    p = functions.exponential((-v * 2.0**-20).astype(np.float32), np.float32(0))
    assert (np.diff(p) <= 0).all()
    assert p[0] == 1 << 24
    assert p[-1] == 0
    assert functions.exponential(np.float32(-24), np.float32(0)) == 1
    assert functions.exponential(np.float32(-25), np.float32(0)) == 0
    with pytest.raises(ElastixError, match="above the largest"):
        functions.exponential(np.float32(1), np.float32(0))


def test_weights_and_their_sum() -> None:
    flags = Flags()
    w = functions.exponential_weight(np.array([1 << 24, 3, 0]), np.array([0.75, 2.0, 1.0], np.float32), flags)
    assert w.tolist() == [0.75, 6 * 2.0**-24, 0.0]
    assert functions.reciprocal_of_sum(1 << 24, flags) == 1
    assert functions.reciprocal_of_sum(4 << 24, flags) == 0.25
    assert not flags.overflow
