"""Scaled dot product attention, as one op or as products and a softmax, becomes `elx.attention`."""

import math
from dataclasses import dataclass

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import (
    defining,
    element,
    from_builtin,
    is_f32,
    is_none,
    number,
    shape,
    to_builtin,
    truth,
    vtensor,
    whole,
)
from elastix.compiler.ir import (
    Block,
    InsertionPoint,
    ModuleOp,
    Value,
    build_at,
    compiler_pass,
    pattern,
    rewrite_until_stable,
    shape_of,
    tensor,
)
from elastix.dialects import elx
from elastix.passes.s2_fuse.causal_masks import causal_mask
from elastix.passes.s2_fuse.looking_back import SHAPES_ONLY, either_way, plain_sum, scaled

_LOWEST = -3.4028234663852886e38


@dataclass(frozen=True)
class _Mask:
    positions: Value | None = None
    additive: Value | None = None
    causal: bool = False


@pattern
def scaled_dot_product_attention(op: torch.AtenScaledDotProductAttentionOp) -> Value | None:
    if number(op.dropout_p) != 0 or not is_f32(op.query, op.key, op.value):
        return None
    queries, keys = shape(op.query), shape(op.key)
    if not queries or not keys or len(queries) != 4 or len(keys) != 4:
        return None
    scale = number(op.scale) if not is_none(op.scale) else 1 / math.sqrt(queries[-1])
    mask = _mask(op.attn_mask, queries, keys)
    if truth(op.is_causal) and is_none(op.attn_mask):
        # torch counts keys from the first, elx.attention to the last: the same where there are as many of both.
        mask = _Mask(causal=True) if queries[-2] == keys[-2] else None
    if scale is None or mask is None:
        return None
    return _attention(op.query, op.key, op.value, mask, scale, op.result)


@pattern
def attention_in_parts(op: torch.AtenMatmulOp) -> Value | None:
    weights = defining(op.self_)
    if not isinstance(weights, (torch.AtenSoftmaxIntOp, torch.Aten_SoftmaxOp)) or not is_f32(
        op.self_, op.other, weights.self_
    ):
        return None
    sizes = shape(op.self_) or ()
    if len(sizes) != 4 or whole(weights.dim) not in (-1, 3):
        return None
    for scores, addend in _scores_and_masks(weights.self_):
        product, scale = scaled(scores)
        product_op = defining(product)
        if not isinstance(product_op, torch.AtenMatmulOp):
            continue
        query, key = product_op.self_, _transposed(product_op.other)
        if key is None or not is_f32(query, key):
            continue
        mask = _Mask() if addend is None else _mask(addend, shape(query) or (), shape(key) or ())
        if mask is not None:
            return _attention(query, key, op.other, mask, scale, op.result)
    return None


def _scores_and_masks(value: Value) -> list[tuple[Value, Value | None]]:
    op = defining(value)
    if isinstance(op, torch.AtenAddTensorOp) and plain_sum(op):
        return list(either_way(op))
    return [(value, None)]


def _transposed(value: Value) -> Value | None:
    """What was transposed in its last two dimensions."""
    match defining(value):
        case torch.AtenTransposeIntOp(self_=x, dim0=a, dim1=b) if {(whole(a) or 0) % 4, (whole(b) or 0) % 4} == {2, 3}:
            return x
        case _:
            return None


def _mask(value: Value, queries: tuple[int, ...], keys: tuple[int, ...]) -> _Mask | None:
    """What a mask operand means; None if it differs from head to head, which `elx.attention` has no operand for."""
    if is_none(value):
        return _Mask()
    tokens, length = queries[-2], keys[-2]
    causal = causal_mask(value, tokens, length)
    if causal is not None:
        return _Mask(positions=causal.positions, causal=True)
    sizes = shape(value)
    wanted = (queries[0], 1, tokens, length)
    if sizes is None or (1,) * (4 - len(sizes)) + sizes != wanted:
        return None
    additive = value if element(value) == "f32" else _added(value, sizes)
    if additive is None:
        return None
    ready = to_builtin(additive)
    if sizes != wanted:
        ready = elx.ReshapeOp(x=ready, type=tensor(wanted)).result
    return _Mask(additive=ready)


def _added(condition: Value, sizes: tuple[int, ...]) -> Value | None:
    """0 where a bool mask shows a key, the lowest number where it hides it; made once for all who read the mask."""
    if element(condition) != "i1":
        return None
    for use in condition.uses:
        made = use.owner
        if isinstance(made, torch.AtenWhereScalarOp) and (number(made.self_), number(made.other)) == (0, _LOWEST):
            return made.result
    owner = condition.owner
    place = InsertionPoint.at_block_begin(owner) if isinstance(owner, Block) else InsertionPoint.after(owner)
    with build_at(place, condition.location):
        shown = torch.ConstantFloatOp(0.0).result
        hidden = torch.ConstantFloatOp(_LOWEST).result
        return torch.AtenWhereScalarOp(vtensor(sizes), condition, shown, hidden).result


def _attention(query: Value, key: Value, value: Value, mask: _Mask, scale: float, like: Value) -> Value | None:
    queries = shape(query) or ()
    key, value = _once_per_kv_head(key), _once_per_kv_head(value)
    keys, values = shape(key) or (), shape(value) or ()
    if len(queries) != 4 or len(keys) != 4 or keys != values or keys[1] == 0 or queries[1] % keys[1]:
        return None
    if queries[0] != keys[0] or queries[3] != keys[3] or shape(like) != queries:
        return None
    made = elx.AttentionOp(
        q=to_builtin(query),
        k=to_builtin(key),
        v=to_builtin(value),
        positions=mask.positions,
        mask=mask.additive,
        scale=scale,
        causal=mask.causal,
    )
    assert shape_of(made.result) == queries
    return from_builtin(made.result, like)


def _once_per_kv_head(value: Value) -> Value:
    """Keys or values before each head was repeated for the queries that share it."""
    reshaped = defining(value)
    expanded = defining(reshaped.self_) if isinstance(reshaped, SHAPES_ONLY) else None
    single = defining(expanded.self_) if isinstance(expanded, torch.AtenExpandOp) else None
    if not isinstance(expanded, torch.AtenExpandOp) or not isinstance(single, SHAPES_ONLY):
        return value
    source = single.self_
    sizes, one, many, merged = shape(source), shape(single.result), shape(expanded.result), shape(value)
    if sizes is None or one is None or many is None or merged is None or len(sizes) != 4 or len(many) != 5:
        return value
    batch, heads, length, width = sizes
    repeats = many[2]
    follows = one == (batch, heads, 1, length, width) and many == (batch, heads, repeats, length, width)
    return source if follows and merged == (batch, heads * repeats, length, width) else value


@compiler_pass
def fuse_attention(module: ModuleOp) -> None:
    """Make `elx.attention` of attention as one op or in parts.

    Keys and values that were repeated for groups of queries are read once; a causal mask becomes `causal` with the
    queries' positions; any other mask is an operand, if it is the same for all heads.
    """
    rewrite_until_stable(module, scaled_dot_product_attention, attention_in_parts)
