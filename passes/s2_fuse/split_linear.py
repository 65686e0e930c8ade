"""A linear op whose result is cut into columns becomes one linear op for each piece."""

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import behind, defining, from_builtin, shape, to_builtin, whole
from elastix.compiler.ir import (
    ModuleOp,
    Replacement,
    Value,
    compiler_pass,
    pattern,
    rewrite_until_stable,
    shape_of,
    tensor,
)
from elastix.dialects import elx
from elastix.passes.s2_fuse.looking_back import SHAPES_ONLY
from elastix.passes.s2_fuse.weight_arguments import derived, stored_argument


@pattern
def unpacked_split(op: torch.PrimListUnpackOp) -> Replacement:
    split = defining(op.operand)
    if not isinstance(split, (torch.AtenSplitTensorOp, torch.AtenSplitWithSizesOp, torch.AtenChunkOp)):
        return None
    if not _is_last(split.dim, split.self_):
        return None
    widths = [(shape(result) or (0,))[-1] for result in op.results]
    starts = [sum(widths[:i]) for i in range(len(widths))]
    pieces = [
        _piece(split.self_, start, width, like) for start, width, like in zip(starts, widths, op.results, strict=True)
    ]
    found = [piece for piece in pieces if piece is not None]
    return found if len(found) == len(pieces) else None


@pattern
def slice_of_columns(op: torch.AtenSliceTensorOp) -> Value | None:
    start, width = whole(op.start), (shape(op.result) or (0,))[-1]
    if start is None or start < 0 or whole(op.step) != 1 or not _is_last(op.dim, op.self_):
        return None
    return _piece(op.self_, start, width, op.result)


def _is_last(dim: Value, x: Value) -> bool:
    return whole(dim) in (-1, len(shape(x) or ()) - 1)


def _piece(value: Value, start: int, width: int, like: Value) -> Value | None:
    """Columns start … start+width of a linear op's result, as a linear op with those rows of its weight."""
    while (
        isinstance(op := defining(value), SHAPES_ONLY) and (shape(op.self_) or (0,))[-1] == (shape(value) or (1,))[-1]
    ):
        value = op.self_
    source = behind(value)
    if not isinstance(source, elx.LinearOp):
        return None
    weight = stored_argument(source.weight)
    bias = None if source.bias is None else stored_argument(source.bias)
    if weight is None or (bias is None and source.bias is not None):
        return None
    rows, columns = shape_of(source.weight)
    if start + width > rows:
        return None
    suffix = f"[{start}:{start + width}]"
    made = elx.LinearOp(
        x=source.x,
        weight=to_builtin(derived(weight, suffix, (width, columns))),
        bias=None if bias is None else to_builtin(derived(bias, suffix, (width,))),
    ).result
    wanted = shape(like) or ()
    if shape_of(made) != wanted:
        made = elx.ReshapeOp(x=made, type=tensor(wanted)).result
    return from_builtin(made, like)


@compiler_pass
def split_linear(module: ModuleOp) -> None:
    """Cut a linear op that computes several things at once (q, k, v; gate and up) into one for each.

    The pieces of the weight become arguments `NAME[first:last]`, which the weight store reads as those rows.
    """
    rewrite_until_stable(module, unpacked_split, slice_of_columns)
