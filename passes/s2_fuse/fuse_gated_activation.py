"""An activation times another tensor of its shape becomes `elx.gated_activation`."""

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import behind, from_builtin, is_f32, to_builtin
from elastix.compiler.ir import ModuleOp, Value, compiler_pass, pattern, rewrite_until_stable
from elastix.dialects import elx
from elastix.passes.s2_fuse.looking_back import either_way


@pattern
def gated_activation(op: torch.AtenMulTensorOp) -> Value | None:
    for activated, up in either_way(op):
        activation = behind(activated)
        if (
            not isinstance(activation, elx.ActivationOp)
            or not is_f32(up)
            or not activated.type == up.type == op.result.type
        ):
            continue
        if sum(1 for _ in activated.uses) == 1 and sum(1 for _ in activation.result.uses) == 1:
            made = elx.GatedActivationOp(gate=activation.x, up=to_builtin(up), kind=activation.kind)
            return from_builtin(made.result, op.result)
    return None


@compiler_pass
def fuse_gated_activation(module: ModuleOp) -> None:
    """Fuse an activation that is only multiplied with another tensor into `elx.gated_activation`."""
    rewrite_until_stable(module, gated_activation)
