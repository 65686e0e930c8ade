"""Batch norm as torch.export leaves it becomes the op that torch-mlir lowers."""

from typing import cast

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.ir import ModuleOp, OpView, StringAttr, compiler_pass, pattern, rewrite_until_stable


@pattern
def batch_norm_outside_training(op: torch.OperatorOp) -> OpView | None:
    if cast(StringAttr, op.attributes["name"]).value != "torch.aten._native_batch_norm_legit_no_training":
        return None
    x, weight, bias, mean, variance, momentum, eps = op.operands
    training = torch.ConstantBoolOp(False).result
    y, saved_mean, saved_variance = (result.type for result in op.results)
    return torch.AtenNativeBatchNormOp(
        y, saved_mean, saved_variance, x, weight, bias, mean, variance, training, momentum, eps
    )


@compiler_pass
def legalize_batch_norm(module: ModuleOp) -> None:
    """Make `aten.native_batch_norm` of the operator `_native_batch_norm_legit_no_training`, which torch-mlir lacks."""
    rewrite_until_stable(module, batch_norm_outside_training)
