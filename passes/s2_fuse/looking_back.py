"""Looking back through ops that only rename elements, to the value that they show."""

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import defining, number, shape, to_builtin, whole
from elastix.compiler.ir import Value, element_of, shape_of, tensor
from elastix.dialects import elx

SHAPES_ONLY = (
    torch.AtenViewOp,
    torch.AtenReshapeOp,
    torch.Aten_UnsafeViewOp,
    torch.AtenUnsqueezeOp,
    torch.AtenSqueezeOp,
    torch.AtenSqueezeDimOp,
    torch.AtenFlattenUsingIntsOp,
)
CASTS = (torch.Aten_ToCopyOp, torch.AtenToDtypeOp)


def unshaped(value: Value) -> Value:
    """What `value` was before reshapes, and expansions that repeat nothing."""
    op = defining(value)
    while isinstance(op, (*SHAPES_ONLY, torch.AtenExpandOp)) and _count(op.self_) == _count(value):
        value = op.self_
        op = defining(value)
    return value


def uncast(value: Value) -> Value:
    """What `value` was before a change of element type."""
    op = defining(value)
    return op.self_ if isinstance(op, CASTS) else value


def scaled(value: Value) -> tuple[Value, float]:
    """`x, c` where value is x · c or x / c for a constant; c is 1 otherwise."""
    op = defining(value)
    if isinstance(op, torch.AtenMulScalarOp) and (factor := number(op.other)) is not None:
        return op.self_, factor
    if isinstance(op, torch.AtenDivScalarOp) and (factor := number(op.other)):
        return op.self_, 1 / factor
    return value, 1.0


def either_way(op: torch.AtenMulTensorOp | torch.AtenAddTensorOp) -> tuple[tuple[Value, Value], tuple[Value, Value]]:
    """The operands of a commutative op in both orders."""
    return (op.self_, op.other), (op.other, op.self_)


def plain_sum(op: torch.AtenAddTensorOp) -> bool:
    """Whether an add has no factor on its second operand."""
    return whole(op.alpha) == 1


def positions_of(value: Value, tokens: int) -> Value | None:
    """A builtin tensor of `tokens` positions from the integers that `value` shows; None if they are not that many."""
    base = unshaped(uncast(unshaped(value)))
    if _count(base) != tokens:
        return None
    ready = to_builtin(base)
    if shape_of(ready) == (tokens,):
        return ready
    return elx.ReshapeOp(x=ready, type=tensor((tokens,), element_of(ready))).result


def _count(value: Value) -> int | None:
    sizes = shape(value)
    if sizes is None:
        return None
    product = 1
    for size in sizes:
        product *= size
    return product
