"""The ops that read large weights, the names of those weights, and other views of them."""

from typing import Final

from elastix.compiler.importer.torch_values import set_operand
from elastix.compiler.ir import (
    BlockArgument,
    ModuleOp,
    Operation,
    OpResult,
    OpView,
    RefusedOp,
    Value,
    WalkOrder,
    WalkResult,
    shape_of,
)
from elastix.dialects.elx import EmbeddingOp, LinearOp, ReshapeOp
from elastix.passes.s2_fuse.weight_arguments import drop_unused_weights, name_of, stored_argument, weight_named

WeightReader = LinearOp | EmbeddingOp


def weight_of(op: WeightReader) -> Value:
    """The operand that is quantized."""
    return op.weight if isinstance(op, LinearOp) else op.table


def weight_readers(module: ModuleOp) -> list[WeightReader]:
    """All of them, in the order of the text."""
    found: list[WeightReader] = []

    def visit(operation: Operation) -> WalkResult:
        op = operation.opview
        if isinstance(op, LinearOp | EmbeddingOp):
            found.append(op)
        return WalkResult.ADVANCE

    module.operation.walk(visit, WalkOrder.PRE_ORDER)
    return found


def weight_name(op: WeightReader) -> str:
    """The `elx.name` of the stored argument that is the op's weight; empty if it is none."""
    argument = stored_argument(weight_of(op))
    return name_of(argument) if argument is not None else ""


def by_position(op: WeightReader) -> bool:
    """Whether this looks up rows of a table by the step's input `positions`."""
    ids = op.ids if isinstance(op, EmbeddingOp) else None
    while isinstance(ids, OpResult) and isinstance(ids.owner, ReshapeOp):
        ids = ids.owner.x
    return isinstance(ids, BlockArgument) and name_of(ids) == "positions"


WEIGHT: Final = 1
"""Which operand of a linear layer, an embedding or a norm its weight is."""
BIAS: Final = 2
"""Which operand of a linear layer or a layer norm its bias is."""


def is_stored(op: LinearOp) -> bool:
    """Whether the store holds the weight, and the bias if there is one: then their names can be given views."""
    return stored_argument(op.weight) is not None and (op.bias is None or stored_argument(op.bias) is not None)


def see(op: OpView, place: int, views: str) -> None:
    """Let operand `place` of `op`, a stored argument, be seen through `views`, which leave its shape as it is."""
    argument = op.operands[place]
    assert isinstance(argument, BlockArgument), f"operand {place} of {op.operation.name} is no argument"
    set_operand(op, place, weight_named(argument.owner, name_of(argument) + views, argument.type))


def no_format(op: WeightReader) -> None:
    """Raises RefusedOp if the op has its format already: its weight is about to become another one."""
    if "format" in op.attributes:
        raise RefusedOp(op, "a format on a weight that is to change", wanted="none", do="run assign-precision after")


def keeps_rows(op: OpView) -> bool:
    """Whether `op` is a reshape that leaves the last axis as it is."""
    return isinstance(op, ReshapeOp) and shape_of(op.x)[-1:] == shape_of(op.result)[-1:]


def drop_unread_weights(module: ModuleOp) -> None:
    """Remove the stored arguments that no op reads any more."""
    for function in module.body.operations:
        if function.operation.name == "func.func" and len(function.regions[0].blocks):
            drop_unused_weights(function)
