"""Which format each layer gets: the exact integer program, one format a layer.

Minimize Σ kl of the chosen formats subject to Σ bytes and Σ cycles, or Σ bytes subject to Σ kl: a multiple-choice
knapsack (Sinha and Zoltners 1979), which knapsack.py solves with HiGHS. That works in floating point, so what it finds
is checked against the limits exactly here, and asked for again with a tighter limit where it falls short.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.formats import Format
from elastix.compiler.precision.knapsack import Knapsack, near_optimum, optimum

COSTS: Final = ("bytes", "cycles", "kl")
_TIGHTER: Final = Fraction(1, 10**9)
"""Part of what is left beyond the least by which a limit is tightened where HiGHS went over it."""


@dataclass(frozen=True)
class Choice:
    """One way to write one layer.

    bytes: that cross the channels for one token; cycles: of the engine for one token; kl: what it adds to the KL to
    fp32, nats, at least 0.
    """

    format: Format
    bytes: int
    cycles: int
    kl: float


@dataclass(frozen=True)
class Point:
    """One allocation of a whole model, as far as a curve shows it: bytes a token, KL in nats."""

    bytes: int
    kl: float


class TargetMissed(ElastixError):
    """No choice of formats meets the limits.

    what: the cost whose limit is too small, one of COSTS; limit: that limit; nearest: the least value of it that can be
    had under the other limits.
    """

    def __init__(self, what: str, limit: float, nearest: float) -> None:
        self.what, self.limit, self.nearest = what, limit, nearest
        found, least = (f"{each:.4g} nats" if what == "kl" else f"{each:,.0f}" for each in (limit, nearest))
        name = "a KL" if what == "kl" else f"{what} a token"
        super().__init__(f"no choice of formats has {name} of at most {found}", wanted=f"at least {least}")


Layers = Mapping[str, Sequence[Choice]]
Allocation = dict[str, Choice]
Limits = Mapping[str, Fraction]


def allocate(
    layers: Layers,
    *,
    at_most_bytes: int | None = None,
    at_most_cycles: int | None = None,
    at_most_kl: float | None = None,
) -> Allocation:
    """One choice for each layer: of least Σ kl under the limits, or, if Σ kl has a limit itself, of least Σ bytes.

    The optimum to 1e-5 of what can be gained, the same each time. Limits hold exactly; of two allocations a billionth
    apart the one that uses a limit up may be missed. Raises TargetMissed,
    naming the nearest limit that can be met, and ElastixError for a layer without choices or a KL that is negative or
    not finite.
    """
    _check(layers)
    given = dict(zip(COSTS, (at_most_bytes, at_most_cycles, at_most_kl), strict=True))
    limits = {cost: Fraction(limit) for cost, limit in given.items() if limit is not None}
    return _least(layers, "kl" if at_most_kl is None else "bytes", limits) or _nearest(layers, limits)


def frontier(layers: Layers, steps: int) -> list[Point]:
    """The curve of little KL at a size: `steps` sizes evenly from the smallest to that of the least KL, by bytes.

    Each point is an allocation, within about a thousandth of the least KL; `allocate` takes seconds to find the least.
    """
    _check(layers)
    smallest = sum(min(each.bytes for each in choices) for choices in layers.values())
    largest = sum(each.bytes for each in allocate(layers).values())
    points: list[Point] = []
    kept = {name: undominated(choices, ("kl", "bytes")) for name, choices in layers.items()}
    for step in range(steps):
        size = smallest + (largest - smallest) * step // max(steps - 1, 1)
        found = near_optimum(_knapsack(kept, "kl", {"bytes": Fraction(size)}))
        assert found is not None, "the smallest size can be met"
        points.append(point_of(_picked(kept, found)))
    return list(dict.fromkeys(points))


def point_of(allocation: Allocation) -> Point:
    """What an allocation costs in all."""
    return Point(sum(each.bytes for each in allocation.values()), sum(each.kl for each in allocation.values()))


def undominated(choices: Sequence[Choice], costs: Sequence[str]) -> list[Choice]:
    """The choices that no other equals or beats in every one of these costs; of equal ones the first."""
    ordered = sorted(choices, key=lambda each: _values(each, costs))
    values = np.array([_values(each, costs) for each in ordered])
    kept: list[int] = []
    for place, here in enumerate(values):
        if not (values[kept] <= here).all(axis=1).any():
            kept.append(place)
    return [ordered[place] for place in kept]


def _values(choice: Choice, costs: Sequence[str]) -> list[float]:
    return [getattr(choice, cost) for cost in costs]


def _check(layers: Layers) -> None:
    if not layers:
        raise ElastixError("no layers to choose formats for", wanted="a model with linear layers")
    for name, choices in layers.items():
        if not choices:
            raise ElastixError(f"{name} without a format to choose", wanted="at least one")
        for each in choices:
            if not 0 <= each.kl < float("inf"):
                raise ElastixError(f"{name} in format {each.format} with a KL of {each.kl}", wanted="0 or more")


def _exact(choice: Choice, cost: str) -> Fraction:
    return Fraction(*_values(choice, (cost,)))


def _total(allocation: Allocation, cost: str) -> Fraction:
    return sum((_exact(each, cost) for each in allocation.values()), Fraction(0))


def _nearest(layers: Layers, limits: Limits) -> Allocation:
    """An allocation within the limits; raises TargetMissed for the first that cannot be met beside those before it."""
    met: dict[str, Fraction] = {}
    found: Allocation = {}
    for cost, limit in limits.items():
        found = _least(layers, cost, met) or found
        if (least := _total(found, cost)) > limit:
            raise TargetMissed(cost, float(limit), float(least))
        met[cost] = limit
    return found


def _least(layers: Layers, objective: str, limits: Limits) -> Allocation | None:
    """The allocation of least `objective` within the limits, or None where there is none that uses them less than to a
    billionth."""
    costs = (objective, *(cost for cost in limits if cost != objective))
    kept = {name: undominated(choices, costs) for name, choices in layers.items()}
    smallest = {cost: _smallest(kept, cost) for cost in costs}
    slack = {cost: limit - _total(smallest[cost], cost) for cost, limit in limits.items()}
    if any(left < 0 for left in slack.values()):
        return None
    if not limits:
        return smallest[objective]
    for cost, left in slack.items():
        kept = {
            name: [each for each in choices if _exact(each, cost) - _exact(smallest[cost][name], cost) <= left]
            for name, choices in kept.items()
        }
    if not all(kept.values()):
        return None
    asked, part = dict(limits), _TIGHTER
    while all(asked[cost] >= _total(smallest[cost], cost) for cost in limits):
        columns = optimum(_knapsack(kept, objective, asked))
        if columns is None:
            return None
        found = _picked(kept, columns)
        over = [cost for cost, limit in limits.items() if _total(found, cost) > limit]
        if not over:
            return found
        asked |= {cost: asked[cost] - part * slack[cost] for cost in over}
        part *= 4
    return None


def _smallest(layers: Layers, cost: str) -> Allocation:
    return {name: min(choices, key=lambda each: _values(each, (cost,))) for name, choices in layers.items()}


def _knapsack(layers: Layers, objective: str, limits: Limits) -> Knapsack:
    """The problem in floating point, each cost counted from the least that its layer can have."""

    def above(cost: str) -> list[list[float]]:
        costs = [[value for each in choices for value in _values(each, (cost,))] for choices in layers.values()]
        return [[value - min(values) for value in values] for values in costs]

    slack = [float(limit - _total(_smallest(layers, cost), cost)) for cost, limit in limits.items()]
    return Knapsack.of(above(objective), [above(cost) for cost in limits], slack)


def _picked(layers: Mapping[str, Sequence[Choice]], columns: Sequence[int]) -> Allocation:
    return {name: choices[column] for (name, choices), column in zip(layers.items(), columns, strict=True)}
