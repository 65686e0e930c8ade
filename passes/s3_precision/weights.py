"""The ops that read large weights, and the names of those weights."""

from elastix.compiler.ir import ModuleOp, Operation, Value, WalkOrder, WalkResult
from elastix.dialects.elx import EmbeddingOp, LinearOp
from elastix.passes.s2_fuse.weight_arguments import name_of, stored_argument

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
