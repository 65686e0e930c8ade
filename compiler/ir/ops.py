"""How the project's ops are declared: one class an op, whose annotated fields are its operands, attributes and results.

    class RmsNormOp(Op, dialect=Elx, name="rms_norm"):
        \"\"\"Each row over the root of its mean square, times weight.\"\"\"

        x: Value                          # operand; `Value | None`: optional; `Sequence[Value]`: any number
        weight: Value
        eps: float                        # attribute; read and written as a Python value
        result: Result = inferred()       # its type is what `infer` says

        def infer(self) -> Type: return self.x.type
        def wrong(self) -> Iterator[str]: ...   # what breaks the op's rules, "found, wanted"

`RmsNormOp(x=x, weight=w, eps=1e-6).result` builds one at the current insertion point and location.
"""

import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    Optional,
    Union,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
)

from elastix.compiler.ir.attributes import codec
from elastix.compiler.ir.core import (
    Attribute,
    DenseI32ArrayAttr,
    Operation,
    OpResult,
    OpView,
    Region,
    Type,
    Value,
)
from elastix.compiler.ir.machinery import DeclaredOp, Dialect, Operand, Pure, RegionField, ResultField

Result = OpResult


def inferred(*, init: Literal[False] = False) -> Any:
    """Marks the result whose type `infer` computes."""
    return None


Kind = Literal["operand", "optional", "variadic", "attribute", "optional attribute", "result", "region"]


@dataclass(frozen=True)
class Field:
    """One annotated field of an op class; `type` is the Python type of an attribute."""

    name: str
    kind: Kind
    type: Any


def _field(name: str, hint: Any) -> Field:
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


_RAW_HINT: dict[str, Any] = {
    "operand": Operand[Any],
    "optional": Optional[Operand[Any]],  # noqa: UP045
    "variadic": Sequence[Operand[Any]],
    "result": ResultField[Any],
    "region": RegionField,
    # Any attribute: `verify_invariants` tells what is wrong with one better than the bindings do.
    "attribute": Any,
}


@dataclass_transform(kw_only_default=True, field_specifiers=(inferred,))
class Op(DeclaredOp):
    """Base of the project's op classes; see the module's text."""

    # Not annotated when run: the bindings would take the annotations for fields of an op.
    if TYPE_CHECKING:
        fields: ClassVar[tuple[Field, ...]]
        summary: ClassVar[str]

    def __init_subclass__(
        cls, *, dialect: type[Dialect], name: str, traits: Sequence[type] = (), pure: bool = True
    ) -> None:
        hints = inspect.get_annotations(cls)
        cls.fields = tuple(_field(key, hint) for key, hint in hints.items())
        cls.summary = (cls.__doc__ or "").strip().partition("\n")[0]
        declared_init = cls.__dict__.get("__init__")
        for key in hints:
            if key in cls.__dict__:
                delattr(cls, key)
        cls.__annotations__ = {
            field.name: _RAW_HINT[field.kind] for field in cls.fields if field.kind != "optional attribute"
        }
        all_traits = [*traits, *([Pure] if pure else [])]
        super().__init_subclass__(dialect=dialect, name=name, traits=all_traits)
        cls.__annotations__ = hints
        cls.__init__ = declared_init or Op.__init__
        _add_properties(cls)

    def __init__(self, operation: Operation | None = None, *, result_types: Iterable[Type] = (), **values: Any) -> None:
        # The bindings wrap an existing operation through the same constructor.
        if operation is None:
            operation = _build(type(self), values, list(result_types)).operation
        OpView.__init__(self, operation)

    def infer(self) -> Type | Sequence[Type]:
        """The types of the inferred results; `self` may be a stand-in with only the op's operands and attributes."""
        raise NotImplementedError(f"{type(self).__name__} does not infer its result")

    def wrong(self) -> Iterator[str]:
        """The op's broken rules, each "found, wanted"; none by default."""
        return iter(())

    def verify_invariants(self) -> bool:
        """Called by MLIR's verifier: reports every broken rule, then whether the result is the one inferred."""
        messages = list(self._wrong_attributes()) or list(self.wrong())
        if not messages and type(self).infer is not Op.infer:
            names = [field.name for field in self.fields if field.kind == "result"]
            for name, result, wanted in zip(names, self.results, _sequence(self.infer()), strict=True):
                if result.type != wanted:
                    messages.append(f"{name} is {result.type}, wanted {wanted}")
        for message in messages:
            self.location.emit_error(f"'{self.name}' op {message}")
        return not messages

    def _wrong_attributes(self) -> Iterator[str]:
        for field in self.fields:
            if field.kind in ("attribute", "optional attribute") and field.name in self.attributes:
                wanted, attribute = codec(field.type), self.attributes[field.name]
                if not wanted.fits(attribute):
                    yield f"{field.name} is {attribute}, wanted {wanted.wanted}"


def _build(op: type[Op], values: dict[str, Any], result_types: list[Type]) -> OpView:
    operands: list[Value] = []
    sizes: list[int] = []
    raw: dict[str, Attribute] = {}
    regions = 0
    for field in op.fields:
        value = values.setdefault(field.name, None)
        match field.kind:
            case "operand" | "optional":
                operands.extend([] if value is None else [value])
                sizes.append(0 if value is None else 1)
            case "variadic":
                values[field.name] = value = tuple(value or ())
                operands.extend(value)
                sizes.append(len(value))
            case "attribute" | "optional attribute":
                if value is not None:
                    raw[field.name] = codec(field.type).to_mlir(value)
            case "region":
                regions += 1
            case "result":
                pass
    if _segmented(op):
        raw["operandSegmentSizes"] = DenseI32ArrayAttr.get(sizes)
    if not result_types and any(field.kind == "result" for field in op.fields):
        result_types = list(_sequence(op.infer(cast(Any, SimpleNamespace(**values)))))
    return Operation.create(op.OPERATION_NAME, result_types, operands, raw, regions=regions)


def _sequence(types: Type | Sequence[Type]) -> Sequence[Type]:
    return [types] if isinstance(types, Type) else types


def _segmented(op: type[Op]) -> bool:
    """Whether more than one group of operands varies in length, so that the op must store the lengths."""
    return sum(field.kind in ("optional", "variadic") for field in op.fields) > 1


_Getter = Callable[[OpView], Any]


def _add_properties(op: type[Op]) -> None:
    position = {"result": 0, "region": 0}
    groups = [field for field in op.fields if field.kind in ("operand", "optional", "variadic")]
    for field in op.fields:
        match field.kind:
            case "operand" | "optional" | "variadic":
                getter = _operand_getter(groups, groups.index(field), segmented=_segmented(op))
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
        sizes = list(cast(DenseI32ArrayAttr, op.attributes["operandSegmentSizes"]))
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
