"""Rotary position embedding, rotate-half form, becomes `elx.rope`."""

from dataclasses import dataclass

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import defining, from_builtin, is_f32, items, shape, to_builtin, whole
from elastix.compiler.ir import ModuleOp, Value, compiler_pass, pattern, rewrite_until_stable
from elastix.dialects import elx
from elastix.passes.s2_fuse.looking_back import either_way, plain_sum, positions_of, scaled, unshaped
from elastix.passes.s2_fuse.weight_arguments import derived, stored_argument


@dataclass(frozen=True)
class _Angles:
    positions: Value
    inv_freq: Value


@pattern
def rope(op: torch.AtenAddTensorOp) -> Value | None:
    """x · cos + rotate_half(x) · sin"""
    if not plain_sum(op) or not is_f32(op.result):
        return None
    for straight, turned in either_way(op):
        left, right = defining(straight), defining(turned)
        if not isinstance(left, torch.AtenMulTensorOp) or not isinstance(right, torch.AtenMulTensorOp):
            continue
        for x, cosine in either_way(left):
            for rotated, sine in either_way(right):
                turned_x = _rotated_half(rotated)
                if turned_x is not None and turned_x == x and (made := _rope(x, cosine, sine, op.result)) is not None:
                    return made
    return None


def _rope(x: Value, cosine: Value, sine: Value, like: Value) -> Value | None:
    sizes, around = shape(x), shape(cosine)
    cos, scaling = scaled(unshaped(cosine))
    sin, sin_scaling = scaled(unshaped(sine))
    cos_op, sin_op = defining(unshaped(cos)), defining(unshaped(sin))
    if not isinstance(cos_op, torch.AtenCosOp) or not isinstance(sin_op, torch.AtenSinOp) or scaling != sin_scaling:
        return None
    if sizes is None or around is None or len(sizes) != 4 or shape(like) != sizes or cos_op.self_ != sin_op.self_:
        return None
    tokens, width = sizes[2], sizes[3]
    angles = _angles(cos_op.self_, tokens, width)
    if angles is None or (1,) * (4 - len(around)) + around != (1, 1, tokens, width):
        return None
    made = elx.RopeOp(x=to_builtin(x), positions=angles.positions, inv_freq=angles.inv_freq, scaling=scaling)
    return from_builtin(made.result, like)


def _rotated_half(value: Value) -> Value | None:
    """The x of cat(−x[half:], x[:half])."""
    cat = defining(value)
    parts = items(cat.tensors) if isinstance(cat, torch.AtenCatOp) and _last(cat.dim, value) else None
    if parts is None or len(parts) != 2:
        return None
    negated, first = defining(parts[0]), defining(parts[1])
    second = defining(negated.self_) if isinstance(negated, torch.AtenNegOp) else None
    if not isinstance(first, torch.AtenSliceTensorOp) or not isinstance(second, torch.AtenSliceTensorOp):
        return None
    width = (shape(first.self_) or (0,))[-1]
    if (
        first.self_ != second.self_
        or _bounds(first, width) != (0, width // 2)
        or _bounds(second, width) != (width // 2, width)
    ):
        return None
    return first.self_


def _bounds(op: torch.AtenSliceTensorOp, width: int) -> tuple[int, int] | None:
    start, end, step = whole(op.start), whole(op.end), whole(op.step)
    if start is None or end is None or step != 1 or not _last(op.dim, op.self_):
        return None
    return start, min(end, width)


def _last(dim: Value, value: Value) -> bool:
    return whole(dim) in (-1, len(shape(value) or ()) - 1)


def _angles(value: Value, tokens: int, width: int) -> _Angles | None:
    """Positions and frequencies of cat(f, f), f = positions · inv_freq."""
    cat = defining(unshaped(value))
    halves = items(cat.tensors) if isinstance(cat, torch.AtenCatOp) and _last(cat.dim, cat.result) else None
    if halves is None or len(halves) != 2 or halves[0] != halves[1]:
        return None
    match defining(_untransposed(halves[0])):
        case (
            torch.AtenMulTensorOp(self_=a, other=b)
            | torch.AtenMatmulOp(self_=a, other=b)
            | torch.AtenBmmOp(self_=a, mat2=b)
        ):
            pairs = ((a, b), (b, a))
        case _:
            return None
    for positions, frequencies in pairs:
        argument = stored_argument(unshaped(frequencies))
        if argument is None or not is_f32(argument) or _count(argument) != width // 2:
            continue
        found = positions_of(positions, tokens)
        if found is not None:
            plain = argument if shape(argument) == (width // 2,) else derived(argument, ".flat", (width // 2,))
            return _Angles(found, to_builtin(plain))
    return None


def _untransposed(value: Value) -> Value:
    op = defining(value)
    return op.self_ if isinstance(op, torch.AtenTransposeIntOp) else value


def _count(value: Value) -> int:
    sizes = shape(value) or ()
    return sizes[0] if len(sizes) == 1 else max(sizes, default=0) if sorted(sizes)[:-1] == [1] * (len(sizes) - 1) else 0


@compiler_pass
def fuse_rope(module: ModuleOp) -> None:
    """Make `elx.rope` of rotate-half rotary embeddings whose angles are positions times stored frequencies."""
    rewrite_until_stable(module, rope)
