"""The ops over caches that hold small integers: what is appended is rounded, attention reads codes and scales."""

from collections.abc import Iterator
from typing import Final

from elastix.compiler.ir import Op, RankedTensorType, Result, Type, Value, inferred, shape_of
from elastix.dialects import rules
from elastix.dialects.elx.dialect import Elx
from elastix.dialects.elx.ops import appended, attended

CODES: Final = {"i8": 8, "i4": 4}
"""Element types of a cache of codes, and their bits."""


class HadamardOp(Op, dialect=Elx, name="hadamard"):
    """Each row of x times the symmetric Hadamard matrix of its width (entries 1 and −1), then times scale.

    x, result: … × K, K a power of two. Twice, with scales whose product is 1/K, it is x.
    """

    x: Value
    scale: float
    result: Result = inferred()

    def infer(self) -> Type:
        return self.x.type

    def wrong(self) -> Iterator[str]:
        yield from (broken := list(rules.tensor("x", self.x, ("…", "K"))))
        if not broken and (width := shape_of(self.x)[-1]).bit_count() != 1:
            yield f"x has rows of {width}, wanted a power of two"


class QuantizedCacheUpdateOp(Op, dialect=Elx, name="quantized_cache_update"):
    """Rule C12: the cache with the rows of `new` as codes and scales, written at `positions` of its third axis.

    cache, result: B × Hkv × S × Dh of i8 or i4 (then Dh is even); scales, new_scales: B × Hkv × S of bf16; new:
    B × Hkv × T × Dh, T ≤ S; positions: T of i64. In place once lowered.
    """

    cache: Value
    scales: Value
    new: Value
    positions: Value
    result: Result = inferred()
    new_scales: Result = inferred()

    def infer(self) -> tuple[Type, Type]:
        return self.cache.type, self.scales.type

    def wrong(self) -> Iterator[str]:
        yield from (broken := list(_codes("cache", self.cache, ("B", "Hkv", "S", "Dh"), ("i8", "i4"))))
        if broken:
            return
        yield from rules.tensor("scales", self.scales, shape_of(self.cache)[:3], element="bf16")
        yield from appended(self.cache, self.new, self.positions)


class QuantizedAttentionOp(Op, dialect=Elx, name="quantized_attention"):
    """Rule C13: `elx.attention` over caches of codes; k or v may be f32 still, which then has no scales.

    q, result: B × H × T × Dh; k, v: B × Hkv × S × Dh of i8, i4 or f32; k_scales, v_scales: B × Hkv × S of bf16;
    positions: T of i64; mask: B × 1 × T × S, which is added.
    """

    q: Value
    k: Value
    v: Value
    k_scales: Value | None = None
    v_scales: Value | None = None
    positions: Value | None = None
    mask: Value | None = None
    scale: float
    causal: bool
    result: Result = inferred()

    def infer(self) -> Type:
        return self.q.type

    def wrong(self) -> Iterator[str]:
        operands = attended(self.q, self.k, self.v, self.positions, self.mask, _codes_or_floats)
        yield from (broken := list(operands))
        if broken:
            return
        for name, codes, scales in (("k", self.k, self.k_scales), ("v", self.v, self.v_scales)):
            yield from _scales(name, codes, scales)
        if self.k_scales is None and self.v_scales is None:
            yield "neither k nor v has scales, wanted elx.attention for such"


def _codes_or_floats(name: str, value: Value, sizes: rules.Sizes) -> Iterator[str]:
    return _codes(name, value, sizes, ("i8", "i4", "f32"))


def _codes(name: str, value: Value, sizes: rules.Sizes, elements: tuple[str, ...]) -> Iterator[str]:
    """Wants a tensor of one of these types of elements, and an even width where two codes share a byte."""
    found = _element(value)
    yield from (broken := list(rules.tensor(name, value, sizes, element=found if found in elements else elements[0])))
    if not broken and found == "i4" and shape_of(value)[-1] % 2:
        yield f"{name} has heads of {shape_of(value)[-1]} codes of 4 bits, wanted an even number"


def _scales(name: str, codes: Value, scales: Value | None) -> Iterator[str]:
    coded = _element(codes) in CODES
    if coded != (scales is not None):
        yield f"{name} has elements of {_element(codes)} and {'no ' if coded else ''}scales, wanted scales with codes"
    yield from rules.tensor(f"{name}_scales", scales, shape_of(codes)[:3], element="bf16")


def _element(value: Value) -> str:
    """The element type of a tensor in text, or nothing."""
    return str(value.type.element_type) if isinstance(value.type, RankedTensorType) else ""
