"""Shorthand for the types and shapes that ops are made of."""

from collections.abc import Sequence

from elastix.compiler.ir.core import F32Type, IntegerType, RankedTensorType, Type, Value
from elastix.compiler.ir.machinery import PointerType


def f32() -> Type:
    return F32Type.get()


def integer(width: int) -> Type:
    return IntegerType.get_signless(width)


def pointer() -> Type:
    """`!llvm.ptr`"""
    return PointerType.get()


def tensor(shape: Sequence[int], element: Type | None = None) -> RankedTensorType:
    """A builtin tensor type; f32 unless `element` says otherwise."""
    return RankedTensorType.get_unchecked(shape, element or F32Type.get())


def shape_of(value: Value) -> tuple[int, ...]:
    """The sizes of a static builtin tensor. Raises TypeError for any other type."""
    kind = value.type
    if not isinstance(kind, RankedTensorType) or not kind.has_static_shape:
        raise TypeError(f"{kind} is not a tensor of static shape")
    return tuple(kind.shape)


def element_of(value: Value) -> Type:
    """The element type of a builtin tensor."""
    kind = value.type
    if not isinstance(kind, RankedTensorType):
        raise TypeError(f"{kind} is not a tensor")
    return kind.element_type
