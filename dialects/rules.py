"""Checks that several ops' verifiers share; each yields messages "found, wanted"."""

from collections.abc import Iterator, Sequence

from elastix.compiler.ir import BF16Type, F32Type, IntegerType, RankedTensorType, Type, Value

Sizes = Sequence[int | str]
"""Wanted sizes: a number, or a name for a size that is free."""


def f32(type: Type) -> bool:
    return isinstance(type, F32Type)


def i64(type: Type) -> bool:
    return isinstance(type, IntegerType) and type.width == 64


def i32(type: Type) -> bool:
    return isinstance(type, IntegerType) and type.width == 32


def i16(type: Type) -> bool:
    return isinstance(type, IntegerType) and type.width == 16


def i8(type: Type) -> bool:
    return isinstance(type, IntegerType) and type.is_signless and type.width == 8


def i4(type: Type) -> bool:
    return isinstance(type, IntegerType) and type.is_signless and type.width == 4


def bf16(type: Type) -> bool:
    return isinstance(type, BF16Type)


_ELEMENTS = {"f32": f32, "i64": i64, "i32": i32, "i16": i16, "i8": i8, "i4": i4, "bf16": bf16}


def tensor(name: str, value: Value | None, sizes: Sizes | None = None, *, element: str = "f32") -> Iterator[str]:
    """Wants a static tensor of `element`s; `sizes` may begin with "…" for any leading ones; None (no operand) is right.

    A size that is a string is only counted: `("B", "T", 4)` wants rank 3 with 4 last.
    """
    if value is None:
        return
    wanted = "a static tensor" if sizes is None else f"tensor<{'x'.join([*map(str, sizes), element])}>"
    type_ = value.type
    if not isinstance(type_, RankedTensorType) or not type_.has_static_shape:
        yield f"{name} is {type_}, wanted {wanted}"
        return
    if not _ELEMENTS[element](type_.element_type):
        yield f"{name} has elements of {type_.element_type}, wanted {element}"
    if sizes is not None and not _fits(type_.shape, sizes):
        yield f"{name} is {type_}, wanted {wanted}"


def _fits(shape: Sequence[int], sizes: Sizes) -> bool:
    if sizes and sizes[0] == "…":
        tail = sizes[1:]
        return len(shape) >= len(tail) and _fits(shape[len(shape) - len(tail) :], tail)
    return len(shape) == len(sizes) and all(
        isinstance(want, str) or have == want for have, want in zip(shape, sizes, strict=True)
    )


def among(name: str, value: str, choices: Sequence[str]) -> Iterator[str]:
    """Wants one of `choices`."""
    if value not in choices:
        yield f"{name} is {value!r}, wanted {' or '.join(choices)}"


def at_least(name: str, value: int, least: int) -> Iterator[str]:
    if value < least:
        yield f"{name} is {value}, wanted {least} or more"


def multiple(name: str, value: int, of: int) -> Iterator[str]:
    """Wants an address or a stride, not negative, at a multiple of `of`."""
    if value < 0 or value % of:
        yield f"{name} is {value}, wanted a multiple of {of}"
