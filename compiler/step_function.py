"""The function that a module is about: its arguments and results with the names and kinds they carry."""

from collections.abc import Iterator
from dataclasses import dataclass

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir.core import (
    ArrayAttr,
    Attribute,
    Block,
    BlockArgument,
    DictAttr,
    ModuleOp,
    Operation,
    OpView,
    StringAttr,
    Value,
    WalkOrder,
    WalkResult,
)
from elastix.dialects.epu import ProcessorOp


@dataclass(frozen=True)
class StepArgument:
    """One argument; kind is `weight`, `buffer`, `cache` or `input`."""

    name: str
    kind: str
    value: BlockArgument


@dataclass(frozen=True)
class StepResult:
    """One result; `writes` names the cache argument that it replaces, or is empty; `name` is empty if it has none."""

    value: Value
    writes: str
    name: str


@dataclass(frozen=True)
class StepFunction:
    """A `func.func` with one block."""

    op: OpView
    arguments: tuple[StepArgument, ...]
    results: tuple[StepResult, ...]

    @property
    def name(self) -> str:
        return StringAttr(self.op.attributes["sym_name"]).value

    @property
    def block(self) -> Block:
        return self.op.regions[0].blocks[0]

    def argument_of(self, value: Value) -> StepArgument | None:
        """The argument that a value is, if it is one."""
        return self.arguments[value.arg_number] if isinstance(value, BlockArgument) else None


def step_function(module: ModuleOp) -> StepFunction:
    """The only function of `module` that has a body; raises ElastixError if there is none, or several."""
    # A func.func's own `name` is its symbol.
    found = [op for op in module.body.operations if op.operation.name == "func.func" and len(op.regions[0].blocks)]
    if len(found) != 1:
        raise ElastixError(f"{len(found)} functions with a body", wanted="the one function that is compiled")
    op = found[0]
    block = op.regions[0].blocks[0]
    arguments = [
        StepArgument(
            _text(each, "elx.name") or f"argument{value.arg_number}", _text(each, "elx.kind") or "input", value
        )
        for value, each in zip(block.arguments, _each(op, "arg_attrs", len(block.arguments)), strict=True)
    ]
    returned = list(block.operations[len(block.operations) - 1].operands)
    results = [
        StepResult(value, _text(each, "elx.writes"), _text(each, "elx.name"))
        for value, each in zip(returned, _each(op, "res_attrs", len(returned)), strict=True)
    ]
    return StepFunction(op, tuple(arguments), tuple(results))


def _each(op: OpView, name: str, count: int) -> list[DictAttr]:
    if name not in op.attributes:
        return [DictAttr.get({})] * count
    return [DictAttr(each) for each in ArrayAttr(op.attributes[name])]


def _text(attributes: DictAttr, name: str) -> str:
    return _string(attributes[name]) if name in attributes else ""


def _string(attribute: Attribute) -> str:
    return StringAttr(attribute).value


def processor_of(module: ModuleOp) -> ProcessorOp:
    """The processor that the module is compiled for; raises ElastixError if it names none, or several."""
    found = [op for op in module.body.operations if isinstance(op, ProcessorOp)]
    if len(found) != 1:
        raise ElastixError(f"{len(found)} epu.processor ops", wanted="one, which says what the program runs on")
    return found[0]


def all_ops(op: OpView) -> Iterator[OpView]:
    """Every op inside `op`, outer ones first; the list is made before the first is given."""
    found: list[OpView] = []

    def look(each: Operation) -> WalkResult:
        found.append(each.opview)
        return WalkResult.ADVANCE

    op.operation.walk(look, WalkOrder.PRE_ORDER)
    return iter(found[1:])
