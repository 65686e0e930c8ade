"""Weights rounded so that a layer's outputs change least, for inputs whose second moments M = Σ x xᵀ are known.

The measure of a row's error e = w − ŵ is e·M·e, the squared error of its output summed over those inputs. Per row:

1. Grids: for each group CLIPPINGS of its range, each with step and zero point of weighted least squares; the row scale
   as in compiler/numbers/quantize.py; s and c8 among the neighbours on their integer grids. A column's weight is the
   geometric mean of M's diagonal (what its error costs alone) and of 1/U² in 2 (what it costs when the columns after it
   make up for it): on the layers of SmolLM2 that leaves less error than either, at nearly every width.
2. Columns in order of falling diagonal, groups fixed: each is rounded, and those to come make up for its error. The
   method is GPTQ (Frantar, Ashkboos, Hoefler, Alistarh: GPTQ, 2022), its order and fixed groups those of its authors'
   code (act-order, static groups).
3. Sweeps of coordinate descent on e·M·e: s and c8 of a group refitted to its codes, then each code to all others, as
   QuantEase (Behdin et al. 2023) and CDQuant (Nair, Suggala 2024) do for codes.

In 1 to 3, M has `damping` times its mean diagonal added to its diagonal. The work is C++ (panel.cpp), a row in each
lane of a vector: the same bits for any number of threads and any instruction set.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.pack import QuantizedRows
from elastix.compiler.precision import _rounding

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
DAMPING: Final = 0.01
CLIPPINGS: Final = (*np.linspace(1.05, 0.9, 10).tolist(), *np.linspace(0.85, 0.2, 6).tolist())
"""Parts of a group's range that its codes are tried on: some columns count so much that they are worth the others."""


class InputMoments:
    """Second moments of a linear's input with what rounding needs of them, factorized once for all its formats.

    second: Σ x xᵀ over any number of inputs, [K, K], symmetric up to rounding; inputs that are always 0 are allowed.
    damping: share of the mean diagonal that is added to the diagonal, above 0.
    Raises ElastixError, naming `name`, on values that are not finite and on matrices that are no second moments.
    """

    def __init__(self, second: F64 | F32, *, damping: float = DAMPING, name: str = "") -> None:
        of = f"second moments of {name}" if name else "second moments"
        if second.ndim != 2 or second.shape[0] != second.shape[1] or not second.size:
            raise ElastixError(f"{of} of shape {list(second.shape)}", wanted="a square matrix")
        if not np.isfinite(second).all():
            raise ElastixError(f"NaN or infinity among the {of}", wanted="finite moments")
        if not damping > 0:
            raise ElastixError(f"damping {damping}", wanted="a share of the mean diagonal above 0")
        matrix = second.astype(np.float64)
        matrix += matrix.T
        matrix /= 2
        diagonal = matrix.diagonal().copy()
        self.columns = len(diagonal)
        self.unit = float(diagonal.mean())
        """The mean diagonal, by which everything below is divided."""
        if self.unit > 0:
            matrix /= self.unit
            diagonal /= self.unit
        # Without any input every column counts alike.
        np.fill_diagonal(matrix, diagonal + (damping if self.unit > 0 else 1.0))
        if (diagonal < 0).any():
            raise ElastixError(f"{of} with a negative diagonal", wanted="a sum of x·xᵀ")
        self.order = np.argsort(-matrix.diagonal(), kind="stable").astype(np.int32)
        self.factor, left = _factor(matrix[np.ix_(self.order, self.order)], of)
        self.costs = np.empty(self.columns, np.float32)
        self.costs[self.order] = np.sqrt(left * matrix.diagonal()[self.order])
        self.matrix = matrix.astype(np.float32)
        self.diagonal = diagonal.astype(np.float32)
        self.view = _rounding.Moments(self.matrix, self.factor, self.diagonal, self.costs, self.order)


def _factor(matrix: F64, of: str) -> tuple[F32, F64]:
    """(L, left): L[j, k] for j > k is what column j gives for an error of column k, so that e·M·e grows least; it then
    grows by left[k] times the error's square.

    M = R·Rᵀ with R upper triangular makes M⁻¹ = UᵀU for U = R⁻¹, the Cholesky factor that GPTQ takes;
    L[j, k] = U[k, j] / U[k, k] and left[k] = 1 / U[k, k]².
    """
    try:
        lower = np.linalg.cholesky(matrix[::-1, ::-1]).astype(np.float64, copy=False)
    except np.linalg.LinAlgError:
        raise ElastixError(f"{of} with negative eigenvalues", wanted="a sum of x·xᵀ", do="raise the damping") from None
    # R's mirror image is lower triangular, and so is its inverse, U's.
    inverse = _lower_inverse(lower)[::-1, ::-1]
    own = inverse.diagonal()
    return np.ascontiguousarray((inverse / own[:, None]).T, np.float32), 1 / own**2


def _lower_inverse(lower: F64) -> F64:
    """The inverse of a lower triangular matrix, by halves."""
    n = len(lower)
    if n <= 64:
        return np.tril(np.linalg.inv(lower)).astype(np.float64, copy=False)
    half = n // 2
    inverse = np.zeros_like(lower)
    first, last = _lower_inverse(lower[:half, :half]), _lower_inverse(lower[half:, half:])
    inverse[:half, :half], inverse[half:, half:] = first, last
    inverse[half:, :half] = -last @ (lower[half:, :half] @ first)
    return inverse


@dataclass(frozen=True)
class Rounded:
    """Rows with what they lose: error = e·M·e and energy = w·M·w of each row, [N], M the moments undamped."""

    rows: QuantizedRows
    error: F64
    energy: F64


def _view(form: Format, sweeps: int) -> _rounding.Format:
    free = form.zero == "asymmetric"
    zero, zero_step = form.z16 / 16, form.z_step if free else 0.0
    return _rounding.Format(form.bits, form.group, form.scale_maximum, zero, zero_step, CLIPPINGS, sweeps)


def _arrays(rows: QuantizedRows) -> _rounding.Rows:
    """The rows as the C++ reads and writes them: the same memory where it is contiguous."""
    zeros = None if rows.zeros is None else np.ascontiguousarray(rows.zeros)
    codes, scales = np.ascontiguousarray(rows.codes), np.ascontiguousarray(rows.scales)
    return _rounding.Rows(codes, scales, zeros, np.ascontiguousarray(rows.rowscale))


def _checked(w: F32, moments: InputMoments, name: str) -> F32:
    """The weights as the C++ wants them; raises ElastixError where they do not go with the moments."""
    of = name or "a layer"
    if w.ndim != 2 or 0 in w.shape:
        raise ElastixError(f"weights {of} of shape {list(w.shape)}", wanted="two dimensions, neither of them 0")
    if w.shape[1] != moments.columns:
        raise ElastixError(f"{w.shape[1]} columns in {of}", wanted=f"{moments.columns}, as its inputs have")
    if not np.isfinite(w).all():
        raise ElastixError(f"NaN or infinity among the weights of {of}", wanted="finite weights")
    return np.ascontiguousarray(w, np.float32)


def _forms(w: F32, moments: InputMoments, form: Format, rows: _rounding.Rows | None, threads: int) -> F64:
    """e·M·e of each row, e being w − ŵ, or w itself without rows."""
    found = np.empty(len(w))
    _rounding.measure(w, moments.view, _view(form, 0), rows, found, threads)
    return found * moments.unit


def round_rows(
    w: F32,
    moments: InputMoments,
    form: Format,
    *,
    sweeps: int = 2,
    threads: int = 2,
    name: str = "",
    instructions: str = "",
) -> Rounded:
    """Rows [N, K] of a layer in a format, at little error; sweeps: of coordinate descent, 0 for GPTQ alone.

    A row of zeros gives zeros. instructions: generic, avx2, avx512 or, empty, the widest there are.
    Raises ElastixError that names the tensor on weights that are not finite or whose columns are not the moments'.
    """
    w = _checked(w, moments, name)
    n, k = w.shape
    groups = -(-k // form.group)
    rows = QuantizedRows(
        form,
        codes=np.empty((n, k), np.uint8),
        scales=np.empty((n, groups), np.uint8),
        rowscale=np.empty((n,), np.uint16),
        zeros=np.empty((n, groups), np.uint8) if form.zero == "asymmetric" else None,
    )
    view = _arrays(rows)
    _rounding.round_rows(w, moments.view, _view(form, sweeps), view, threads, instructions)
    error, energy = (_forms(w, moments, form, each, threads) for each in (view, None))
    return Rounded(rows, error, energy)


def error_of(w: F32, rows: QuantizedRows, moments: InputMoments, *, threads: int = 2, name: str = "") -> F64:
    """e·M·e of each row [N] for codes that there are already; raises as `round_rows` does."""
    w = _checked(w, moments, name)
    if w.shape != rows.codes.shape:
        raise ElastixError(f"codes for {list(rows.codes.shape)} weights", wanted=f"{list(w.shape)}, as {name} has")
    return _forms(w, moments, rows.format, _arrays(rows), threads)
