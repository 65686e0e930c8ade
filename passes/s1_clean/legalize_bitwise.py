"""`a & b` and `a | b` as Python spells them become the ops that torch-mlir lowers."""

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.ir import ModuleOp, Value, compiler_pass, pattern, rewrite_until_stable


@pattern
def and_operator(op: torch.Aten__And__TensorOp) -> Value:
    return torch.AtenBitwiseAndTensorOp(op.result.type, op.self_, op.other).result


@pattern
def or_operator(op: torch.Aten__Or__TensorOp) -> Value:
    return torch.AtenBitwiseOrTensorOp(op.result.type, op.self_, op.other).result


@compiler_pass
def legalize_bitwise(module: ModuleOp) -> None:
    """Make `aten.bitwise_and` and `aten.bitwise_or` of the operators `&` and `|`, which masks are made with."""
    rewrite_until_stable(module, and_operator, or_operator)
