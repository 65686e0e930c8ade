"""The annotated fields of an op class, and the properties that read them off an op."""

import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, cast, get_args, get_origin

from elastix.compiler.ir.attributes import codec
from elastix.compiler.ir.core import DenseI32ArrayAttr, OpResult, OpView, Region, Value

SEGMENTS = "operandSegmentSizes"
"""The attribute that holds the sizes of the groups of operands, where more than one varies."""

Kind = Literal["operand", "optional", "variadic", "attribute", "optional attribute", "result", "region"]


@dataclass(frozen=True)
class Field:
    """One annotated field of an op class; `type` is the Python type of an attribute."""

    name: str
    kind: Kind
    type: Any


def read_field(name: str, hint: Any) -> Field:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        inner = next(each for each in arguments if each is not type(None))
        return Field(name, "optional" if inner is Value else "optional attribute", inner)
    if hint is Value:
        return Field(name, "operand", hint)
    if hint is OpResult:
        return Field(name, "result", hint)
    if hint is Region:
        return Field(name, "region", hint)
    if origin is Sequence and arguments == (Value,):
        return Field(name, "variadic", hint)
    return Field(name, "attribute", hint)


def operand_groups(fields: Sequence[Field]) -> list[Field]:
    return [field for field in fields if field.kind in ("operand", "optional", "variadic")]


def is_segmented(fields: Sequence[Field]) -> bool:
    """Whether more than one group of operands varies in length, so that the op must store the lengths."""
    return sum(field.kind in ("optional", "variadic") for field in fields) > 1


def wrong_structure(op: OpView, fields: Sequence[Field]) -> Iterator[str]:
    """What is wrong with the number of operands and results and with the kinds of attributes, "found, wanted".

    Where it yields nothing, the properties can read the op.
    """
    yield from _wrong_operands(op, operand_groups(fields))
    results = [field.name for field in fields if field.kind == "result"]
    if len(op.results) != len(results):
        yield f"has {len(op.results)} results, wanted {len(results)}"
    for field in fields:
        if field.kind not in ("attribute", "optional attribute"):
            continue
        wanted = codec(field.type)
        if field.name not in op.attributes:
            if field.kind == "attribute":
                yield f"has no {field.name}, wanted {wanted.wanted}"
        elif not wanted.fits(op.attributes[field.name]):
            yield f"{field.name} is {op.attributes[field.name]}, wanted {wanted.wanted}"


def _wrong_operands(op: OpView, groups: list[Field]) -> Iterator[str]:
    names = ", ".join({"operand": "{}", "optional": "[{}]", "variadic": "{}…"}[g.kind].format(g.name) for g in groups)
    found, least = len(op.operands), sum(group.kind == "operand" for group in groups)
    unbounded = any(group.kind == "variadic" for group in groups)
    if found < least or (found > len(groups) and not unbounded):
        yield f"has {found} operands, wanted {names or 'none'}"
    elif is_segmented(groups):
        sizes = op.attributes.get(SEGMENTS)
        if not isinstance(sizes, DenseI32ArrayAttr) or not _fit(list(sizes), groups, found):
            yield f"{SEGMENTS} is {sizes}, wanted how many of {names} there are, {found} in all"


def _fit(sizes: list[int], groups: list[Field], operands: int) -> bool:
    most = {"operand": (1, 1), "optional": (0, 1), "variadic": (0, operands)}
    return (
        len(sizes) == len(groups)
        and sum(sizes) == operands
        and all(most[group.kind][0] <= size <= most[group.kind][1] for size, group in zip(sizes, groups, strict=True))
    )


_Getter = Callable[[OpView], Any]


def add_properties(op: type[OpView], fields: Sequence[Field]) -> None:
    """Gives an op class a property for each of its fields."""
    position = {"result": 0, "region": 0}
    groups = operand_groups(fields)
    for field in fields:
        match field.kind:
            case "operand" | "optional" | "variadic":
                getter = _operand_getter(groups, groups.index(field), segmented=is_segmented(fields))
            case "attribute" | "optional attribute":
                getter = _attribute_getter(field)
            case "result" | "region":
                getter = _indexed_getter(field.kind, position[field.kind])
                position[field.kind] += 1
        setattr(op, field.name, property(getter))


def _indexed_getter(kind: Literal["result", "region"], index: int) -> _Getter:
    def result(op: OpView) -> OpResult:
        return op.results[index]

    def region(op: OpView) -> Region:
        return op.regions[index]

    return result if kind == "result" else region


def _attribute_getter(field: Field) -> _Getter:
    name, read = field.name, codec(field.type).from_mlir

    def required(op: OpView) -> Any:
        return read(op.attributes[name])

    def optional(op: OpView) -> Any:
        return read(op.attributes[name]) if name in op.attributes else None

    return required if field.kind == "attribute" else optional


def _operand_getter(groups: list[Field], index: int, *, segmented: bool) -> _Getter:
    kind, after = groups[index].kind, len(groups) - index - 1
    variable = next((i for i, field in enumerate(groups) if field.kind != "operand"), len(groups))

    def by_sizes(op: OpView) -> Any:
        sizes = list(cast(DenseI32ArrayAttr, op.attributes[SEGMENTS]))
        start = sum(sizes[:index])
        values = op.operands[start : start + sizes[index]]
        return values[0] if kind == "operand" else _plural(kind, values)

    def from_start(op: OpView) -> Value:
        return op.operands[index]

    def from_end(op: OpView) -> Value:
        return op.operands[len(op.operands) - after - 1]

    def the_variable(op: OpView) -> Any:
        return _plural(kind, op.operands[index : len(op.operands) - after])

    if segmented:
        return by_sizes
    if index == variable:
        return the_variable
    return from_start if index < variable else from_end


def _plural(kind: Kind, values: Sequence[Value]) -> tuple[Value, ...] | Value | None:
    return tuple(values) if kind == "variadic" else (values[0] if values else None)
