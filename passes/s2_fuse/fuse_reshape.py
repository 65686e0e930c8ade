"""Changes of shape that move no data become `elx.reshape`, one where several follow each other."""

from math import prod

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import defining, element, from_builtin, shape, to_builtin
from elastix.compiler.ir import ModuleOp, Value, compiler_pass, element_of, pattern, rewrite_until_stable, tensor
from elastix.dialects import elx


@pattern
def view(op: torch.AtenViewOp) -> Value | None:
    return _reshape(op.self_, op.result)


@pattern
def reshape(op: torch.AtenReshapeOp) -> Value | None:
    return _reshape(op.self_, op.result)


@pattern
def unsafe_view(op: torch.Aten_UnsafeViewOp) -> Value | None:
    return _reshape(op.self_, op.result)


@pattern
def unsqueeze(op: torch.AtenUnsqueezeOp) -> Value | None:
    return _reshape(op.self_, op.result)


@pattern
def squeeze(op: torch.AtenSqueezeOp) -> Value | None:
    return _reshape(op.self_, op.result)


@pattern
def squeeze_dim(op: torch.AtenSqueezeDimOp) -> Value | None:
    return _reshape(op.self_, op.result)


@pattern
def flatten(op: torch.AtenFlattenUsingIntsOp) -> Value | None:
    return _reshape(op.self_, op.result)


@pattern
def expand_that_repeats_nothing(op: torch.AtenExpandOp) -> Value | None:
    return _reshape(op.self_, op.result)


@pattern
def reshape_of_reshape(op: elx.ReshapeOp) -> Value | None:
    before = defining(op.x)
    return elx.ReshapeOp(x=before.x, type=op.result.type).result if isinstance(before, elx.ReshapeOp) else None


@pattern
def reshape_to_same_shape(op: elx.ReshapeOp) -> Value | None:
    return op.x if op.x.type == op.result.type else None


def _reshape(x: Value, like: Value) -> Value | None:
    before, after = shape(x), shape(like)
    if before is None or after is None or prod(before) != prod(after) or element(x) != element(like):
        return None
    # Integers other than arguments belong to index arithmetic, which stays torch as a whole.
    if element(x) != "f32" and not (element(x) == "si64" and defining(x) is None):
        return None
    ready = to_builtin(x)
    return from_builtin(elx.ReshapeOp(x=ready, type=tensor(after, element_of(ready))).result, like)


@compiler_pass
def fuse_reshape(module: ModuleOp) -> None:
    """Make `elx.reshape` of views, squeezes and flattens of f32 tensors and of integer inputs; merge those in a row."""
    rewrite_until_stable(
        module,
        view,
        reshape,
        unsafe_view,
        unsqueeze,
        squeeze,
        squeeze_dim,
        flatten,
        expand_that_repeats_nothing,
        reshape_of_reshape,
        reshape_to_same_shape,
    )
