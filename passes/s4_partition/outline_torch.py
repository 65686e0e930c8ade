"""Torch ops that no `elx` op covers move into functions of their own."""

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import cast

from elastix.compiler.ir import RefusedOp, build_at, compiler_pass, text_of
from elastix.compiler.ir.core import (
    Attribute,
    Block,
    FlatSymbolRefAttr,
    FunctionType,
    InsertionPoint,
    Location,
    ModuleOp,
    Operation,
    OpResult,
    OpView,
    StringAttr,
    Type,
    TypeAttr,
    Value,
)
from elastix.compiler.step_function import step_function
from elastix.compiler.torch_groups import FROM_BUILTIN, TO_BUILTIN, Group, builtin_type, original, torch_groups

NESTED = "torch_functions"


@compiler_pass
def outline_torch(module: ModuleOp) -> None:
    """Move every maximal group of connected torch ops into a function of the nested module `@torch_functions`.

    The nested module holds torch ops only, because torch-mlir's own pipelines refuse a module with any other op in it;
    the main function calls through a private declaration of the same name with builtin tensor types. Groups that are
    alike in every op share one function. Raises CannotCompile for a tensor without a fixed shape at a group's edge, and
    for an op with regions.
    """
    _Outlining(module, step_function(module).block).run()


class _Outlining:
    def __init__(self, module: ModuleOp, block: Block) -> None:
        self._module, self._block = module, block
        self._nested: ModuleOp | None = None
        self._names: dict[str, str] = {}
        self._builtin: dict[Value, Value] = {}

    def run(self) -> None:
        groups = torch_groups(self._block)
        ops = list(self._block.operations)
        order = {op: index for index, op in enumerate(ops)}
        kept = [index for index, op in enumerate(ops[:-1]) if not _is_torch(op)]
        calls = [order[group.ops[-1]] for group in groups]
        for group in groups:
            self._outline(group)
        # From here on ops count by their place: the bindings give an op whose operand changed another identity.
        for op in reversed([op for op in ops if _is_torch(op)]):
            self._erase(op)
        if groups:
            _sort(self._block, kept + calls)

    def _outline(self, group: Group) -> None:
        inputs = [self._builtin_of(value, group) for value in group.inputs]
        outputs = [Type.parse(_edge_type(value, group.ops[0])) for value in group.outputs]
        name = self._function(group, [value.type for value in inputs], outputs)
        with build_at(InsertionPoint.at_block_terminator(self._block), group.ops[-1].location):
            call = Operation.create("func.call", outputs, inputs, {"callee": FlatSymbolRefAttr.get(name)})
        self._builtin.update(zip(group.outputs, call.results, strict=True))

    def _builtin_of(self, value: Value, group: Group) -> Value:
        producer = value.owner
        if isinstance(producer, OpView) and producer.operation.name == FROM_BUILTIN:
            return producer.operands[0]
        if value not in self._builtin:
            raise RefusedOp(
                group.ops[0], f"it reads {value.type} from outside", wanted="a builtin tensor converted to it"
            )
        return self._builtin[value]

    def _function(self, group: Group, inputs: Sequence[Type], outputs: Sequence[Type]) -> str:
        """The name of the function that does what the group does, made if there is none yet."""
        if self._nested is None:
            self._nested = cast(ModuleOp, Operation.parse(f"module @{NESTED} {{}}"))
            self._module.body.append(self._nested)
        name = f"torch_{len(self._names)}"
        function = _new_function(name, [value.type for value in group.inputs], [value.type for value in group.outputs])
        places = [value.location for value in group.inputs]
        _fill(Block.create_at_start(function.regions[0], [value.type for value in group.inputs], places), group)
        alike = text_of(function).replace(f"@{name}(", "@(", 1)
        if alike in self._names:
            function.erase()
            return self._names[alike]
        self._names[alike] = name
        self._nested.body.append(function)
        self._module.body.append(_new_function(name, inputs, outputs, private=True))
        return name

    def _erase(self, op: OpView) -> None:
        if op.operation.name == TO_BUILTIN:
            source = op.operands[0]
            producer = source.owner
            if isinstance(producer, OpView) and producer.operation.name == FROM_BUILTIN:
                op.results[0].replace_all_uses_with(producer.operands[0])
            elif source in self._builtin:
                op.results[0].replace_all_uses_with(self._builtin[source])
        op.erase()


def _is_torch(op: OpView) -> bool:
    return op.operation.name.startswith(("torch.", "torch_c."))


def _edge_type(value: Value, op: OpView) -> str:
    text = builtin_type(value.type)
    if not text:
        raise RefusedOp(
            op, f"it makes {value.type}", wanted="a tensor of fixed shape", do="give concrete example inputs"
        )
    return text


def _new_function(name: str, inputs: Sequence[Type], outputs: Sequence[Type], *, private: bool = False) -> OpView:
    attributes: dict[str, Attribute] = {
        "sym_name": StringAttr.get(name),
        "function_type": TypeAttr.get(FunctionType.get(inputs, outputs)),
    }
    if private:
        attributes["sym_visibility"] = StringAttr.get("private")
    return Operation.create("func.func", attributes=attributes, regions=1, loc=Location.unknown())


def _fill(block: Block, group: Group) -> None:
    """Copies of the group's ops, and of the numbers and lists they read, at the end of `block`; then the return."""
    copies: dict[Value, Value] = dict(zip(group.inputs, block.arguments, strict=True))

    def copied(value: Value) -> Value:
        value = original(value)
        if value not in copies and isinstance(value, OpResult):
            copy(value.owner)
        return copies[value]

    def copy(op: OpView) -> None:
        if len(op.regions):
            raise RefusedOp(op, "it holds other ops", wanted="straight-line torch ops", do="write the model without it")
        operands = [copied(value) for value in op.operands]
        with build_at(InsertionPoint(block), op.location):
            made = Operation.create(
                op.operation.name, [r.type for r in op.results], operands, dict(op.attributes.items())
            )
        copies.update(zip(op.results, made.results, strict=True))

    for op in group.ops:
        copy(op)
    with build_at(InsertionPoint(block), group.ops[-1].location):
        Operation.create("func.return", operands=[copies[value] for value in group.outputs])


def _sort(block: Block, priority: Sequence[int]) -> None:
    """Order the block so that every op follows what it reads; among the ready ones the lowest priority comes first.

    priority: of each op but the terminator, in their present order.
    """
    ops = list(block.operations)
    terminator = ops.pop()
    index = {op: i for i, op in enumerate(ops)}
    readers: list[list[int]] = [[] for _ in ops]
    waits = [0] * len(ops)
    for i, op in enumerate(ops):
        for owner in {value.owner for value in op.operands if isinstance(value.owner, OpView)}:
            readers[index[owner]].append(i)
            waits[i] += 1
    ready = sorted((priority[i], i) for i, count in enumerate(waits) if not count)
    while ready:
        _, i = heappop(ready)
        ops[i].move_before(terminator)
        for reader in readers[i]:
            waits[reader] -= 1
            if not waits[reader]:
                heappush(ready, (priority[reader], reader))
