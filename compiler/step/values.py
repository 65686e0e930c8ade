"""Values of a decode step as the step processor holds them: the same data under several shapes is held once."""

from collections.abc import Sequence

from elastix.compiler.ir import OpResult, OpView, Value, shape_of
from elastix.compiler.step.refused import RefusedStepOp
from elastix.compiler.step_function import StepFunction
from elastix.dialects.elx import (
    LayerNormOp,
    QuantizedLinearOp,
    QuantizeOp,
    ReshapeOp,
    RmsNormOp,
    TransposeOp,
)

IDS = "ids"
POSITIONS = "positions"
"""Arguments of the step that registers of the processor hold."""


def same_data(value: Value) -> Value:
    """The value whose elements these are, in the same order: through reshapes, and transposes of axes of size 1.

    Raises RefusedStepOp for a transpose that moves data.
    """
    while isinstance(value, OpResult) and isinstance(value.owner, ReshapeOp | TransposeOp):
        op = value.owner
        if isinstance(op, TransposeOp):
            kept = [axis for axis in op.permutation if shape_of(op.x)[axis] != 1]
            if kept != sorted(kept):
                raise RefusedStepOp(op, "a transpose that moves data", wanted="a step of one token")
        value = op.x
    return value


def users(value: Value) -> Sequence[OpView]:
    """The ops that read a value, through those that move no data."""
    found: list[OpView] = []
    for use in value.uses:
        owner = use.owner
        found += users(owner.results[0]) if isinstance(owner, ReshapeOp | TransposeOp) else [owner]
    return found


def plain_linear(value: Value) -> QuantizedLinearOp | None:
    """The layer without bias whose results these are, if nothing else reads them."""
    root = same_data(value)
    if isinstance(root, OpResult) and isinstance(root.owner, QuantizedLinearOp) and len(users(root)) == 1:
        return root.owner if root.owner.bias is None else None
    return None


def wants_maximum(value: Value) -> bool:
    """Whether a reader quantizes the value, or norms it as one row."""
    return any(isinstance(user, QuantizeOp) or norms_whole(user) for user in users(value))


def norms_whole(op: OpView) -> bool:
    """Whether this is a norm over all elements of a token, not of each head."""
    return isinstance(op, RmsNormOp | LayerNormOp) and rows_of(op) == 1


def rows_of(op: RmsNormOp | LayerNormOp) -> int:
    """Rows of a token that are normed each on its own: one, or as many as there are heads."""
    sizes = shape_of(op.x)
    rows = 1
    for size in sizes[:-1]:
        rows *= size
    return rows


def argument_name(step: StepFunction, op: OpView, value: Value) -> str:
    """The name of a stored operand of `op`. Raises RefusedStepOp if it is computed."""
    argument = step.argument_of(value)
    if argument is None:
        raise RefusedStepOp(op, "a weight or a cache that is computed", wanted="an argument of the step")
    return argument.name


def check_register(step: StepFunction, op: OpView, value: Value | None, name: str) -> None:
    """Raises RefusedStepOp unless `value` is the step's argument of that name: the processor has it in a register."""
    argument = None if value is None else step.argument_of(same_data(value))
    if argument is None or argument.name != name:
        found = "computed ones" if argument is None else argument.name
        raise RefusedStepOp(op, f"{found} for {name}", wanted=f"the step's argument {name}")
