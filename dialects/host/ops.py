"""The ops of `host`; the device itself is the step's first argument and is not named."""

from collections.abc import Iterator, Sequence
from typing import Final

from elastix.compiler.ir import (
    Attribute,
    Codec,
    DenseElementsAttr,
    Dialect,
    IntegerType,
    Op,
    Result,
    Symbol,
    Type,
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


add_codec(DenseElementsAttr, Codec("dense elements", _is_dense, _as_it_is, _as_it_is))


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
    """`elastix_quantize`: tokens × columns floats at x become activation images at byte `address` of the device."""

    x: Value
    tokens: int
    columns: int
    address: int

    def wrong(self) -> Iterator[str]:
        yield from _pointer("x", self.x)
        yield from rules.at_least("tokens", self.tokens, 1)
        yield from rules.at_least("columns", self.columns, 1)
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


class CallOp(Op, dialect=Host, name="call", pure=False):
    """Calls a runtime kernel or an outlined function with pointers and integers."""

    callee: Symbol
    arguments: Sequence[Value]

    def wrong(self) -> Iterator[str]:
        for index, value in enumerate(self.arguments):
            if not _is_pointer(value.type) and not (
                isinstance(value.type, IntegerType) and value.type.width in (32, 64)
            ):
                yield f"argument {index} is {value.type}, wanted !llvm.ptr, i64 or i32"


def _is_pointer(type: Type) -> bool:
    return type == pointer()


def _pointer(name: str, value: Value) -> Iterator[str]:
    if not _is_pointer(value.type):
        yield f"{name} is {value.type}, wanted !llvm.ptr"
