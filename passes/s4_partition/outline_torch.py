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
from elastix.compiler.torch_groups import FROM_BUILTIN, TO_BUILTIN, Group, builtin_type, torch_groups

NESTED = "torch_functions"


@compiler_pass
def outline_torch(module: ModuleOp) -> None:
    """Move every maximal group of connected torch ops into a function of the nested module `@torch_functions`.

    The nested module holds torch ops only, because torch-mlir's own pipelines refuse a module with any other op in it; the main
    function calls through a private declaration of the same name with builtin tensor types. Groups that are alike in every op
    share one function. Raises CannotCompile for a tensor without a fixed shape at a group's edge, and for an op with regions.
    """
    for op in list(module.body.operations):
        if op.name == "func.func" and op.regions[0].blocks:
            _Outlining(module, op.regions[0].blocks[0]).run()


class _Outlining:
    def __init__(self, module: ModuleOp, block: Block) -> None:
        self._module, self._block = module, block
        self._nested: ModuleOp | None = None
        self._names: dict[str, str] = {}
        self._builtin: dict[Value, Value] = {}

    def run(self) -> None:
        groups = torch_groups(self._block)
        order = {op: index for index, op in enumerate(self._block.operations)}
        calls = {self._outline(group): order[group.ops[-1]] for group in groups}
        for op in [op for op in reversed(list(order)) if op.name.startswith(("torch.", "torch_c."))]:
            self._erase(op)
        if calls:
            _sort(self._block, order | calls)

    def _outline(self, group: Group) -> OpView:
        inputs = [self._builtin_of(value, group) for value in group.inputs]
        outputs = [Type.parse(_edge_type(value, group.ops[0])) for value in group.outputs]
        name = self._function(group, [value.type for value in inputs], outputs)
        with build_at(InsertionPoint.at_block_terminator(self._block), group.ops[-1].location):
            call = Operation.create("func.call", outputs, inputs, {"callee": FlatSymbolRefAttr.get(name)})
        self._builtin.update(zip(group.outputs, call.results, strict=True))
        return call

    def _builtin_of(self, value: Value, group: Group) -> Value:
        producer = value.owner
        if isinstance(producer, OpView) and producer.name == FROM_BUILTIN:
            source = producer.operands[0]
            inner = source.owner
            if isinstance(inner, OpView) and inner.name == TO_BUILTIN:
                return self._builtin_of(inner.operands[0], group)
            return source
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
        _fill(Block.create_at_start(function.regions[0], [value.type for value in group.inputs]), group)
        alike = text_of(function).replace(f"@{name}(", "@(", 1)
        if alike in self._names:
            function.erase()
            return self._names[alike]
        self._names[alike] = name
        self._nested.body.append(function)
        self._module.body.append(_new_function(name, inputs, outputs, private=True))
        return name

    def _erase(self, op: OpView) -> None:
        if op.name == TO_BUILTIN:
            source = op.operands[0]
            producer = source.owner
            if isinstance(producer, OpView) and producer.name == FROM_BUILTIN:
                op.results[0].replace_all_uses_with(producer.operands[0])
            else:
                op.results[0].replace_all_uses_with(self._builtin[source])
        op.erase()


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
        if value not in copies and isinstance(value, OpResult):
            copy(value.owner)
        return copies[value]

    def copy(op: OpView) -> None:
        if len(op.regions):
            raise RefusedOp(op, "it holds other ops", wanted="straight-line torch ops", do="write the model without it")
        operands = [copied(value) for value in op.operands]
        with build_at(InsertionPoint(block), op.location):
            made = Operation.create(op.name, [r.type for r in op.results], operands, dict(op.attributes.items()))
        copies.update(zip(op.results, made.results, strict=True))

    for op in group.ops:
        copy(op)
    with build_at(InsertionPoint(block), group.ops[-1].location):
        Operation.create("func.return", operands=[copies[value] for value in group.outputs])


def _sort(block: Block, priority: dict[OpView, int]) -> None:
    """Order the block so that every op follows what it reads; among the ready ones the lowest priority comes first."""
    ops = list(block.operations)
    terminator = ops.pop()
    waits = {op: {v.owner for v in op.operands if isinstance(v.owner, OpView)} for op in ops}
    readers: dict[OpView, list[OpView]] = {op: [] for op in ops}
    for op, owners in waits.items():
        for owner in owners:
            readers[owner].append(op)
    count = {op: len(owners) for op, owners in waits.items()}
    ready = [(priority[op], i) for i, op in enumerate(ops) if not count[op]]
    index = {op: i for i, op in enumerate(ops)}
    ready.sort()
    while ready:
        op = ops[heappop(ready)[1]]
        op.move_before(terminator)
        for reader in readers[op]:
            count[reader] -= 1
            if not count[reader]:
                heappush(ready, (priority[reader], index[reader]))
