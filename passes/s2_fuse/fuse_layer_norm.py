"""`aten.layer_norm` over the last dimension becomes `elx.layer_norm`."""

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import from_builtin, is_f32, number, shape, to_builtin, whole_items
from elastix.compiler.ir import ModuleOp, Value, compiler_pass, pattern, rewrite_until_stable
from elastix.dialects import elx
from elastix.passes.s2_fuse.weight_arguments import stored_argument


@pattern
def layer_norm(op: torch.AtenLayerNormOp) -> Value | None:
    weight, bias, eps = stored_argument(op.weight), stored_argument(op.bias), number(op.eps)
    if weight is None or bias is None or eps is None or not is_f32(op.input):
        return None
    if whole_items(op.normalized_shape) != list(shape(op.input) or ())[-1:]:
        return None
    norm = elx.LayerNormOp(x=to_builtin(op.input), weight=to_builtin(weight), bias=to_builtin(bias), eps=eps)
    return from_builtin(norm.result, op.result)


@compiler_pass
def fuse_layer_norm(module: ModuleOp) -> None:
    """Make `elx.layer_norm` of layer norms over the last dimension, with weight and bias."""
    rewrite_until_stable(module, layer_norm)
