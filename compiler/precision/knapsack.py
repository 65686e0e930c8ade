"""A multiple-choice knapsack in floating point: one column of each row, least cost, Σ weights within the limits.

Three steps. A good choice by Lagrange multipliers (Everett 1963). Then what cannot be part of a better one is dropped:
with multipliers μ ≥ 0 each column's c + μ·w bounds from below what any choice with it costs (reduced-cost fixing, as
Sinha and Zoltners 1979 use it); that leaves a few of a hundred columns. The rest is HiGHS' (Huangfu and Hall 2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import highspy
import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError

F64 = NDArray[np.float64]
Columns = tuple[int, ...]
"""The chosen column of each row."""
GAP: Final = 1e-5
"""How far from the optimum a solution may be, relative to what can be gained; costs are measured to far less."""
_MAXIMUM: Final = 1e4
"""What each cost is scaled to at most: HiGHS' tolerances of 1e-7 are then small beside what matters."""
_HALVINGS: Final = 60


@dataclass(frozen=True)
class Knapsack:
    """cost [rows, columns], weights [limits, rows, columns], all ≥ 0, each row's least being 0; limits [limits] ≥ 0.

    Rows are padded on the right with columns of infinite cost.
    """

    cost: F64
    weights: F64
    limits: F64

    @classmethod
    def of(cls, cost: Sequence[Sequence[float]], weights: Sequence[Any], limits: Sequence[float]) -> "Knapsack":
        """The problem scaled so that the largest cost, and the largest weight of each limit, are _MAXIMUM."""
        scaled = [_scaled(_padded(each, 0.0)) for each in weights]
        # A limit beyond all weights together says nothing, and could be infinite when scaled.
        most = [float(each.max(axis=1).sum()) for each, _ in scaled]
        allowed = [limit / unit * _MAXIMUM for limit, (_, unit) in zip(limits, scaled, strict=True)]
        return cls(_scaled(_padded(cost, np.inf))[0], np.stack([each for each, _ in scaled]), np.minimum(allowed, most))

    def used(self, columns: Sequence[int]) -> F64:
        """Σ of each weight: [limits]."""
        return self.weights[:, np.arange(len(columns)), list(columns)].sum(axis=1)

    def total(self, columns: Sequence[int]) -> float:
        """Σ of the costs."""
        return float(self.cost[np.arange(len(columns)), list(columns)].sum())

    def fits(self, columns: Sequence[int]) -> bool:
        """Whether all limits hold."""
        return bool((self.used(columns) <= self.limits).all())

    def priced(self, multipliers: F64) -> F64:
        """c + μ·w of each column."""
        return self.cost + np.tensordot(multipliers, self.weights, 1)

    def fixed(self, row: int, column: int) -> "Knapsack":
        """The same with one row's choice made."""
        cost = self.cost.copy()
        cost[row, np.arange(cost.shape[1]) != column] = np.inf
        return Knapsack(cost, self.weights, self.limits)


def optimum(problem: Knapsack) -> Columns | None:
    """The least cost, to GAP; None if nothing is within the limits. The same answer each time."""
    best = near_optimum(problem)
    if best is None:
        return _solved(problem)
    for part in _parts(problem):
        rest = _pruned(part, problem.total(best))
        found = None if rest is None else _solved(rest)
        if found is not None and problem.total(found) < problem.total(best):
            best = found
    return best


def near_optimum(problem: Knapsack) -> Columns | None:
    """A choice within the limits and little above the least cost; None if the multipliers lead to none."""
    found: list[tuple[float, Columns]] = []
    for part in _parts(problem):
        columns = _by_multipliers(part)
        if columns is not None:
            filled = _filled(part, columns)
            found.append((problem.total(filled), filled))
    return min(found, default=(0.0, None))[1]


def _parts(problem: Knapsack) -> list[Knapsack]:
    """The problem for each column of the row of the widest weights.

    Multipliers bound badly what a single row is a large part of; in a language model that is the head.
    """
    row = int(problem.weights.max(axis=(0, 2)).argmax())
    return [problem.fixed(row, int(column)) for column in np.flatnonzero(np.isfinite(problem.cost[row]))]


def _pruned(problem: Knapsack, cutoff: float) -> Knapsack | None:
    """The problem without the columns that no choice cheaper than `cutoff` has; None if there is no such choice."""
    multipliers = _multipliers(problem)
    priced = problem.priced(multipliers)
    least = priced.min(axis=1)
    gap = cutoff * (1 - GAP) - float(least.sum() - multipliers @ problem.limits)
    if gap < 0:
        return None
    return Knapsack(np.where(priced - least[:, None] <= gap, problem.cost, np.inf), problem.weights, problem.limits)


def _solved(problem: Knapsack) -> Columns | None:
    """The least cost by HiGHS; None if nothing is within the limits."""
    finite = np.isfinite(problem.cost)
    highs = _highs(problem, finite, integer=True)
    highs.run()
    status = highs.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        return None
    if status != highspy.HighsModelStatus.kOptimal:
        raise ElastixError(f"HiGHS ended with {highs.modelStatusToString(status)}", wanted="an optimum")
    values = np.full(problem.cost.shape, -1.0)
    values[finite] = highs.getSolution().col_value
    return tuple(int(column) for column in values.argmax(axis=1))


def _padded(rows: Sequence[Sequence[float]], fill: float) -> F64:
    padded = np.full((len(rows), max(map(len, rows), default=0)), fill)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return padded


def _scaled(values: F64) -> tuple[F64, float]:
    """The values over their largest finite one, times _MAXIMUM; and that largest one, 1 where all are 0."""
    unit = float(values[np.isfinite(values)].max(initial=0)) or 1.0
    return values / unit * _MAXIMUM, unit


def _multipliers(problem: Knapsack) -> F64:
    """The best multipliers: the duals of the problem's linear relaxation. Any μ ≥ 0 would be valid."""
    highs = _highs(problem, np.isfinite(problem.cost), integer=False)
    highs.run()
    duals = np.array(highs.getSolution().row_dual[len(problem.cost) :])
    return np.maximum(-duals, 0)


def _by_multipliers(problem: Knapsack) -> Columns | None:
    """Each row's least c + t·μ·w, for the least t that leaves the choice within the limits."""
    direction = _multipliers(problem) if len(problem.limits) > 1 else np.zeros(1)
    if not direction.any():
        direction = np.ones_like(direction)

    def at(t: float) -> Columns:
        return tuple(int(column) for column in problem.priced(t * direction).argmin(axis=1))

    low, high = 0.0, 1.0
    while not problem.fits(at(high)):
        high *= 4
        if high > 1e15:
            return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if problem.fits(at(middle)) else (middle, high)
    return at(high)


def _filled(problem: Knapsack, columns: Columns) -> Columns:
    """What is left of the limits spent, always on the change that gains most."""
    now = list(columns)
    rows = np.arange(len(now))
    while True:
        gain = problem.cost[rows, now][:, None] - problem.cost
        more = problem.weights - problem.weights[:, rows, now][..., None]
        room = problem.limits - problem.used(now)
        gain[(more > room[:, None, None]).any(axis=0)] = 0
        row, column = (int(each) for each in np.unravel_index(gain.argmax(), gain.shape))
        if gain[row, column] <= 0:
            return tuple(now)
        now[row] = column


def _highs(problem: Knapsack, finite: NDArray[np.bool_], *, integer: bool) -> Any:
    """The problem in HiGHS: a variable for each finite column, an equality for each row, then the limits."""
    rows, limits = len(problem.cost), len(problem.limits)
    row_of, _ = np.nonzero(finite)
    count = len(row_of)
    model = cast(Any, highspy.HighsLp())
    model.num_col_, model.num_row_ = count, rows + limits
    model.col_cost_ = problem.cost[finite]
    model.col_lower_, model.col_upper_ = np.zeros(count), np.ones(count)
    model.row_lower_ = np.concatenate([np.ones(rows), np.full(limits, -highspy.kHighsInf)])
    model.row_upper_ = np.concatenate([np.ones(rows), problem.limits])
    entries = np.concatenate([np.ones((1, count)), problem.weights[:, finite]])
    places = np.concatenate([row_of[None], np.repeat(np.arange(rows, rows + limits)[:, None], count, axis=1)])
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = np.arange(0, count * (limits + 1) + 1, limits + 1)
    model.a_matrix_.index_ = places.T.reshape(-1)
    model.a_matrix_.value_ = entries.T.reshape(-1)
    if integer:
        model.integrality_ = [highspy.HighsVarType.kInteger] * count
    highs = cast(Any, highspy.Highs())
    for name, value in {"output_flag": False, "threads": 1, "random_seed": 0, "mip_rel_gap": GAP}.items():
        highs.setOptionValue(name, value)
    highs.passModel(model)
    return highs
