"""Temporaries share bytes exactly when their lifetimes do not meet."""

from hypothesis import given
from hypothesis import strategies as st

from elastix.compiler.arena import ALIGNMENT, Lifetime, place

lifetimes = st.builds(
    lambda size, first, length: Lifetime(size, first, first + length),
    st.integers(1, 1000),
    st.integers(0, 30),
    st.integers(0, 10),
)


@given(st.lists(lifetimes, max_size=30))
def test_no_two_living_values_touch(values: list[Lifetime]):
    offsets, total = place(values)
    for i, (a, at) in enumerate(zip(values, offsets, strict=True)):
        assert at % ALIGNMENT == 0
        assert at + a.size <= total
        for b, bt in list(zip(values, offsets, strict=True))[:i]:
            if a.first <= b.last and b.first <= a.last:
                assert at + a.size <= bt or bt + b.size <= at


def test_a_chain_of_values_needs_two():
    values = [Lifetime(64, i, i + 1) for i in range(10)]
    assert place(values) == ([0, 64] * 5, 128)


def test_a_gap_too_small_is_left_free():
    offsets, total = place([Lifetime(64, 0, 1), Lifetime(64, 0, 9), Lifetime(128, 2, 3), Lifetime(64, 2, 3)])
    assert (offsets, total) == ([0, 64, 128, 0], 256)
