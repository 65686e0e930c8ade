"""Rounding for known inputs: much less error than plain rounding, true errors, GPTQ's codes, always the same bits."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.numbers.pack import QuantizedRows, pack_layer
from elastix.compiler.numbers.quantize import dequantize, quantize
from elastix.compiler.precision import _rounding
from elastix.compiler.precision.rounding import DAMPING, InputMoments, Rounded, error_of, round_rows

F32, F64 = NDArray[np.float32], NDArray[np.float64]
KINDS = [("s8", "symmetric"), ("s8", "half_step"), ("s6", "symmetric"), ("s6", "half_step"), ("s8c8", "asymmetric")]
SOME = [Format(4, 64, "s8c8", "asymmetric"), Format(3, 32, "s6", "half_step"), Format(2, 128, "s8", "symmetric")]


def gaussian(n: int, k: int, scale: float = 1.0) -> F32:
    return (np.random.default_rng(n * k).standard_normal((n, k)) * scale).astype(np.float32)


def correlated(k: int, tokens: int = 2048) -> F64:
    """Second moments of inputs with a few common causes, columns of very different size, and a column always 0."""
    rng = np.random.default_rng(k)
    causes = rng.standard_normal((tokens, 1 + k // 8)) @ rng.standard_normal((1 + k // 8, k))
    x = (causes + rng.standard_normal((tokens, k))) * np.exp(rng.standard_normal(k))
    x[:, k // 2] = 0
    return x.T @ x


def alternating(k: int) -> F64:
    """Second moments of inputs whose neighbours have opposite signs, so that a whole group may move at little cost."""
    place = np.arange(k)
    return (-0.6) ** np.abs(place[:, None] - place)


def forms(e: NDArray[np.floating], moments: F64) -> F64:
    wide = e.astype(np.float64)
    return np.einsum("nk,nk->n", wide @ moments, wide)


def lost(w: F32, rows: QuantizedRows, moments: F64) -> F64:
    return forms(dequantize(rows).astype(np.float64) - w, moments)


def bf16(patterns: NDArray[np.uint16]) -> F64:
    return (patterns.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def damped(moments: F64) -> F64:
    return moments + DAMPING * moments.diagonal().mean() * np.eye(len(moments))


def same(a: Rounded, b: Rounded) -> bool:
    pairs = [(a.error, b.error), (a.energy, b.energy), (a.rows.zeros, b.rows.zeros)]
    pairs += [(getattr(a.rows, name), getattr(b.rows, name)) for name in ("codes", "scales", "rowscale")]
    return all(np.array_equal(x, y) if x is not None else y is None for x, y in pairs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", range(1, 9))
def test_correlated_inputs_gain_much(bits: int, kind: tuple[str, str]) -> None:
    w, moments, form = gaussian(32, 160, 0.02), correlated(160), Format(bits, 64, *kind)
    plain = lost(w, quantize(w, form).rows, moments).sum()
    known = InputMoments(moments)
    once, swept = (round_rows(w, known, form, sweeps=sweeps).error.sum() for sweeps in (0, 2))
    assert once < 0.5 * plain and swept < 0.995 * once


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("sweeps", [0, 2])
def test_no_worse_than_plain_rounding_where_inputs_say_nothing(bits: int, kind: tuple[str, str], sweeps: int) -> None:
    w, form = gaussian(64, 300, 0.02), Format(bits, 64, *kind)
    found = round_rows(w, InputMoments(np.eye(300)), form, sweeps=sweeps)
    assert found.error.sum() <= quantize(w, form).error * 1.001


@pytest.mark.parametrize("form", SOME, ids=str)
def test_every_code_is_that_of_the_textbook(form: Format) -> None:
    """GPTQ as published, in float64, on the grids that were found: inverse, Cholesky, one column after the other."""
    w, moments = gaussian(24, 150), correlated(150)
    rows = round_rows(w, InputMoments(moments), form, sweeps=0).rows
    hessian = damped(moments)
    order = np.argsort(-hessian.diagonal(), kind="stable")
    upper = np.linalg.cholesky(np.linalg.inv(hessian[np.ix_(order, order)])).T
    step = rows.scales * bf16(rows.rowscale)[:, None] * 16
    work, group = w.astype(np.float64)[:, order], np.arange(150) // form.group
    for k, column in enumerate(order):
        d, z = step[:, group[column]], rows.z16[:, group[column]] / 16
        q = np.clip(np.rint(work[:, k] / d + z), 0, (1 << form.bits) - 1)
        np.testing.assert_array_equal(rows.codes[:, column], q)
        work[:, k:] -= ((work[:, k] - d * (q - z)) / upper[k, k])[:, None] * upper[k, k:]


@pytest.mark.parametrize("form", SOME, ids=str)
@pytest.mark.parametrize("inputs", [correlated, alternating])
def test_no_sweep_makes_a_row_worse(form: Format, inputs: Callable[[int], F64]) -> None:
    w, moments = gaussian(40, 200), inputs(200)
    known = InputMoments(moments)
    errors = [lost(w, round_rows(w, known, form, sweeps=sweeps).rows, damped(moments)) for sweeps in range(4)]
    for before, after in itertools.pairwise(errors):
        assert (after <= before * (1 + 1e-5)).all()
    assert errors[3].sum() < 0.98 * errors[0].sum()


def test_sweeps_move_scales_and_zero_points_too() -> None:
    known = InputMoments(alternating(200))
    once, swept = (round_rows(gaussian(40, 200), known, SOME[0], sweeps=sweeps).rows for sweeps in (0, 2))
    assert once.zeros is not None and swept.zeros is not None
    assert (once.zeros != swept.zeros).mean() > 0.3 and (once.scales != swept.scales).mean() > 0.3


@pytest.mark.parametrize("form", SOME, ids=str)
@pytest.mark.parametrize("inputs", [correlated, alternating])
def test_many_sweeps_end_where_nothing_wants_to_move(form: Format, inputs: Callable[[int], F64]) -> None:
    w, moments = gaussian(24, 128), damped(inputs(128))
    rows = round_rows(w, InputMoments(moments, damping=1e-9), form, sweeps=60).rows
    group = np.arange(128) // form.group
    step, top = (rows.scales * bf16(rows.rowscale)[:, None] * 16), (1 << form.bits) - 1
    pull = (w - dequantize(rows).astype(np.float64)) @ moments
    codes = pull / moments.diagonal() / step[:, group]
    assert (codes < 0.501)[rows.codes < top].all() and (codes > -0.501)[rows.codes > 0].all()
    if rows.zeros is None:
        return
    for g in range(step.shape[1]):
        here = group == g
        # A higher zero point lowers every weight of the group by as much.
        wanted = -pull[:, here].sum(axis=1) / moments[np.ix_(here, here)].sum() / step[:, g] / form.z_step
        assert (np.abs(wanted) < 0.501).mean() > 0.9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_the_errors_it_reports_are_those_there_are(bits: int, kind: tuple[str, str]) -> None:
    w, moments, form = gaussian(19, 172, 0.02), correlated(172), Format(bits, 96, *kind)
    known = InputMoments(moments)
    found = round_rows(w, known, form)
    np.testing.assert_allclose(found.error, lost(w, found.rows, moments), rtol=1e-3)
    np.testing.assert_allclose(found.energy, forms(w, moments), rtol=1e-5)
    np.testing.assert_array_equal(error_of(w, found.rows, known), found.error)
    kept = quantize(w, form).rows
    np.testing.assert_allclose(error_of(w, kept, known), lost(w, kept, moments), rtol=1e-5)


@pytest.mark.parametrize("form", SOME, ids=str)
def test_threads_and_instruction_sets_change_nothing(form: Format) -> None:
    w, known = gaussian(75, 200), InputMoments(correlated(200))
    one = round_rows(w, known, form, threads=1)
    assert same(one, round_rows(w, known, form, threads=3))
    for rows in (w[:1], w[5:23]):
        assert np.array_equal(round_rows(rows, known, form).rows.codes[-1], one.rows.codes[0 if len(rows) == 1 else 22])
    widths = 0
    for name in ("generic", "avx2", "avx512"):
        try:
            other = round_rows(w, known, form, threads=1, instructions=name)
        except ValueError as refused:
            assert str(refused) == f"no {name} on this CPU"
            continue
        assert same(one, other)
        widths += 1
    assert widths >= 1


def test_the_size_of_weights_and_moments_changes_nothing() -> None:
    w, moments, form = gaussian(20, 96), correlated(96), SOME[0]
    one = round_rows(w, InputMoments(moments), form)
    other = round_rows(np.ldexp(w, -40), InputMoments(np.ldexp(moments, 90)), form)
    np.testing.assert_array_equal(other.rows.codes, one.rows.codes)
    np.testing.assert_array_equal(other.rows.scales, one.rows.scales)
    np.testing.assert_array_equal(other.rows.rowscale, one.rows.rowscale - (40 << 7))
    np.testing.assert_array_equal(other.error, np.ldexp(one.error, 10))


ODD = {
    "all zero": np.zeros((3, 70)),
    "subnormal": np.full((2, 40), 1e-40),
    "a zero row among others": np.concatenate([gaussian(2, 70), np.zeros((1, 70))]),
    "a zero group among others": np.concatenate([np.zeros((2, 64)), gaussian(2, 6)], axis=1),
    "constant rows": np.repeat(gaussian(3, 1), 70, axis=1),
    "one weight": np.array([[-0.3]]),
    "one column": gaussian(9, 1),
    "33 columns": gaussian(9, 33),
    "largest": np.full((2, 40), 3.4028234e38) * np.where(np.arange(40) % 2, 1, -1),
    "tiny": gaussian(3, 64, 1e-33),
    "one sign": -1 - np.abs(gaussian(3, 64)),
    "one large weight": np.concatenate([gaussian(2, 69), np.full((2, 1), 1e6)], axis=1),
}


@pytest.mark.parametrize(("name", "kind"), list(itertools.product(ODD, KINDS)))
@pytest.mark.parametrize("bits", [1, 3, 8])
def test_odd_weights(name: str, kind: tuple[str, str], bits: int) -> None:
    w = ODD[name].astype(np.float32)
    n, k = w.shape
    form, known = Format(bits, 32, *kind), InputMoments(correlated(k) if k > 1 else np.ones((1, 1)))
    rows = round_rows(w, known, form).rows
    assert pack_layer(rows, Geometry(form, n, k, 64))
    back = dequantize(rows)
    assert np.isfinite(back).all()
    assert rows.codes.max() < 1 << bits and rows.scales.max() <= form.scale_maximum
    exponents = rows.rowscale >> 7
    assert (exponents < 255).all() and ((exponents > 0) | (rows.rowscale == 0)).all()
    zero = np.abs(w).max(axis=1) < 2.0**-126
    assert not back[zero].any() and not rows.codes[zero].any() and not rows.rowscale[zero].any()
    # Little worse than to forget the weights where most of them must be; at 8 bits nearly nothing is lost.
    relative = round_rows(w, known, form).error.sum() / max(round_rows(w, known, form).energy.sum(), 1e-300)
    assert relative < (1e-4 if bits == 8 else 1.1)


@pytest.mark.parametrize("group", [32, 64, 96, 128, 256])
def test_groups_short_and_long(group: int) -> None:
    w, moments = gaussian(17, 300), correlated(300)
    for kind in KINDS:
        form = Format(4, group, *kind)
        found = round_rows(w, InputMoments(moments), form)
        assert pack_layer(found.rows, Geometry(form, 17, 300, 256))
        assert found.error.sum() < 0.2 * lost(w, quantize(w, form).rows, moments).sum()


def test_inputs_that_are_always_zero() -> None:
    w, form = gaussian(8, 96), Format(4, 32)
    moments = correlated(96)
    moments[:64], moments[:, :64] = 0, 0
    found = round_rows(w, InputMoments(moments), form)
    left = ((dequantize(found.rows) - w)[:, :64] ** 2).sum() / (w[:, :64] ** 2).sum()
    assert found.error.sum() < 0.01 * found.energy.sum() and left < 0.02
    none = round_rows(w, InputMoments(np.zeros((96, 96))), form)
    assert not none.error.any() and not none.energy.any()
    assert ((dequantize(none.rows) - w) ** 2).sum() < 1.01 * quantize(w, form).error


def test_weights_on_the_grid_come_back_exactly() -> None:
    form = Format(4, 32, "s8c8", "asymmetric")
    codes = np.random.default_rng(0).integers(0, 16, (6, 96))
    codes[:, ::32], codes[:, 1::32] = 0, 15
    w = ((16 * codes - 16 * 7) * 255 / 8192).astype(np.float32)
    np.testing.assert_array_equal(dequantize(round_rows(w, InputMoments(correlated(96)), form).rows), w)


def test_what_cannot_be_rounded() -> None:
    form, eye = Format(4), np.eye(64)
    w = gaussian(4, 64)
    w[3, 5] = np.nan
    with pytest.raises(ElastixError, match=r"NaN or infinity among the weights of model\.up_proj; wanted: finite"):
        round_rows(w, InputMoments(eye), form, name="model.up_proj")
    with pytest.raises(ElastixError, match=r"64 columns in model\.up_proj; wanted: 32, as its inputs have"):
        round_rows(w, InputMoments(np.eye(32)), form, name="model.up_proj")
    with pytest.raises(ElastixError, match="weights a layer of shape"):
        round_rows(np.zeros((0, 64), np.float32), InputMoments(eye), form)
    for bad in (np.nan, np.inf):
        with pytest.raises(ElastixError, match="NaN or infinity among the second moments of up_proj; wanted: finite"):
            InputMoments(eye * bad, name="up_proj")
    with pytest.raises(ElastixError, match="second moments of shape"):
        InputMoments(np.ones((3, 4)))
    with pytest.raises(ElastixError, match="second moments with negative eigenvalues; wanted: a sum of x·xᵀ"):
        InputMoments(np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(ElastixError, match="second moments with a negative diagonal"):
        InputMoments(np.diag([1.0, -1.0]))
    with pytest.raises(ElastixError, match="damping 0"):
        InputMoments(eye, damping=0)
    rows = quantize(gaussian(4, 64), form).rows
    with pytest.raises(ElastixError, match="codes for"):
        error_of(gaussian(5, 64), rows, InputMoments(eye))


def test_the_module_checks_shapes() -> None:
    known = InputMoments(np.eye(64))
    form = _rounding.Format(4, 64, 255, 8.0, 0.0, [1.0], 0)
    with pytest.raises(ValueError, match="weights and moments differ in columns"):
        _rounding.measure(gaussian(2, 32), known.view, form, None, np.empty(2), 1)
    with pytest.raises(ValueError, match="wanted one form for each row"):
        _rounding.measure(gaussian(2, 64), known.view, form, None, np.empty(3), 1)
