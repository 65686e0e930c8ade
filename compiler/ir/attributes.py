"""MLIR attributes to Python values and back, by the Python type that an op's field is annotated with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from elastix.compiler.ir.core import (
    ArrayAttr,
    Attribute,
    BoolAttr,
    DenseI64ArrayAttr,
    F32Type,
    FlatSymbolRefAttr,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    Type,
    TypeAttr,
)


class Symbol(str):
    """The name of another op, written `@name`; a plain `str` field is a string attribute."""


@dataclass(frozen=True)
class Codec:
    """What an attribute must be (`wanted` says it in words, `fits` tests it), and the way there and back."""

    wanted: str
    fits: Callable[[Attribute], bool]
    to_mlir: Callable[[Any], Attribute]
    from_mlir: Callable[[Any], Any]


def _is(kind: type[Attribute]) -> Callable[[Attribute], bool]:
    return lambda attribute: isinstance(attribute, kind)


def _is_i64(attribute: Attribute) -> bool:
    return isinstance(attribute, IntegerAttr) and attribute.type == IntegerType.get_signless(64)


def _is_f32(attribute: Attribute) -> bool:
    return isinstance(attribute, FloatAttr) and isinstance(attribute.type, F32Type)


def _i64(value: int) -> IntegerAttr:
    return IntegerAttr.get(IntegerType.get_signless(64), value)


_CODECS: dict[Any, Codec] = {
    int: Codec("an i64", _is_i64, _i64, lambda a: a.value),
    bool: Codec("true or false", _is(BoolAttr), BoolAttr.get, lambda a: a.value),
    float: Codec("an f32", _is_f32, FloatAttr.get_f32, lambda a: a.value),
    str: Codec("a string", _is(StringAttr), StringAttr.get, lambda a: a.value),
    Symbol: Codec("a symbol", _is(FlatSymbolRefAttr), FlatSymbolRefAttr.get, lambda a: Symbol(a.value)),
    Type: Codec("a type", _is(TypeAttr), TypeAttr.get, lambda a: a.value),
    ArrayAttr: Codec("an array", _is(ArrayAttr), lambda v: v, lambda a: a),
    tuple[int, ...]: Codec("array<i64: …>", _is(DenseI64ArrayAttr), DenseI64ArrayAttr.get, tuple),
}


def add_codec(python_type: type[Any], codec: Codec) -> None:
    """Lets op fields be annotated with `python_type`."""
    _CODECS[python_type] = codec


def codec(python_type: Any) -> Codec:
    """The codec of a field's type. Raises TypeError for a type that none is for."""
    if python_type not in _CODECS:
        raise TypeError(f"no attribute codec for {python_type}")
    return _CODECS[python_type]
