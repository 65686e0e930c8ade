"""Caches of keys and values become small integers with a scale for each token and head."""

from typing import Final, cast

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import (
    ArrayAttr,
    BF16Type,
    BlockArgument,
    DictAttr,
    InsertionPoint,
    ModuleOp,
    Operation,
    OpResult,
    OpView,
    RefusedOp,
    StringAttr,
    Value,
    build_at,
    compiler_pass,
    integer,
    ops_of,
    remark,
    shape_of,
    tensor,
)
from elastix.dialects.elx import AttentionOp, CacheUpdateOp, HadamardOp, QuantizedAttentionOp, QuantizedCacheUpdateOp
from elastix.passes.s2_fuse.weight_arguments import kind_of, name_of, set_function_type

FLOAT: Final = 32
BITS: Final = (4, 8, FLOAT)
SCALE_SUFFIX: Final = ".scale"
"""The scales of the cache `cache.key.0` are the cache `cache.key.0.scale`."""


@compiler_pass
def quantize_caches(
    module: ModuleOp, *, key_bits: int = 8, value_bits: int = 8, rotate_keys: bool = True, rotate_values: bool = True
) -> None:
    """Store each cache that `elx.cache_update` writes and only `elx.attention` reads as codes and scales (C12, C13).

    The argument's elements become i8 or i4, a second cache argument holds the scales, and the two ops become
    `elx.quantized_cache_update` and `elx.quantized_attention`. Caches that anything else touches stay. Where a head's
    width is a power of two, `elx.hadamard` rotates keys and queries, and at 4 bits values and what attention makes of
    them: rows without outliers lose less. Refuses other numbers of bits, and heads of an odd width at 4 bits.

    key_bits: of a code of the keys, 4 or 8; 32 leaves them in fp32.
    value_bits: of a code of the values, 4 or 8; 32 leaves them in fp32.
    rotate_keys: false leaves keys as they are.
    rotate_values: false leaves values as they are, for one when rotate-values has folded it into the weights.
    """
    for name, bits in (("key-bits", key_bits), ("value-bits", value_bits)):
        if bits not in BITS:
            raise ElastixError(f"{name}={bits}", wanted="4 or 8, or 32 for fp32")
    bits = {"k": key_bits, "v": value_bits}
    chosen = [
        (update, role) for update in ops_of(module, CacheUpdateOp) if bits.get(role := _role(update), FLOAT) != FLOAT
    ]
    for update, role in chosen:
        width = shape_of(update.cache)[-1]
        if bits[role] == 4 and width % 2:
            raise RefusedOp(update, f"heads of {width} values at 4 bits", wanted="an even number: two share a byte")
    rotate = {"k": rotate_keys, "v": rotate_values and value_bits == 4}
    for update, role in chosen:
        rotated = rotate[role] and shape_of(update.cache)[-1].bit_count() == 1
        _quantize(update, role, bits[role], rotated=rotated)


def _role(update: CacheUpdateOp) -> str:
    """Whether the cache holds the `k` or the `v` of attention; empty, with a remark, if it must stay as it is."""
    cache = update.cache
    if not isinstance(cache, BlockArgument) or kind_of(cache) != "cache":
        remark(update, "stays in fp32: it writes no cache of the step's own")
        return ""
    roles: set[str] = set()
    for use in update.result.uses:
        reader = use.owner
        if isinstance(reader, AttentionOp) and use.operand_number in (1, 2):
            roles.add("kv"[use.operand_number - 1])
        elif reader.operation.name == "func.return" and _writes(reader, use.operand_number) == name_of(cache):
            roles.add("written")
        else:
            roles.add("other")
    if sum(1 for _ in cache.uses) == 1 and roles in ({"k", "written"}, {"v", "written"}):
        return min(roles)
    remark(update, f"cache {name_of(cache)} stays in fp32: not only attention reads it, as keys or as values")
    return ""


def _writes(last: OpView, place: int) -> str:
    words = _words(cast(OpView, last.operation.parent), "res_attrs")
    if place >= len(words) or "elx.writes" not in words[place]:
        return ""
    return StringAttr(words[place]["elx.writes"]).value


def _words(function: OpView, which: str) -> list[DictAttr]:
    attributes = function.attributes
    return [DictAttr(each) for each in ArrayAttr(attributes[which])] if which in attributes else []


def _hadamard(x: Value, scale: float) -> Value:
    return HadamardOp(x=x, scale=scale).result


def _quantize(update: CacheUpdateOp, role: str, bits: int, *, rotated: bool) -> None:
    cache = cast(BlockArgument, update.cache)
    function, sizes = cache.owner.owner, shape_of(cache)
    name = name_of(cache) + SCALE_SUFFIX
    with build_at(InsertionPoint(update), update.location):
        cache.set_type(tensor(sizes, integer(bits)))
        scales = cache.owner.add_argument(tensor(sizes[:-1], BF16Type.get()), update.location)
        _say(function, "arg_attrs", {"elx.name": name, "elx.kind": "cache"})
        new = _hadamard(update.new, 1.0) if rotated else update.new
        stored = QuantizedCacheUpdateOp(cache=cache, scales=scales, new=new, positions=update.positions)
    role = role if rotated else ""
    for reader in {use.owner for use in update.result.uses}:
        if isinstance(reader, AttentionOp | QuantizedAttentionOp):
            _read_codes(reader, update.result, stored, role)
    update.result.replace_all_uses_with(stored.result)
    update.operation.erase()
    *_, last = cache.owner.operations
    with build_at(InsertionPoint(last), last.location):
        Operation.create("func.return", operands=[*last.operands, stored.new_scales])
    last.operation.erase()
    _say(function, "res_attrs", {"elx.writes": name})
    set_function_type(function)


def _say(function: OpView, which: str, words: dict[str, str]) -> None:
    """Attributes for the argument or result that comes last."""
    said = DictAttr.get({key: StringAttr.get(value) for key, value in words.items()})
    function.attributes[which] = ArrayAttr.get([*_words(function, which), said])


def _read_codes(
    reader: AttentionOp | QuantizedAttentionOp, old: OpResult, stored: QuantizedCacheUpdateOp, rotated: str
) -> None:
    """Attention over codes in the place of attention over `old`. rotated: `k` or `v` if its rows are, else empty."""

    def seen(value: Value, scales: Value | None) -> tuple[Value, Value | None]:
        return (stored.result, stored.new_scales) if value == old else (value, scales)

    quantized = isinstance(reader, QuantizedAttentionOp)
    k, k_scales = seen(reader.k, reader.k_scales if quantized else None)
    v, v_scales = seen(reader.v, reader.v_scales if quantized else None)
    back = 1 / shape_of(reader.q)[-1]
    with build_at(InsertionPoint(reader), reader.location):
        made = QuantizedAttentionOp(
            q=_hadamard(reader.q, back) if rotated == "k" else reader.q,
            k=k,
            v=v,
            k_scales=k_scales,
            v_scales=v_scales,
            positions=reader.positions,
            mask=reader.mask,
            scale=reader.scale,
            causal=reader.causal,
        )
        result = _hadamard(made.result, back) if rotated == "v" else made.result
    reader.result.replace_all_uses_with(result)
    reader.operation.erase()
