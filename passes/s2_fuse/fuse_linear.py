"""Products with a weight matrix, however they are written, become `elx.linear`."""

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import (
    behind,
    defining,
    from_builtin,
    is_f32,
    is_none,
    number,
    shape,
    to_builtin,
    whole,
)
from elastix.compiler.ir import ModuleOp, Value, compiler_pass, pattern, rewrite_until_stable
from elastix.dialects import elx
from elastix.passes.s2_fuse.looking_back import either_way, plain_sum
from elastix.passes.s2_fuse.weight_arguments import derived, stored_argument


@pattern
def linear(op: torch.AtenLinearOp) -> Value | None:
    weight = stored_argument(op.weight)
    bias = None if is_none(op.bias) else stored_argument(op.bias)
    if weight is None or (bias is None and not is_none(op.bias)):
        return None
    return _linear(op.input, weight, bias, op.result)


@pattern
def addmm(op: torch.AtenAddmmOp) -> Value | None:
    bias = _bias(op.self_, op.result)
    if bias is None or number(op.alpha) != 1 or number(op.beta) != 1:
        return None
    weight = _transposed(op.mat2)
    return None if weight is None else _linear(op.mat1, weight, bias, op.result)


@pattern
def mm(op: torch.AtenMmOp) -> Value | None:
    weight = _transposed(op.mat2)
    return None if weight is None else _linear(op.self_, weight, None, op.result)


@pattern
def matmul(op: torch.AtenMatmulOp) -> Value | None:
    weight = _transposed(op.other)
    return None if weight is None else _linear(op.self_, weight, None, op.result)


@pattern
def bias_added_after(op: torch.AtenAddTensorOp) -> Value | None:
    if not plain_sum(op):
        return None
    for product, addend in either_way(op):
        before = behind(product)
        if not isinstance(before, elx.LinearOp) or before.bias is not None or product.type != op.result.type:
            continue
        bias = _bias(addend, op.result)
        if bias is not None and sum(1 for _ in product.uses) == 1:
            return from_builtin(elx.LinearOp(x=before.x, weight=before.weight, bias=to_builtin(bias)).result, op.result)
    return None


def _linear(x: Value, weight: Value, bias: Value | None, like: Value) -> Value | None:
    sizes = shape(weight)
    if not is_f32(x, weight, like) or sizes is None or len(sizes) != 2 or not shape(x) or not all(sizes):
        return None
    made = elx.LinearOp(x=to_builtin(x), weight=to_builtin(weight), bias=None if bias is None else to_builtin(bias))
    return from_builtin(made.result, like)


def _transposed(value: Value) -> Value | None:
    """The N x K weight behind a K x N operand: what was transposed, or the argument read transposed."""
    sizes = shape(value)
    if sizes is None or len(sizes) != 2 or not is_f32(value):
        return None
    match defining(value):
        case torch.AtenTOp(self_=x) | torch.AtenNumpyTOp(self_=x):
            return stored_argument(x)
        case torch.AtenTransposeIntOp(self_=x, dim0=a, dim1=b) if {(whole(a) or 0) % 2, (whole(b) or 0) % 2} == {0, 1}:
            return stored_argument(x)
        case None:
            argument = stored_argument(value)
            return None if argument is None else derived(argument, ".T", sizes[::-1])
        case _:
            return None


def _bias(value: Value, like: Value) -> Value | None:
    """An argument that is added to every row of `like`; as one row where it has more dimensions."""
    argument, columns = stored_argument(value), (shape(like) or (0,))[-1]
    sizes = shape(value)
    if (
        argument is None
        or sizes is None
        or not is_f32(value)
        or sizes[-1:] != (columns,)
        or any(n != 1 for n in sizes[:-1])
    ):
        return None
    return argument if len(sizes) == 1 else derived(argument, ".flat", (columns,))


@compiler_pass
def fuse_linear(module: ModuleOp) -> None:
    """Make `elx.linear` of products with a weight: `linear`, `addmm`, and `mm` or `matmul` followed by the bias.

    A weight that is stored as K x N becomes the argument `NAME.T`, which the weight store reads transposed.
    """
    rewrite_until_stable(module, linear, addmm, mm, matmul, bias_added_after)
