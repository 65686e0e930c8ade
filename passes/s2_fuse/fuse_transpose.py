"""Permutations of axes become `elx.transpose`, or `elx.reshape` where only axes of size 1 move."""

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import from_builtin, is_f32, shape, to_builtin, whole, whole_items
from elastix.compiler.ir import ModuleOp, Value, compiler_pass, pattern, rewrite_until_stable, shape_of, tensor
from elastix.dialects import elx
from elastix.passes.s2_fuse.fuse_reshape import reshape_of_reshape, reshape_to_same_shape


@pattern
def transpose(op: torch.AtenTransposeIntOp) -> Value | None:
    rank, first, second = len(shape(op.self_) or ()), whole(op.dim0), whole(op.dim1)
    if first is None or second is None or rank < 2:
        return None
    axes = list(range(rank))
    axes[first], axes[second] = axes[second], axes[first]
    return _permuted(op.self_, axes, op.result)


@pattern
def permute(op: torch.AtenPermuteOp) -> Value | None:
    rank, axes = len(shape(op.self_) or ()), whole_items(op.dims)
    return None if axes is None or len(axes) != rank else _permuted(op.self_, [axis % rank for axis in axes], op.result)


@pattern
def matrix_transpose(op: torch.AtenTOp) -> Value | None:
    return _permuted(op.self_, list(range(len(shape(op.self_) or ())))[::-1], op.result)


@pattern
def transpose_of_ones(op: elx.TransposeOp) -> Value | None:
    sizes = shape_of(op.x)
    moved = [axis for axis in op.permutation if sizes[axis] != 1]
    return elx.ReshapeOp(x=op.x, type=op.result.type).result if moved == sorted(moved) else None


def _permuted(x: Value, axes: list[int], like: Value) -> Value | None:
    if not is_f32(x, like) or not axes:
        return None
    ready = to_builtin(x)
    sizes = shape_of(ready)
    assert tensor([sizes[axis] for axis in axes]).shape == list(shape(like) or ())
    return from_builtin(elx.TransposeOp(x=ready, permutation=tuple(axes)).result, like)


@compiler_pass
def fuse_transpose(module: ModuleOp) -> None:
    """Make `elx.transpose` of permutations of f32 tensors, and `elx.reshape` where all that moves has size 1."""
    rewrite_until_stable(
        module, transpose, permute, matrix_transpose, transpose_of_ones, reshape_of_reshape, reshape_to_same_shape
    )
