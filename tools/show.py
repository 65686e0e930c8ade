"""`elastix show FILE`: a module in a form that people like to read. It cannot be read back."""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

from elastix.compiler.ir import Op, OpView, RankedTensorType, StringAttr, Type, Value, parse, parse_file
from elastix.compiler.ir.core import (
    ArrayAttr,
    Attribute,
    BlockArgument,
    BoolAttr,
    DictAttr,
    FloatAttr,
    FunctionType,
    IntegerAttr,
    ModuleOp,
    TypeAttr,
)
from elastix.dialects.epu import InstructionOp

_DECISION: Final = ("elx.side", "elx.reason")
"""What the pass `partition` writes on an op."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `elastix show FILE`. Raises ElastixError for a file that is not there or is not MLIR."""
    parser = argparse.ArgumentParser(prog="elastix show", description=__doc__)
    parser.add_argument("file", help="MLIR text or bytecode; - for stdin")
    file = parser.parse_args(arguments).file
    module = parse(sys.stdin.read()) if file == "-" else parse_file(Path(file))
    print(show(module), end="")
    return 0


def show(module: ModuleOp) -> str:
    """The text: functions by name, values by the names the model gave them, types short, our ops with their fields."""
    return "\n".join(_Printer().ops(module, indent="")) + "\n"


def short_type(type: Type) -> str:
    """`tensor<2x64xf32>` as `2×64`, other elements as `2×64 i16`, other types as MLIR has them."""
    if not isinstance(type, RankedTensorType):
        return re.sub(r"!torch\.vtensor<\[([\d,?]*)\],(\w+)>", _short_torch, str(type))
    sizes = "×".join(map(str, type.shape)) or "scalar"
    element = str(type.element_type)
    return sizes if element == "f32" else f"{sizes} {element}"


def _short_torch(found: re.Match[str]) -> str:
    sizes = found[1].replace(",", "×") or "scalar"
    return sizes if found[2] == "f32" else f"{sizes} {found[2]}"


class _Printer:
    """Names values as they are met; one for a module."""

    def __init__(self) -> None:
        self._names: dict[Value, str] = {}
        self._taken: set[str] = set()
        self._results = 0

    def ops(self, op: OpView, indent: str) -> Iterator[str]:
        for region in op.regions:
            for block in region:
                for each in block.operations:
                    yield from self._op(each, indent)

    def _op(self, op: OpView, indent: str) -> Iterator[str]:
        # The bindings give some views a `name` of their own: a function's is its symbol.
        kind = op.operation.name
        if kind == "func.func":
            yield from self._function(op, indent)
        elif isinstance(op, InstructionOp):
            yield f"{indent}{kind} {op.text()}"
        elif isinstance(op, Op):
            yield indent + self._assigned(op, f"{op.name.partition('.')[0]}.{self._call(op)}") + _decision(op)
            yield from self.ops(op, indent + "  ")
        elif (literal := self._literal(op)) is not None:
            self._names[op.results[0]] = literal
        elif kind.endswith(".return"):
            yield f"{indent}return {', '.join(map(self._name, op.operands))}"
        else:
            yield from self._foreign(op, indent)

    def _function(self, op: OpView, indent: str) -> Iterator[str]:
        self._names, self._taken, self._results = {}, set(), 0
        name = cast(StringAttr, op.attributes["sym_name"]).value
        blocks = list(op.regions[0])
        arguments = list(blocks[0].arguments) if blocks else []
        attributes = _argument_attributes(op)
        yield f"{indent}function {name}("
        for number, argument in enumerate(arguments):
            given = attributes[number] if number < len(attributes) else {}
            kind = f"{given['elx.kind']} " if "elx.kind" in given else ""
            self._names[argument] = self._free(given.get("elx.name", f"argument{number}"))
            yield f"{indent}    {kind}{self._names[argument]}: {short_type(argument.type)}"
        yield f"{indent}) -> {_results(op)}"
        yield from self.ops(op, indent + "  ")

    def _call(self, op: Op) -> str:
        """`rms_norm(x, weight, eps=1e-05)`"""
        values: dict[str, Any] = {field.name: getattr(op, field.name) for field in op.fields}
        parts: list[str] = []
        for field in op.fields:
            value = values[field.name]
            match field.kind:
                case "operand":
                    parts.append(self._name(value))
                case "optional" if value is not None:
                    parts.append(f"{field.name}={self._name(value)}")
                case "variadic" if value is not None:
                    parts.extend(self._name(each) for each in value)
                case "attribute" | "optional attribute" if value is not None:
                    parts.append(f"{field.name}={_spell(value)}")
                case _:
                    pass
        return f"{op.name.partition('.')[2]}({', '.join(parts)})"

    def _foreign(self, op: OpView, indent: str) -> Iterator[str]:
        shown = [
            key
            for key in op.attributes
            if key not in _DECISION and not str(op.attributes[key]).startswith("#arith.overflow<none>")
        ]
        attributes = ", ".join(f"{key}={_spell_attribute(op.attributes[key])}" for key in shown)
        operands = ", ".join(map(self._name, op.operands))
        inside = ", ".join(part for part in (operands, attributes) if part)
        yield indent + self._assigned(op, f"{op.operation.name.removeprefix('torch.')}({inside})") + _decision(op)
        yield from self.ops(op, indent + "  ")

    def _literal(self, op: OpView) -> str | None:
        """What is shown of a constant, or a list, where it is used; None for any other op, and for tensors."""
        kind = op.operation.name
        if kind == "torch.prim.ListConstruct":
            return f"[{', '.join(map(self._name, op.operands))}]"
        if kind == "torch.constant.none":
            return "none"
        if not kind.startswith("torch.constant.") and kind not in ("arith.constant", "llvm.mlir.constant"):
            return None
        value = op.attributes.get("value")
        match value:
            case IntegerAttr() | FloatAttr() | BoolAttr():
                return _spell(value.value)
            case StringAttr():
                return repr(value.value)
            case _:
                return None

    def _assigned(self, op: OpView, call: str) -> str:
        if not op.results:
            return call
        names: list[str] = []
        for result in op.results:
            self._names[result] = self._free(f"%{self._results}")
            self._results += 1
            names.append(f"{self._names[result]}: {short_type(result.type)}")
        return f"{', '.join(names)} = {call}"

    def _name(self, value: Value) -> str:
        if value not in self._names:
            number = value.arg_number if isinstance(value, BlockArgument) else len(self._names)
            self._names[value] = self._free(f"%{number}")
        return self._names[value]

    def _free(self, name: str) -> str:
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        return name


def _decision(op: OpView) -> str:
    """`  // host: no elx op covers it`, where a pass has written which side the op runs on and why."""
    given = [_spell_attribute(op.attributes[key]) for key in _DECISION if key in op.attributes]
    return f"  // {': '.join(given)}" if given else ""


def _argument_attributes(op: OpView) -> list[dict[str, str]]:
    found = op.attributes.get("arg_attrs")
    if not isinstance(found, ArrayAttr):
        return []
    return [
        {given[i].name: _spell_attribute(given[i].attr) for i in range(len(given))}
        for given in found
        if isinstance(given, DictAttr)
    ]


def _results(op: OpView) -> str:
    signature = cast(FunctionType, cast(TypeAttr, op.attributes["function_type"]).value)
    return ", ".join(map(short_type, signature.results)) or "nothing"


def _spell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, cast(tuple[object, ...], value)))}]"
    return str(value)


def _spell_attribute(attribute: Attribute) -> str:
    return attribute.value if isinstance(attribute, StringAttr) else str(attribute)
