"""What the ends of weights' names mean: each view against its formula, nested, and what does not fit."""

import numpy as np
import pytest

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.hadamard import matrix
from elastix.compiler.importer.store import ArrayStore, NamedStore
from elastix.compiler.importer.views import stored_name

RANDOM = np.random.default_rng(0)
W = RANDOM.standard_normal((2500, 12)).astype(np.float32)
N = RANDOM.standard_normal(12).astype(np.float32)
B = RANDOM.standard_normal(2500).astype(np.float32)
STORE = NamedStore(
    {name: (ArrayStore({"x": values}), "x") for name, values in {"a.w": W, "n": N, "b": B, "i": np.arange(12)}.items()},
    "here",
)
WIDE, H = W.astype(np.float64), matrix(12)
SEEN = {
    "a.w*{n}": WIDE * N,
    "a.w*{n+1}": WIDE * (N.astype(np.float64) + 1),
    "a.w@{H12}": WIDE @ H,
    "a.w@{H4x3}": WIDE @ np.kron(np.eye(3), matrix(4)),
    "a.w*{n}@{H12}": WIDE * N @ H,
    "a.w@{H12}*{n}": WIDE @ H * N,
    "a.w[4:8].T@{H4}.T": matrix(4).T @ WIDE[4:8],
    "a.w[4:8]*{n}.T@{H4}.T@{H12}": matrix(4).T @ (WIDE[4:8] * N) @ H,
    "a.w*{n}[2000:2003]": (WIDE * N)[2000:2003],
    "a.w.T*{b}": WIDE.T * B,
    "a.w@{n}": WIDE @ N,
    "a.w.T@{b}@{H12}": WIDE.T @ B @ H,
    "b+{a.w@{n}}": B + WIDE @ N,
    "a.w[0:2]+{n*{n@{H12}}}": WIDE[:2] + N * (N @ H),
    "n@{H12}": N @ H,
    "ones12*{n}": N,
    "zeros12+{n}": N,
    "ones3": np.ones(3),
}


@pytest.mark.parametrize("name", SEEN)
def test_views_are_what_they_say(name: str) -> None:
    found = STORE.read(name)
    assert found.dtype == np.float32 and found.flags.c_contiguous and STORE.dtype(name) == "F32"
    assert STORE.shape(name) == found.shape == SEEN[name].shape
    assert np.abs(found - SEEN[name]).max() <= 2e-7 * np.abs(SEEN[name]).max()


def test_arithmetic_is_rounded_once() -> None:
    # In fp32, the sum of the products would be 0.
    small = NamedStore({n: (ArrayStore({"x": v}), "x") for n, v in _just_above_one().items()}, "here")
    assert small.read("w@{v}").tolist() == [2.0**-30]
    assert small.read("zeros1+{w@{v}}").tolist() == [2.0**-30]


def _just_above_one() -> dict[str, np.ndarray]:
    e = np.float32(2.0**-15)
    return {"w": np.array([[1 + e, 1 + 2 * e]], np.float32), "v": np.array([1 + e, -1], np.float32)}


def test_rows_are_the_same_alone() -> None:
    whole = STORE.read("a.w*{n}@{H12}")
    assert STORE.read("a.w[1000:1100]*{n}@{H12}").tobytes() == whole[1000:1100].tobytes()


def test_stored_names_go_before_views_and_constants() -> None:
    store = NamedStore(
        {name: (ArrayStore({"x": np.full(2, i)}), "x") for i, name in enumerate(["w", "w.T", "ones2", "w*{w}"])}, "here"
    )
    assert [store.read(name).tolist() for name in ("w.T", "ones2", "w*{w}")] == [[1, 1], [2, 2], [3, 3]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.w*{m}", "no weight named m in here"),
        ("c*{n}", "no weight named c in here"),
        ("a.w*{n", r"no weight named a.w\*{n in here"),
        ("a.w/{n}", "no weight named a.w/{n} in here"),
        ("*{n}", r"no weight named \*{n} in here"),
        ("a.w*{b}", r"the view \*{b} of a tensor of shape \[2500, 12\]; wanted: rows of \[2500\]"),
        ("a.w@{a.w}", r"the view @{a.w} of a tensor of shape \[2500, 12\]; wanted: rows of \[2500, 12\]"),
        ("a.w@{H36}", r"the view @{H36} of a tensor of shape \[2500, 12\]; wanted: rows of \[36\]"),
        ("a.w@{n}@{H12}", r"the view @{H12} of a tensor of shape \[2500\]"),
    ],
)
def test_what_cannot_be_seen(name: str, message: str) -> None:
    for ask in (STORE.read, STORE.shape):
        with pytest.raises(ElastixError, match=message):
            ask(name)


def test_what_a_name_is_a_view_of() -> None:
    assert stored_name("a.w.T@{H12}.T*{n+1}[0:4]") == "a.w" and stored_name("a.w") == "a.w"
