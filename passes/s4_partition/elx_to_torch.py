"""Linear layers and embeddings that stay in float on the host become torch ops again."""

from elastix.compiler.ir import RefusedOp, build_at, compiler_pass
from elastix.compiler.ir.core import (
    Attribute,
    InsertionPoint,
    ModuleOp,
    Operation,
    OpResult,
    OpView,
    StringAttr,
    Type,
    Value,
)
from elastix.compiler.step_function import all_ops
from elastix.compiler.torch_groups import FROM_BUILTIN, TO_BUILTIN, torch_type
from elastix.dialects.elx import EmbeddingOp, LinearOp, QuantizedLinearOp, QuantizeOp
from elastix.passes.s4_partition.partition import HOST, REASON, SIDE


@compiler_pass
def elx_to_torch(module: ModuleOp) -> None:
    """Turn what has neither a processor format nor a runtime kernel back into torch ops, which compile for the host.

    These are `elx.linear` and `elx.embedding` (no format was given them), and `elx.quantized_linear` that `partition`
    left to the host, which then computes with the float activations and weights. Refuses the last where nothing says
    which floats were quantized.
    """
    for op in all_ops(module):
        match op:
            case LinearOp():
                _replace(op, _linear(op, op.x, op.weight, op.bias))
            case EmbeddingOp():
                _replace(op, _embedding(op))
            case QuantizedLinearOp() if _side(op) == HOST:
                quantize = _quantize_of(op)
                _replace(op, _linear(op, quantize.x, op.weight, op.bias))
                if not any(True for result in quantize.results for _ in result.uses):
                    quantize.erase()
            case _:
                pass


def _side(op: OpView) -> str:
    return StringAttr(op.attributes[SIDE]).value if SIDE in op.attributes else ""


def _quantize_of(op: QuantizedLinearOp) -> QuantizeOp:
    quantize = op.x.owner if isinstance(op.x, OpResult) else None
    if not isinstance(quantize, QuantizeOp):
        found = "it is for the host, but no elx.quantize made its activations"
        raise RefusedOp(op, found, wanted="the result of elx.quantize")
    return quantize


def _replace(op: OpView, value: Value) -> None:
    op.results[0].replace_all_uses_with(value)
    op.erase()


def _linear(op: OpView, x: Value, weight: Value, bias: Value | None) -> Value:
    with build_at(InsertionPoint(op), op.location):
        third = _constant("none") if bias is None else _from_builtin(bias)
        return _torch("torch.aten.linear", [_from_builtin(x), _from_builtin(weight), third], op)


def _embedding(op: EmbeddingOp) -> Value:
    with build_at(InsertionPoint(op), op.location):
        no_padding, false = _constant("int", "-1 : i64"), _constant("bool", "false")
        operands = [_from_builtin(op.table), _from_builtin(op.ids), no_padding, false, false]
        return _torch("torch.aten.embedding", operands, op)


def _constant(kind: str, value: str = "") -> Value:
    attributes = {"value": Attribute.parse(value)} if value else None
    return Operation.create(f"torch.constant.{kind}", [Type.parse(f"!torch.{kind}")], [], attributes).results[0]


def _from_builtin(value: Value) -> Value:
    return Operation.create(FROM_BUILTIN, [Type.parse(torch_type(value.type))], [value]).results[0]


def _torch(name: str, operands: list[Value], op: OpView) -> Value:
    """The torch op `name` in the place of `op`, as a builtin tensor; it keeps the side and the reason."""
    kind = op.results[0].type
    decided = {key: op.attributes[key] for key in (SIDE, REASON) if key in op.attributes}
    result = Operation.create(name, [Type.parse(torch_type(kind))], operands, decided).results[0]
    return Operation.create(TO_BUILTIN, [kind], [result]).results[0]
