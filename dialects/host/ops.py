"""The ops of `host`; the device itself is the step's first argument and is not named."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from elastix.compiler.ir import (
    ArrayAttr,
    Attribute,
    Codec,
    DenseElementsAttr,
    Dialect,
    IntegerAttr,
    IntegerType,
    Op,
    Result,
    Symbol,
    Type,
    UnitAttr,
    Value,
    add_codec,
    inferred,
    pointer,
)
from elastix.dialects import rules


class Host(Dialect, name="host"):
    """What the host does: pointers and integers only."""


REGIONS: Final = ("memory", "arena", "argument", "result")


def _is_dense(attribute: Attribute) -> bool:
    return isinstance(attribute, DenseElementsAttr)


def _as_it_is(attribute: Attribute) -> Attribute:
    return attribute


add_codec(DenseElementsAttr, Codec("a dense tensor", _is_dense, _as_it_is, _as_it_is))


class AddressOp(Op, dialect=Host, name="address"):
    """A pointer `offset` bytes into the device's memory, the arena, or the step's argument or result number `index`."""

    region: str
    index: int | None = None
    offset: int
    pointer: Result = inferred()

    def infer(self) -> Type:
        return pointer()

    def wrong(self) -> Iterator[str]:
        yield from rules.among("region", self.region, REGIONS)
        yield from rules.at_least("offset", self.offset, 0)
        if self.region in ("argument", "result"):
            yield from rules.at_least("index", -1 if self.index is None else self.index, 0)
        elif self.index is not None:
            yield f"index is {self.index}, wanted none for region {self.region!r}"


class ConstantOp(Op, dialect=Host, name="constant"):
    """A pointer to constant elements, row-major: a tensor that the model spells out, a shape, a permutation."""

    value: DenseElementsAttr
    pointer: Result = inferred()

    def infer(self) -> Type:
        return pointer()


class UploadOp(Op, dialect=Host, name="upload", pure=False):
    """`elastix_quantize`: tokens × columns floats at x become activation images at byte `address` of the device.

    activation_bits: 8 … A.
    """

    x: Value
    tokens: int
    columns: int
    activation_bits: int
    address: int

    def wrong(self) -> Iterator[str]:
        yield from _pointer("x", self.x)
        yield from rules.at_least("tokens", self.tokens, 1)
        yield from rules.at_least("columns", self.columns, 1)
        if self.activation_bits not in range(8, 13):
            yield f"activation_bits is {self.activation_bits}, wanted 8 to 12"
        yield from rules.multiple("address", self.address, 64)


class LaunchOp(Op, dialect=Host, name="launch", pure=False):
    """`elastix_launch`: runs the descriptor at byte `descriptor` of the device over `tokens` tokens."""

    descriptor: int
    tokens: int

    def wrong(self) -> Iterator[str]:
        yield from rules.multiple("descriptor", self.descriptor, 64)
        yield from rules.at_least("tokens", self.tokens, 1)


class WaitOp(Op, dialect=Host, name="wait", pure=False):
    """`elastix_wait`: until the launches have finished."""


class ReadBackOp(Op, dialect=Host, name="read_back", pure=False):
    """`elastix_read_back`: tokens × rows results at byte `address` of the device go to y, without padding."""

    y: Value
    tokens: int
    rows: int
    address: int

    def wrong(self) -> Iterator[str]:
        yield from _pointer("y", self.y)
        yield from rules.at_least("tokens", self.tokens, 1)
        yield from rules.at_least("rows", self.rows, 1)
        yield from rules.multiple("address", self.address, 64)


@dataclass(frozen=True)
class Int32:
    """A 32-bit argument of a call: a flag, a kind, the bit pattern of an fp32 attribute."""

    value: int


CallValue = int | Int32 | None
"""An argument of a call: an int has 64 bits; None stands for the next of the op's pointers."""


class CallOp(Op, dialect=Host, name="call", pure=False):
    """Calls a runtime kernel or an outlined function with pointers and integers.

    values: all arguments in order; `unit` stands for the next of `pointers`. (The bindings want all operands of a
    variadic group to have one type, so that integers cannot stand among the pointers.)
    """

    callee: Symbol
    pointers: Sequence[Value]
    values: ArrayAttr

    def arguments(self) -> list[CallValue]:
        """The values as Python ones."""
        return [_from_attribute(each) for each in self.values]

    def wrong(self) -> Iterator[str]:
        for index, value in enumerate(self.pointers):
            yield from _pointer(f"pointer {index}", value)
        for index, each in enumerate(self.values):
            if not _is_call_value(each):
                yield f"value {index} is {each}, wanted unit, an i64 or an i32"
        units = sum(isinstance(each, UnitAttr) for each in self.values)
        if units != len(self.pointers):
            yield f"values has {units} times unit, wanted {len(self.pointers)}, once for each pointer"


def call(callee: str, pointers: Sequence[Value], values: Sequence[CallValue]) -> CallOp:
    """Builds a call from Python values."""
    return CallOp(callee=Symbol(callee), pointers=pointers, values=ArrayAttr.get([_to_attribute(v) for v in values]))


def _is_call_value(attribute: Attribute) -> bool:
    if isinstance(attribute, IntegerAttr):
        return attribute.type in (IntegerType.get_signless(64), IntegerType.get_signless(32))
    return isinstance(attribute, UnitAttr)


def _to_attribute(value: CallValue) -> Attribute:
    match value:
        case None:
            return UnitAttr.get()
        case Int32():
            return IntegerAttr.get(IntegerType.get_signless(32), value.value)
        case _:
            return IntegerAttr.get(IntegerType.get_signless(64), value)


def _from_attribute(attribute: Attribute) -> CallValue:
    if not isinstance(attribute, IntegerAttr):
        return None
    return attribute.value if attribute.type == IntegerType.get_signless(64) else Int32(attribute.value)


def _is_pointer(type: Type) -> bool:
    return type == pointer()


def _pointer(name: str, value: Value) -> Iterator[str]:
    if not _is_pointer(value.type):
        yield f"{name} is {value.type}, wanted !llvm.ptr"
