"""How the end of a weight's name says how its tensor is seen, so that passes can change weights they never read.

    name   := tensor view*                 views apply from left to right
    tensor := a stored name | onesN | zerosN            N ones or zeros, which no file holds
    view   := .T               transposed
            | .flat            in one dimension
            | [a:b]            rows a … b−1
            | +1               plus one
            | *{name}          every row times that vector, element by element: the columns are scaled
            | +{name}          every row plus that vector
            | @{name}          every row's inner product with that vector: one dimension less
            | @{HN} | @{HNxB}  every row times the rotation of order N (hadamard.py), or B of it along the diagonal

So `w*{norm.weight}@{H576}` is W · diag(n) · H, and `w.T@{H576}.T` is Hᵀ · W: the rows are rotated. What stands in
braces is a name of the same grammar. Arithmetic is in float64 from the first view to the last, rounded once to fp32.
"""

import re
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.hadamard import Float64, rotate

Array = NDArray[Any]
Shape = tuple[int, ...]

_PLAIN: Final = re.compile(r"(.+?)(\.T|\.flat|\+1|\[\d+:\d+\])", re.DOTALL)
_CONSTANT: Final = re.compile(r"(ones|zeros)(\d+)")
_ROTATION: Final = re.compile(r"@\{H(\d+)(?:x(\d+))?\}")
_ROWS_AT_ONCE: Final = 1024
"""Rows of a large matrix that are in float64 at a time; the bits do not depend on it."""


def last_view(name: str) -> tuple[str, str] | None:
    """What comes before the last view of a name, and that view; None if the name does not end in one."""
    if not name.endswith("}"):
        found = _PLAIN.fullmatch(name)
        return (found[1], found[2]) if found else None
    depth = 0
    for place in range(len(name) - 1, 0, -1):
        depth += {"}": 1, "{": -1}.get(name[place], 0)
        if not depth:
            return (name[: place - 1], name[place - 1 :]) if place > 1 and name[place - 1] in "*+@" else None
    return None


def stored_name(name: str) -> str:
    """The tensor that a name is a view of: what stands before all views."""
    while (found := last_view(name)) is not None:
        name = found[0]
    return name


def constant(name: str) -> Array | None:
    """`onesN` and `zerosN`; None for any other name."""
    found = _CONSTANT.fullmatch(name)
    return None if found is None else np.full(int(found[2]), float(found[1] == "ones"), np.float32)


def rotation_of(view: str) -> tuple[int, int] | None:
    """Order and blocks of the rotation that a view is; None if it is none."""
    found = _ROTATION.fullmatch(view)
    return None if found is None else (int(found[1]), int(found[2] or 1))


def computes(view: str) -> bool:
    """Whether a view changes values, rather than only their places."""
    return view == "+1" or view.endswith("}")


def shape_seen(shape: Shape, view: str, operand: Callable[[str], Shape]) -> Shape:
    """Shape of a view of a tensor of `shape`; `operand` gives the shapes of names. Raises ElastixError on misfits."""
    match view:
        case ".T":
            return shape[::-1]
        case ".flat":
            return (prod(shape),)
        case "+1":
            return shape
        case _ if view.startswith("["):
            first, last = (int(each) for each in view[1:-1].split(":"))
            return (len(range(*slice(first, last).indices(shape[0]))), *shape[1:])
        case _:
            rotation = rotation_of(view)
            wanted = (prod(rotation),) if rotation else operand(view[2:-1])
            if not shape or wanted != shape[-1:]:
                raise ElastixError(
                    f"the view {view} of a tensor of shape {list(shape)}", wanted=f"rows of {list(wanted)}"
                )
            return shape[:-1] if view.startswith("@") and rotation is None else shape


def seen(values: Array, views: Sequence[str], operand: Callable[[str], Float64]) -> Array:
    """`values` through `views`; float32 wherever something is computed. `operand` gives names in float64.

    Views that only move come first and last without a copy; what is computed row by row goes in chunks between.
    """
    first = next((i for i, view in enumerate(views) if computes(view)), len(views))
    last = next((i for i in range(len(views), first, -1) if computes(views[i - 1])), first)
    for view in views[:first]:
        values = moved(values, view)
    if first < last:
        values = _computed(values, views[first:last], operand)
    for view in views[last:]:
        values = moved(values, view)
    return values


def exactly_seen(values: Array, views: Sequence[str], operand: Callable[[str], Float64]) -> Float64:
    """As `seen`, in float64 and not rounded."""
    wide = values.astype(np.float64)
    for view in views:
        wide = _arithmetic(wide, view, operand) if computes(view) else moved(wide, view)
    return wide


def _computed(values: Array, views: Sequence[str], operand: Callable[[str], Float64]) -> Array:
    if values.ndim < 2 or not all(computes(view) for view in views):
        return exactly_seen(values, views, operand).astype(np.float32)
    known: dict[str, Float64] = {}

    def once(name: str) -> Float64:
        if name not in known:
            known[name] = operand(name)
        return known[name]

    first = exactly_seen(values[:_ROWS_AT_ONCE], views, once)
    result = np.empty((len(values), *first.shape[1:]), np.float32)
    result[:_ROWS_AT_ONCE] = first
    for start in range(_ROWS_AT_ONCE, len(values), _ROWS_AT_ONCE):
        here = slice(start, start + _ROWS_AT_ONCE)
        result[here] = exactly_seen(values[here], views, once)
    return result


def _arithmetic(values: Float64, view: str, operand: Callable[[str], Float64]) -> Float64:
    if (rotation := rotation_of(view)) is not None:
        return rotate(values, *rotation)
    if view == "+1":
        return values + 1
    vector = operand(view[2:-1])
    match view[0]:
        case "*":
            return values * vector
        case "+":
            return values + vector
        case _:
            # Rows one after the other in memory, or numpy would add in another order.
            return np.ascontiguousarray(values * vector).sum(axis=-1)


def moved(values: Array, view: str) -> Array:
    """A view that computes nothing."""
    match view:
        case ".T":
            return values.T
        case ".flat":
            return values.reshape(-1)
        case _:
            first, last = view[1:-1].split(":")
            return values[int(first) : int(last)]
