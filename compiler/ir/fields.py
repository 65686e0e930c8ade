"""The annotated fields of an op class, and the properties that read them off an op."""

import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, cast, get_args, get_origin

from elastix.compiler.ir.attributes import Codec, codec
from elastix.compiler.ir.core import Attribute, DenseI32ArrayAttr, OpResult, OpView, Region, Value

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


@dataclass(frozen=True)
class Structure:
    """What the fields of an op class say about its ops as a whole; computed once, for verifying costs every pass."""

    fields: tuple[Field, ...]
    groups: tuple[Field, ...]
    least: int
    most: float
    results: tuple[str, ...]
    attributes: tuple[tuple[str, bool, Codec], ...]
    segmented: bool

    @staticmethod
    def of(fields: Sequence[Field]) -> "Structure":
        """least, most: operands; attributes: name, whether it must be there, codec.

        segmented: more than one group of operands varies in length, so that the op must store the lengths.
        """
        groups = tuple(field for field in fields if field.kind in ("operand", "optional", "variadic"))
        kinds = [field.kind for field in groups]
        return Structure(
            tuple(fields),
            groups,
            kinds.count("operand"),
            float("inf") if "variadic" in kinds else len(kinds),
            tuple(field.name for field in fields if field.kind == "result"),
            tuple((f.name, f.kind == "attribute", codec(f.type)) for f in fields if f.kind.endswith("attribute")),
            len(kinds) - kinds.count("operand") > 1,
        )

    def wrong(self, op: OpView) -> Iterator[str]:
        """What is wrong with the number of operands and results and with the kinds of attributes, "found, wanted".

        Where it yields nothing, the properties can read the op.
        """
        operands, attributes = len(op.operands), op.attributes
        if not self.least <= operands <= self.most:
            yield f"has {operands} operands, wanted {self._spelled() or 'none'}"
        elif self.segmented and not self._fit(attributes.get(SEGMENTS), operands):
            found = attributes.get(SEGMENTS)
            yield f"{SEGMENTS} is {found}, wanted how many of {self._spelled()} there are, {operands} in all"
        if len(op.results) != len(self.results):
            yield f"has {len(op.results)} results, wanted {len(self.results)}"
        for name, required, wanted in self.attributes:
            attribute = attributes.get(name)
            if attribute is None:
                if required:
                    yield f"has no {name}, wanted {wanted.wanted}"
            elif not wanted.fits(attribute):
                yield f"{name} is {attribute}, wanted {wanted.wanted}"

    def _spelled(self) -> str:
        forms = {"operand": "{}", "optional": "[{}]", "variadic": "{}…"}
        return ", ".join(forms[group.kind].format(group.name) for group in self.groups)

    def _fit(self, sizes: Attribute | None, operands: int) -> bool:
        if not isinstance(sizes, DenseI32ArrayAttr) or len(sizes) != len(self.groups) or sum(sizes) != operands:
            return False
        ranges = {"operand": range(1, 2), "optional": range(2), "variadic": range(operands + 1)}
        return all(size in ranges[group.kind] for size, group in zip(sizes, self.groups, strict=True))


_Getter = Callable[[OpView], Any]


def add_properties(op: type[OpView], structure: Structure) -> None:
    """Gives an op class a property for each of its fields."""
    position = {"result": 0, "region": 0}
    groups = structure.groups
    for field in structure.fields:
        match field.kind:
            case "operand" | "optional" | "variadic":
                getter = _operand_getter(groups, groups.index(field), segmented=structure.segmented)
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


def _operand_getter(groups: Sequence[Field], index: int, *, segmented: bool) -> _Getter:
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
