"""Linear layers and embeddings that stay in float on the host become torch ops again."""

from elastix.compiler.ir import build_at, compiler_pass, integer, shape_of
from elastix.compiler.ir.core import (
    InsertionPoint,
    IntegerType,
    ModuleOp,
    Operation,
    OpResult,
    OpView,
    RankedTensorType,
    StringAttr,
    Type,
    Value,
    WalkResult,
)
from elastix.compiler.torch_groups import FROM_BUILTIN, TO_BUILTIN
from elastix.dialects.elx import EmbeddingOp, LinearOp, QuantizedLinearOp, QuantizeOp
from elastix.passes.s4_partition.partition import HOST, SIDE


@compiler_pass
def elx_to_torch(module: ModuleOp) -> None:
    """Turn what has neither a processor format nor a runtime kernel back into torch ops, which compile for the host.

    These are `elx.linear` and `elx.embedding` (no format was given them), and `elx.quantized_linear` that `partition` left to
    the host, which then computes with the float activations and weights.
    """
    found: list[OpView] = []

    def look(op: Operation) -> WalkResult:
        found.append(op.opview)
        return WalkResult.ADVANCE

    module.operation.walk(look)
    for op in found:
        match op:
            case LinearOp():
                _replace(op, _linear(op, op.x, op.weight, op.bias))
            case EmbeddingOp():
                _replace(op, _embedding(op))
            case QuantizedLinearOp() if _side(op) == HOST and isinstance(op.x, OpResult):
                quantize = op.x.owner
                if isinstance(quantize, QuantizeOp):
                    _replace(op, _linear(op, quantize.x, op.weight, op.bias))
            case _:
                pass


def _side(op: OpView) -> str:
    return StringAttr(op.attributes[SIDE]).value if SIDE in op.attributes else ""


def _replace(op: OpView, value: Value) -> None:
    op.results[0].replace_all_uses_with(value)
    op.erase()


def _linear(op: OpView, x: Value, weight: Value, bias: Value | None) -> Value:
    with build_at(InsertionPoint(op), op.location):
        third = _none() if bias is None else _from_builtin(bias)
        operands = [_from_builtin(x), _from_builtin(weight), third]
        return _to_builtin("torch.aten.linear", operands, op)


def _embedding(op: EmbeddingOp) -> Value:
    with build_at(InsertionPoint(op), op.location):
        no_padding = _constant("torch.constant.int", "!torch.int", "value = -1 : i64")
        false = _constant("torch.constant.bool", "!torch.bool", "value = false")
        operands = [_from_builtin(op.table), _from_builtin(op.ids), no_padding, false, false]
        return _to_builtin("torch.aten.embedding", operands, op)


def _none() -> Value:
    return Operation.create("torch.constant.none", [Type.parse("!torch.none")]).results[0]


def _constant(name: str, kind: str, value: str) -> Value:
    from elastix.compiler.ir.core import Attribute

    return Operation.create(name, [Type.parse(kind)], attributes={"value": Attribute.parse(value)}).results[0]
