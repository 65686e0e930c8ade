"""The values of attention are rotated head by head, which the weights before and after attention take up."""

from math import prod

from elastix.compiler.importer.torch_values import defining
from elastix.compiler.ir import BlockArgument, ModuleOp, OpView, Value, compiler_pass, ops_of, remark, shape_of
from elastix.dialects.elx import AttentionOp, CacheUpdateOp, LinearOp, ReshapeOp, TransposeOp
from elastix.passes.s2_fuse.weight_arguments import kind_of
from elastix.passes.s3_precision.weights import BIAS, WEIGHT, drop_unread_weights, is_stored, no_format, see


@compiler_pass
def rotate_values(module: ModuleOp) -> None:
    """Rotate v by H head by head, folded into the weights that make v and that read attention's result.

    Attention mixes whole rows of v, so P · (V · H) = (P · V) · H. The weight of the linear layer before v becomes
    `w.T@{H64x3}.T` for 3 heads of 64, its bias `b@{H64x3}`, and the weight of the one after attention `w@{H64x9}`;
    a cache then holds rotated values.

    Where v does not come from one linear layer and the result go to one, through ops that keep heads whole and that
    nothing else reads, attention stays as it is, with a remark. Refuses a weight that has its format already.
    Source: QuaRot (Ashkboos et al. 2024), section 4.
    """
    for attention in ops_of(module, AttentionOp):
        width = shape_of(attention.v)[-1]
        before, after = _writer(attention.v, width), _reader(attention.result, width)
        if before is None or after is None:
            remark(attention, "keeps its values unrotated: they do not go from one linear layer to one linear layer")
            continue
        no_format(before)
        no_format(after)
        heads = f"@{{H{width}x{shape_of(before.result)[-1] // width}}}"
        see(before, WEIGHT, f".T{heads}.T")
        if before.bias is not None:
            see(before, BIAS, heads)
        see(after, WEIGHT, f"@{{H{width}x{shape_of(after.x)[-1] // width}}}")
    drop_unread_weights(module)


def _writer(value: Value, width: int) -> LinearOp | None:
    """The linear layer that v comes from."""
    while _read_once(value):
        op = defining(value)
        match op:
            case LinearOp() if is_stored(op) and shape_of(value)[-1] % width == 0:
                return op
            case CacheUpdateOp() if isinstance(op.cache, BlockArgument) and _is_cache(op.cache):
                value = op.new
            case OpView() if _keeps_heads(op, width):
                value = op.operands[0]
            case _:
                return None
    return None


def _reader(value: Value, width: int) -> LinearOp | None:
    """The linear layer that attention's result goes to."""
    while _read_once(value):
        use = next(use for use in value.uses)
        op = use.owner.operation.opview
        if isinstance(op, LinearOp) and is_stored(op) and shape_of(op.x)[-1] % width == 0:
            return op
        if not _keeps_heads(op, width):
            return None
        value = op.results[0]
    return None


def _is_cache(argument: BlockArgument) -> bool:
    return kind_of(argument) == "cache" and sum(1 for _ in argument.uses) == 1


def _read_once(value: Value) -> bool:
    """Whether one op reads the value, besides the return that writes a cache back."""
    readers = [use.owner.operation.name for use in value.uses]
    written_back = isinstance(defining(value), CacheUpdateOp) and "func.return" in readers
    return len(readers) == 1 + written_back


def _keeps_heads(op: OpView, width: int) -> bool:
    """Whether `op` only moves elements, and always `width` neighbours of the last axis together."""
    match op:
        case ReshapeOp():
            return all(shape and shape[-1] % width == 0 for shape in (shape_of(op.x), shape_of(op.result)))
        case TransposeOp():
            return op.permutation[-1] == len(op.permutation) - 1 and prod(shape_of(op.x)[-1:]) % width == 0
        case _:
            return False
