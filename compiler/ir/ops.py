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
from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    Optional,
    cast,
    dataclass_transform,
)

from elastix.compiler.ir.attributes import codec
from elastix.compiler.ir.core import (
    Attribute,
    DenseI32ArrayAttr,
    Operation,
    OpResult,
    OpView,
    Type,
    Value,
)
from elastix.compiler.ir.fields import SEGMENTS, Field, Structure, add_properties, read_field
from elastix.compiler.ir.machinery import DeclaredOp, Dialect, Operand, Pure, RegionField, ResultField

Result = OpResult


def inferred(*, init: Literal[False] = False) -> Any:
    """Marks the result whose type `infer` computes."""
    return None


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
        structure: ClassVar[Structure]
        about: ClassVar[str]

    def __init_subclass__(
        cls, *, dialect: type[Dialect], name: str, traits: Sequence[type] = (), pure: bool = True
    ) -> None:
        hints = inspect.get_annotations(cls)
        cls.fields = tuple(read_field(key, hint) for key, hint in hints.items())
        cls.about = " ".join((cls.__doc__ or "").split())
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
        cls.structure = Structure.of(cls.fields)
        add_properties(cls, cls.structure)

    def __init__(self, *, result_types: Iterable[Type] = (), **values: Any) -> None:
        OpView.__init__(self, _build(type(self), values, list(result_types)).operation)

    def infer(self) -> Type | Sequence[Type]:
        """The types of the inferred results; `self` may be a stand-in with only the op's operands and attributes."""
        raise NotImplementedError(f"{type(self).__name__} does not infer its result")

    def wrong(self) -> Iterator[str]:
        """The op's broken rules, each "found, wanted"; none by default."""
        return iter(())

    def verify_invariants(self) -> bool:
        """Called by MLIR's verifier: reports every broken rule, then whether the result is the one inferred."""
        messages = list(self.structure.wrong(self)) or list(self.wrong())
        if not messages and type(self).infer is not Op.infer:
            for name, result, wanted in zip(self.structure.results, self.results, _sequence(self.infer()), strict=True):
                if result.type != wanted:
                    messages.append(f"{name} is {result.type}, wanted {wanted}")
        for message in messages:
            self.location.emit_error(f"'{self.name}' op {message}")
        return not messages


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
    if op.structure.segmented:
        raw[SEGMENTS] = DenseI32ArrayAttr.get(sizes)
    if not result_types and any(field.kind == "result" for field in op.fields):
        result_types = list(_sequence(op.infer(cast(Any, SimpleNamespace(**values)))))
    return Operation.create(op.OPERATION_NAME, result_types, operands, raw, regions=regions)


def _sequence(types: Type | Sequence[Type]) -> Sequence[Type]:
    return [types] if isinstance(types, Type) else types
