"""The float ops of `elx` other than the linear ones; builtin tensors of f32, static shapes."""

from collections.abc import Callable, Iterator
from math import prod
from typing import Final

from elastix.compiler.ir import Op, RankedTensorType, Result, Type, Value, inferred, shape_of, tensor
from elastix.dialects import rules
from elastix.dialects.elx.dialect import Elx as Elx

ACTIVATIONS: Final = ("silu", "gelu", "gelu_tanh", "relu")
"""Kinds of activation, in the order of the runtime's code."""
Wants = Callable[[str, Value, rules.Sizes], Iterator[str]]
"""Of an operand by name: what is wrong with it as a tensor of these sizes."""


class RmsNormOp(Op, dialect=Elx, name="rms_norm"):
    """Each row of x over the root of (its mean square + eps), times weight.

    x, result: … × K; weight: K.
    """

    x: Value
    weight: Value
    eps: float
    result: Result = inferred()

    def infer(self) -> Type:
        return self.x.type

    def wrong(self) -> Iterator[str]:
        yield from rules.tensor("x", self.x, ("…", "K"))
        yield from rules.tensor("weight", self.weight, ("K",))
        yield from _same_columns(self.x, ("weight", self.weight))


class LayerNormOp(Op, dialect=Elx, name="layer_norm"):
    """Each row of x less its mean, over the root of (its variance + eps), times weight, plus bias.

    x, result: … × K; weight, bias: K.
    """

    x: Value
    weight: Value
    bias: Value
    eps: float
    result: Result = inferred()

    def infer(self) -> Type:
        return self.x.type

    def wrong(self) -> Iterator[str]:
        yield from rules.tensor("x", self.x, ("…", "K"))
        yield from rules.tensor("weight", self.weight, ("K",))
        yield from rules.tensor("bias", self.bias, ("K",))
        yield from _same_columns(self.x, ("weight", self.weight), ("bias", self.bias))


def _same_columns(x: Value, *others: tuple[str, Value]) -> Iterator[str]:
    """Wants every other operand's last size to be that of x; says nothing where a shape is missing."""
    sizes = _last(x)
    for name, value in others:
        if sizes and _last(value) and _last(value) != sizes:
            yield f"{name} has {_last(value)} columns, wanted {sizes} as x has"


def _last(value: Value) -> int:
    return value.type.shape[-1] if isinstance(value.type, RankedTensorType) and value.type.shape else 0


class RopeOp(Op, dialect=Elx, name="rope"):
    """Rotary position embedding, rotate-half: angles are positions · inv_freq, cosines and sines times scaling.

    x, result: B × H × T × Dh, Dh even; positions: T of i64; inv_freq: Dh/2.
    """

    x: Value
    positions: Value
    inv_freq: Value
    scaling: float
    result: Result = inferred()

    def infer(self) -> Type:
        return self.x.type

    def wrong(self) -> Iterator[str]:
        yield from (broken := list(rules.tensor("x", self.x, ("B", "H", "T", "Dh"))))
        if broken:
            return
        _, _, tokens, width = shape_of(self.x)
        if width % 2:
            yield f"x has heads of {width}, wanted an even width"
            return
        yield from rules.tensor("positions", self.positions, (tokens,), element="i64")
        yield from rules.tensor("inv_freq", self.inv_freq, (width // 2,))


class CacheUpdateOp(Op, dialect=Elx, name="cache_update"):
    """The cache with `new` written at `positions` of its third axis.

    cache, result: B × Hkv × S × Dh; new: B × Hkv × T × Dh, T ≤ S; positions: T of i64. In place once lowered.
    """

    cache: Value
    new: Value
    positions: Value
    result: Result = inferred()

    def infer(self) -> Type:
        return self.cache.type

    def wrong(self) -> Iterator[str]:
        yield from (broken := list(rules.tensor("cache", self.cache, ("B", "Hkv", "S", "Dh"))))
        if broken:
            return
        yield from appended(self.cache, self.new, self.positions)


def appended(cache: Value, new: Value, positions: Value) -> Iterator[str]:
    """Wants rows to write into a cache B × Hkv × S × Dh that was found right: B × Hkv × T × Dh, T ≤ S, T positions."""
    batch, heads, length, width = shape_of(cache)
    yield from (broken := list(rules.tensor("new", new, (batch, heads, "T", width))))
    if broken:
        return
    tokens = shape_of(new)[2]
    if tokens > length:
        yield f"new has {tokens} tokens, wanted at most the {length} of the cache"
    yield from rules.tensor("positions", positions, (tokens,), element="i64")


class AttentionOp(Op, dialect=Elx, name="attention"):
    """softmax(q · kᵀ · scale + mask) · v over S keys; T queries, H heads share Hkv heads of k and v.

    causal: query t sees key j when j ≤ positions[t], or j ≤ t + S − T without positions.

    q, result: B × H × T × Dh; k, v: B × Hkv × S × Dh; positions: T of i64; mask: B × 1 × T × S, which is added.
    """

    q: Value
    k: Value
    v: Value
    positions: Value | None = None
    mask: Value | None = None
    scale: float
    causal: bool
    result: Result = inferred()

    def infer(self) -> Type:
        return self.q.type

    def wrong(self) -> Iterator[str]:
        yield from attended(self.q, self.k, self.v, self.positions, self.mask)


def attended(
    q: Value, k: Value, v: Value, positions: Value | None, mask: Value | None, cache: Wants = rules.tensor
) -> Iterator[str]:
    """Wants operands of attention whose sizes go together; cache: what k and v are wanted to be besides."""
    yield from (broken := list(rules.tensor("q", q, ("B", "H", "T", "Dh"))))
    if broken:
        return
    batch, heads, tokens, width = shape_of(q)
    yield from (broken := list(cache("k", k, (batch, "Hkv", "S", width))))
    if broken:
        return
    _, kv_heads, length, _ = shape_of(k)
    if not kv_heads or heads % kv_heads:
        yield f"q has {heads} heads, wanted a multiple of the {kv_heads} of k"
    yield from cache("v", v, (batch, kv_heads, length, width))
    yield from rules.tensor("positions", positions, (tokens,), element="i64")
    yield from rules.tensor("mask", mask, (batch, 1, tokens, length))


class GatedActivationOp(Op, dialect=Elx, name="gated_activation"):
    """kind(gate) · up, element by element.

    kind: silu, gelu, gelu_tanh or relu; gate, up, result: of one shape.
    """

    gate: Value
    up: Value
    kind: str
    result: Result = inferred()

    def infer(self) -> Type:
        return self.gate.type

    def wrong(self) -> Iterator[str]:
        yield from rules.among("kind", self.kind, ACTIVATIONS)
        yield from (broken := list(rules.tensor("gate", self.gate)))
        if not broken:
            yield from rules.tensor("up", self.up, shape_of(self.gate))


class ActivationOp(Op, dialect=Elx, name="activation"):
    """kind(x), element by element.

    kind: silu, gelu, gelu_tanh or relu; x, result: of one shape.
    """

    x: Value
    kind: str
    result: Result = inferred()

    def infer(self) -> Type:
        return self.x.type

    def wrong(self) -> Iterator[str]:
        yield from rules.among("kind", self.kind, ACTIVATIONS)
        yield from rules.tensor("x", self.x)


class ResidualOp(Op, dialect=Elx, name="residual"):
    """a + b, element by element, of one shape."""

    a: Value
    b: Value
    result: Result = inferred()

    def infer(self) -> Type:
        return self.a.type

    def wrong(self) -> Iterator[str]:
        yield from (broken := list(rules.tensor("a", self.a)))
        if not broken:
            yield from rules.tensor("b", self.b, shape_of(self.a))


class ReshapeOp(Op, dialect=Elx, name="reshape"):
    """The same elements in the same order under another shape; no data moves."""

    x: Value
    result: Result

    def __init__(self, *, x: Value, type: Type) -> None:
        super().__init__(x=x, result_types=(type,))

    def wrong(self) -> Iterator[str]:
        types = (self.x.type, self.result.type)
        if not all(isinstance(each, RankedTensorType) and each.has_static_shape for each in types):
            yield f"x is {types[0]} and result is {types[1]}, wanted static tensors"
            return
        have, get = (tensor_type(each) for each in types)
        if have.element_type != get.element_type:
            yield f"result has elements of {get.element_type}, wanted {have.element_type} as x has"
        if prod(have.shape) != prod(get.shape):
            yield f"result has {prod(get.shape)} elements, wanted {prod(have.shape)} as x has"


def tensor_type(type: Type) -> RankedTensorType:
    assert isinstance(type, RankedTensorType)
    return type


class TransposeOp(Op, dialect=Elx, name="transpose"):
    """x with its axes permuted: axis i of the result is axis permutation[i] of x."""

    x: Value
    permutation: tuple[int, ...]
    result: Result = inferred()

    def infer(self) -> Type:
        type_ = tensor_type(self.x.type)
        return tensor([type_.shape[axis] for axis in self.permutation], type_.element_type)

    def wrong(self) -> Iterator[str]:
        if not isinstance(self.x.type, RankedTensorType) or not self.x.type.has_static_shape:
            yield f"x is {self.x.type}, wanted a static tensor"
        elif sorted(self.permutation) != list(range(self.x.type.rank)):
            wanted = f"each axis 0 … {self.x.type.rank - 1} once"
            yield f"permutation is {list(self.permutation)}, wanted {wanted}"
