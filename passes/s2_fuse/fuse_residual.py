"""The sum of two tensors of one shape becomes `elx.residual`."""

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import from_builtin, is_f32, to_builtin
from elastix.compiler.ir import ModuleOp, Value, compiler_pass, pattern, rewrite_until_stable
from elastix.dialects import elx
from elastix.passes.s2_fuse.looking_back import plain_sum


@pattern
def residual(op: torch.AtenAddTensorOp) -> Value | None:
    if not plain_sum(op) or not is_f32(op.result) or not op.self_.type == op.other.type == op.result.type:
        return None
    return from_builtin(elx.ResidualOp(a=to_builtin(op.self_), b=to_builtin(op.other)).result, op.result)


@compiler_pass
def fuse_residual(module: ModuleOp) -> None:
    """Make `elx.residual` of sums of two f32 tensors of one shape."""
    rewrite_until_stable(module, residual)
