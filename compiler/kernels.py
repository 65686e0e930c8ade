"""Which runtime kernel computes an `elx` op on the host, and with which arguments (runtime/README.md)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from elastix.compiler.ir import RefusedOp, element_of, shape_of
from elastix.compiler.ir.core import DenseElementsAttr, OpView, RankedTensorType, Value
from elastix.dialects.elx import (
    ActivationOp,
    AttentionOp,
    CacheUpdateOp,
    GatedActivationOp,
    HadamardOp,
    LayerNormOp,
    QuantizedAttentionOp,
    QuantizedCacheUpdateOp,
    ResidualOp,
    RmsNormOp,
    RopeOp,
    TransposeOp,
)
from elastix.dialects.elx.ops import ACTIVATIONS
from elastix.dialects.host import Int32

_ELEMENT_BYTES = {"f64": 8, "i64": 8, "f32": 4, "i32": 4, "f16": 2, "bf16": 2, "i16": 2, "i8": 1, "ui8": 1, "i1": 1}


Argument = Value | int | Int32 | DenseElementsAttr | None
"""A tensor as a pointer; an int64; an int32; a pointer to constants; a null pointer."""


@dataclass(frozen=True)
class KernelCall:
    """A call of the extern "C" function `callee`."""

    callee: str
    arguments: Sequence[Argument]


def float_bits(value: float) -> Int32:
    """The bit pattern of an fp32 attribute, as the C ABI takes it."""
    return Int32(struct.unpack("<i", struct.pack("<f", value))[0])


def element_bytes(value: Value) -> int:
    """Bytes of one element of a tensor. Raises TypeError for an element that has no place in memory."""
    kind = value.type
    element = str(kind.element_type) if isinstance(kind, RankedTensorType) else ""
    if element not in _ELEMENT_BYTES:
        raise TypeError(f"{kind} has no place in memory")
    return _ELEMENT_BYTES[element]


def bytes_of(value: Value) -> int:
    """Bytes of a tensor, dense; elements of i4 lie two in a byte."""
    kind = value.type
    if isinstance(kind, RankedTensorType) and str(kind.element_type) == "i4":
        return prod(shape_of(value)) // 2
    return prod(shape_of(value)) * element_bytes(value)


def _rows(value: Value) -> tuple[int, int]:
    *leading, columns = shape_of(value)
    return prod(leading), columns


def _integers(values: Sequence[int]) -> DenseElementsAttr:
    return DenseElementsAttr.get(np.array(values, np.int64))


def kernel_call(op: OpView) -> KernelCall:
    """The call that computes the result of `op`; raises RefusedOp if the runtime has no kernel for it."""
    match op:
        case RmsNormOp():
            return KernelCall("elastix_rms_norm", (op.x, op.weight, op.result, *_rows(op.x), float_bits(op.eps)))
        case LayerNormOp():
            tensors = (op.x, op.weight, op.bias, op.result)
            return KernelCall("elastix_layer_norm", (*tensors, *_rows(op.x), float_bits(op.eps)))
        case RopeOp():
            tensors = (op.x, op.positions, op.inv_freq, op.result)
            return KernelCall("elastix_rope", (*tensors, *shape_of(op.x), float_bits(op.scaling)))
        case CacheUpdateOp():
            batch, heads, length, width = shape_of(op.cache)
            sizes = (batch, heads, length, shape_of(op.new)[2], width)
            return KernelCall("elastix_cache_update", (op.result, op.new, op.positions, *sizes))
        case HadamardOp():
            return KernelCall("elastix_hadamard", (op.x, op.result, *_rows(op.x), float_bits(op.scale)))
        case QuantizedCacheUpdateOp():
            batch, heads, length, width = shape_of(op.cache)
            sizes = (batch, heads, length, shape_of(op.new)[2], width, _cache_bits(op.cache))
            return KernelCall("elastix_quantized_cache_update", (*op.results, op.new, op.positions, *sizes))
        case AttentionOp():
            tensors = (op.q, op.k, op.v, op.positions, op.mask, op.result)
            return KernelCall("elastix_attention", (*tensors, *_attention_sizes(op), *_attention_flags(op)))
        case QuantizedAttentionOp():
            tensors = (op.q, op.k, op.k_scales, op.v, op.v_scales, op.positions, op.mask, op.result)
            sizes = (*_attention_sizes(op), _cache_bits(op.k), _cache_bits(op.v))
            return KernelCall("elastix_quantized_attention", (*tensors, *sizes, *_attention_flags(op)))
        case GatedActivationOp():
            tensors, kind = (op.gate, op.up, op.result), Int32(ACTIVATIONS.index(op.kind))
            return KernelCall("elastix_gated_activation", (*tensors, prod(shape_of(op.gate)), kind))
        case ActivationOp():
            kind = Int32(ACTIVATIONS.index(op.kind))
            return KernelCall("elastix_activation", (op.x, op.result, prod(shape_of(op.x)), kind))
        case ResidualOp():
            return KernelCall("elastix_residual", (op.a, op.b, op.result, prod(shape_of(op.a))))
        case TransposeOp():
            shape = shape_of(op.x)
            axes = (len(shape), _integers(shape), _integers(op.permutation), element_bytes(op.x))
            return KernelCall("elastix_transpose", (op.x, op.result, *axes))
        case _:
            raise RefusedOp(op, "the host has no kernel for it", wanted="an op that earlier passes lower")


def _attention_sizes(op: AttentionOp | QuantizedAttentionOp) -> tuple[int, ...]:
    batch, heads, tokens, width = shape_of(op.q)
    _, kv_heads, length, _ = shape_of(op.k)
    return batch, heads, kv_heads, tokens, length, width


def _attention_flags(op: AttentionOp | QuantizedAttentionOp) -> tuple[Int32, Int32]:
    return float_bits(op.scale), Int32(int(op.causal))


def _cache_bits(cache: Value) -> int:
    """Bits of an element, as the runtime is told: 4 or 8, 32 for fp32."""
    return {"i4": 4, "i8": 8, "f32": 32}[str(element_of(cache))]
