"""A multiply by the reciprocal root of the mean square, and by a weight, becomes one `elx.rms_norm`."""

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import (
    defining,
    from_builtin,
    is_f32,
    is_none,
    number,
    shape,
    to_builtin,
    truth,
    whole_items,
)
from elastix.compiler.ir import ModuleOp, Value, compiler_pass, pattern, rewrite_until_stable
from elastix.dialects import elx
from elastix.passes.s2_fuse.looking_back import either_way
from elastix.passes.s2_fuse.weight_arguments import derived, stored_argument

_F32_EPSILON = 1.1920928955078125e-07


@pattern
def rms_norm_in_parts(op: torch.AtenMulTensorOp) -> Value | None:
    for scale, normed in either_way(op):
        weight = _weight(scale)
        inner = defining(normed)
        found = _normed(inner) if isinstance(inner, torch.AtenMulTensorOp) else None
        if weight is None or found is None or not is_f32(op.result, found[0]):
            continue
        x, eps = found
        if shape(x) == shape(op.result) and shape(weight) == (shape(x) or ())[-1:]:
            return from_builtin(elx.RmsNormOp(x=to_builtin(x), weight=to_builtin(weight), eps=eps).result, op.result)
    return None


@pattern
def rms_norm_as_one_op(op: torch.AtenRmsNormOp) -> Value | None:
    weight = stored_argument(op.weight)
    eps = _F32_EPSILON if is_none(op.eps) else number(op.eps)
    if (
        weight is None
        or eps is None
        or not is_f32(op.input)
        or whole_items(op.normalized_shape) != list(shape(op.input) or ())[-1:]
    ):
        return None
    return from_builtin(elx.RmsNormOp(x=to_builtin(op.input), weight=to_builtin(weight), eps=eps).result, op.result)


def _weight(value: Value) -> Value | None:
    """An argument, or one plus an argument, which the store can give."""
    op = defining(value)
    if (
        isinstance(op, torch.AtenAddScalarOp)
        and number(op.other) == 1
        and (plain := stored_argument(op.self_)) is not None
    ):
        return derived(plain, "+1", shape(plain) or ())
    return stored_argument(value)


def _normed(op: torch.AtenMulTensorOp) -> tuple[Value, float] | None:
    """`x, eps` of x · rsqrt(mean(x²) + eps) over the last dimension."""
    for x, factor in either_way(op):
        root = defining(factor)
        total = defining(root.self_) if isinstance(root, torch.AtenRsqrtOp) else None
        if not isinstance(total, torch.AtenAddScalarOp):
            continue
        mean, eps = defining(total.self_), number(total.other)
        if not isinstance(mean, torch.AtenMeanDimOp) or eps is None or not truth(mean.keepdim):
            continue
        last = len(shape(x) or ()) - 1
        squared = _squared(mean.self_)
        if whole_items(mean.dim) in ([-1], [last]) and squared is not None and squared == x:
            return x, eps
    return None


def _squared(value: Value) -> Value | None:
    match defining(value):
        case torch.AtenPowTensorScalarOp(self_=x, exponent=exponent) if number(exponent) == 2:
            return x
        case torch.AtenMulTensorOp(self_=x, other=y) if x == y:
            return x
        case _:
            return None


@compiler_pass
def fuse_rms_norm(module: ModuleOp) -> None:
    """Fuse the ops of an RMS norm into `elx.rms_norm`.

    The weight is an argument of the function, or one plus an argument (Gemma), which becomes an argument of its own.
    """
    rewrite_until_stable(module, rms_norm_in_parts, rms_norm_as_one_op)
