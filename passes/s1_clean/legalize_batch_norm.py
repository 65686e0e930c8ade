"""Batch norm as torch.export leaves it becomes the op that torch-mlir lowers."""

from collections.abc import Sequence
from typing import cast

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.ir import ModuleOp, StringAttr, Value, compiler_pass, pattern, rewrite_until_stable


@pattern
def batch_norm_outside_training(op: torch.OperatorOp) -> Sequence[Value] | None:
    if cast(StringAttr, op.attributes["name"]).value != "torch.aten._native_batch_norm_legit_no_training":
        return None
    y, *saved = op.results
    if any(True for result in saved for _ in result.uses):
        return None
    x, weight, bias, mean, variance, momentum, eps = op.operands
    false = torch.ConstantBoolOp(False).result
    norm = torch.AtenBatchNormOp(y.type, x, weight, bias, mean, variance, false, momentum, eps, false)
    # Nobody reads the saved statistics, so any values will do in their place.
    return norm.result, mean, variance


@compiler_pass
def legalize_batch_norm(module: ModuleOp) -> None:
    """Make `aten.batch_norm` of the operator `_native_batch_norm_legit_no_training`, which torch-mlir lacks."""
    rewrite_until_stable(module, batch_norm_outside_training)
