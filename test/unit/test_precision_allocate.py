"""The choice of formats: the least of all choices by brute force, the same each time, and limits that hold exactly."""

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.precision import knapsack
from elastix.compiler.precision.allocate import (
    Choice,
    TargetMissed,
    allocate,
    frontier,
    point_of,
    undominated,
)

FORMAT = Format(4)
Layers = dict[str, list[Choice]]

choices = st.builds(
    Choice,
    st.just(FORMAT),
    st.integers(0, 60),
    st.integers(0, 60),
    # Of very unlike sizes, as KLs are.
    st.one_of(st.floats(0, 3), st.floats(0, 1e-4), st.sampled_from([0.0, 0.1, 0.2])),
)
layers = st.lists(st.lists(choices, min_size=1, max_size=5), min_size=1, max_size=4).map(
    lambda found: {f"layer {index}": each for index, each in enumerate(found)}
)


def every(layers: Layers) -> list[tuple[Choice, ...]]:
    return list(itertools.product(*layers.values()))


def total(chosen: Sequence[Choice], cost: Callable[[Choice], float]) -> Fraction:
    return sum((Fraction(cost(each)) for each in chosen), Fraction(0))


def spread(layers: Layers, cost: Callable[[Choice], float]) -> float:
    """What can be gained: the range of costs that GAP is relative to."""
    return float(sum(max(cost(c) for c in each) - min(cost(c) for c in each) for each in layers.values()))


@settings(max_examples=150, deadline=None)
@given(layers, st.integers(0, 200), st.none() | st.integers(0, 200))
def test_the_least_kl_within_bytes_and_cycles(layers: Layers, size: int, cycles: int | None) -> None:
    allowed = [
        chosen
        for chosen in every(layers)
        if total(chosen, lambda c: c.bytes) <= size and (cycles is None or total(chosen, lambda c: c.cycles) <= cycles)
    ]
    if not allowed:
        with pytest.raises(TargetMissed):
            allocate(layers, at_most_bytes=size, at_most_cycles=cycles)
        return
    found = list(allocate(layers, at_most_bytes=size, at_most_cycles=cycles).values())
    assert tuple(found) in allowed
    best = min(float(total(chosen, lambda c: c.kl)) for chosen in allowed)
    assert float(total(found, lambda c: c.kl)) <= best + 2 * knapsack.GAP * spread(layers, lambda c: c.kl)


@settings(max_examples=100, deadline=None)
@given(layers, st.floats(0, 8))
def test_the_least_bytes_within_a_kl(layers: Layers, kl: float) -> None:
    allowed = [chosen for chosen in every(layers) if total(chosen, lambda c: c.kl) <= Fraction(kl)]
    if not allowed:
        with pytest.raises(TargetMissed) as error:
            allocate(layers, at_most_kl=kl)
        assert error.value.nearest == float(sum(Fraction(min(c.kl for c in each)) for each in layers.values()))
        return
    found = list(allocate(layers, at_most_kl=kl).values())
    assert tuple(found) in allowed
    # A solver in floating point does not see the last digits of a limit.
    clear = [chosen for chosen in allowed if float(total(chosen, lambda c: c.kl)) <= kl * (1 - 1e-7)]
    if clear:
        assert total(found, lambda c: c.bytes) <= min(total(chosen, lambda c: c.bytes) for chosen in clear)


@settings(max_examples=50, deadline=None)
@given(st.lists(choices, min_size=1, max_size=8))
def test_dominated_choices_go_and_nothing_else(found: list[Choice]) -> None:
    kept = undominated(found, ("kl", "bytes"))
    for each in found:
        assert any(other.kl <= each.kl and other.bytes <= each.bytes for other in kept)
    for a, b in itertools.permutations(kept, 2):
        assert a.kl < b.kl or a.bytes < b.bytes


def model_like(blocks: int = 12) -> Layers:
    """Layers of blocks and a head that is a fifth of all bytes."""
    random = np.random.default_rng(0)
    formats = [Format(bits, group, "s8c8", "asymmetric") for bits in (2, 3, 4, 5, 6) for group in (32, 64, 128)]
    shapes = [(f"model.layers.{block}.{row}", row, 576) for block in range(blocks) for row in (192, 576, 1536)]
    found: Layers = {}
    for name, rows, columns in [*shapes, ("head", 12000, 576)]:
        need = float(np.exp(random.normal())) * rows * columns / 1e7
        sizes = [Geometry(form, rows, columns, 256) for form in formats]
        found[name] = [
            Choice(form, size.stream_bytes, size.segment_beats(), need * 4.0**-form.bits * (1 + form.group / 256))
            for form, size in zip(formats, sizes, strict=True)
        ]
    return found


def test_a_whole_model_the_same_each_time_and_better_than_one_format() -> None:
    layers = model_like()
    uniform = {
        name: next(c for c in each if str(c.format) == "4b g64 s8c8 asymmetric") for name, each in layers.items()
    }
    size = point_of(uniform).bytes
    first, second = (allocate(layers, at_most_bytes=size) for _ in range(2))
    assert first == second and list(first) == list(layers)
    assert point_of(first).bytes <= size and point_of(first).kl < 0.95 * point_of(uniform).kl
    back = allocate(layers, at_most_kl=point_of(first).kl)
    assert point_of(back).bytes <= point_of(first).bytes and point_of(back).kl <= point_of(first).kl


def test_the_curve_falls_and_lies_just_above_the_optimum() -> None:
    layers = model_like(6)
    points = frontier(layers, 9)
    assert points[0].bytes == sum(min(c.bytes for c in each) for each in layers.values())
    assert points[-1] == point_of(allocate(layers))
    assert all(a.bytes < b.bytes and a.kl > b.kl for a, b in itertools.pairwise(points))
    middle = points[4]
    assert middle.kl <= 1.01 * point_of(allocate(layers, at_most_bytes=middle.bytes)).kl


def test_a_target_that_cannot_be_met_names_the_nearest() -> None:
    layers = {"a": [Choice(FORMAT, 1000, 10, 0.5), Choice(FORMAT, 3000, 5, 0.1)], "b": [Choice(FORMAT, 500, 7, 0.25)]}
    with pytest.raises(TargetMissed) as error:
        allocate(layers, at_most_bytes=1499)
    assert str(error.value) == "no choice of formats has bytes a token of at most 1,499; wanted: at least 1,500"
    assert (error.value.what, error.value.nearest) == ("bytes", 1500)
    with pytest.raises(TargetMissed) as error:
        allocate(layers, at_most_kl=0.3)
    assert str(error.value) == "no choice of formats has a KL of at most 0.3 nats; wanted: at least 0.35 nats"
    # Either limit can be met alone: what bytes allow takes 17 cycles.
    with pytest.raises(TargetMissed) as error:
        allocate(layers, at_most_bytes=1500, at_most_cycles=16)
    assert str(error.value) == "no choice of formats has cycles a token of at most 16; wanted: at least 17"


def test_what_is_no_choice() -> None:
    with pytest.raises(ElastixError, match="no layers to choose formats for"):
        allocate({}, at_most_bytes=1)
    with pytest.raises(ElastixError, match="a without a format to choose; wanted: at least one"):
        allocate({"a": []}, at_most_bytes=1)
    for kl in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ElastixError, match=r"a in format 4b g64 s8 symmetric with a KL of .*; wanted: 0 or more"):
            allocate({"a": [Choice(FORMAT, 1, 1, kl)]}, at_most_bytes=1)
