"""Which torch ops go into one function: the largest connected groups that no `elx` op stands between."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from elastix.compiler.ir.core import Block, OpResult, OpView, RankedTensorType, Type, Value

FROM_BUILTIN = "torch_c.from_builtin_tensor"
TO_BUILTIN = "torch_c.to_builtin_tensor"
_VTENSOR = re.compile(r"!torch\.vtensor<\[([0-9,]*)\],([a-z]+)([0-9]+)>")


@dataclass(frozen=True)
class Group:
    """Torch ops in order; `inputs` come from outside, each a torch value; `outputs` are those that others read."""

    ops: tuple[OpView, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


def is_tensor(value: Value) -> bool:
    """Is this a torch tensor (and not a number, a list, None)?"""
    return str(value.type).startswith("!torch.vtensor")


def builtin_type(torch_type: Type) -> str:
    """The builtin tensor type that torch-mlir turns this tensor type into; empty if there is none of fixed shape."""
    match = _VTENSOR.fullmatch(str(torch_type))
    if match is None:
        return ""
    shape, kind, width = match.groups()
    letter = "i" if kind in ("si", "ui", "i") else kind
    return f"tensor<{''.join(f'{n}x' for n in shape.split(',') if n)}{letter}{width}>"


def torch_type(builtin: Type) -> str:
    """The torch tensor type of a static builtin tensor; integers count as signed. Raises TypeError for another type."""
    if not isinstance(builtin, RankedTensorType) or not builtin.has_static_shape:
        raise TypeError(f"{builtin} is not a tensor of static shape")
    element = str(builtin.element_type)
    element = f"s{element}" if element.startswith("i") and element != "i1" else element
    return f"!torch.vtensor<[{','.join(map(str, builtin.shape))}],{element}>"


def original(value: Value) -> Value:
    """The torch value that this one was before conversions there and back."""
    while isinstance(value, OpResult) and value.owner.operation.name == FROM_BUILTIN:
        source = value.owner.operands[0]
        if not isinstance(source, OpResult) or source.owner.operation.name != TO_BUILTIN:
            break
        value = source.owner.operands[0]
    return value


def tensor_operands(op: OpView) -> Iterator[Value]:
    """The torch tensors that op reads, those inside its list operands included."""
    for operand in op.operands:
        if is_tensor(operand):
            yield original(operand)
        elif isinstance(operand, OpResult):
            yield from tensor_operands(operand.owner)


def torch_groups(block: Block) -> list[Group]:
    """The groups of a block, each before those that read its outputs.

    A torch op's level counts the changes from elx to torch on the longest way to it, so that no elx op ever lies
    between two ops of one level; a group is the ops of one level that are connected by tensors.
    """
    order = {op: index for index, op in enumerate(block.operations)}
    levels = _levels(list(order))
    root = {op: op for op in levels if _computes(op)}

    def find(op: OpView) -> OpView:
        while root[op] != op:
            op = root[op]
        return op

    for op in root:
        for value in tensor_operands(op):
            producer = value.owner
            if isinstance(producer, OpView) and producer in root and levels[producer] == levels[op]:
                root[find(op)] = find(producer)
    members: dict[OpView, list[OpView]] = {}
    for op in root:
        members.setdefault(find(op), []).append(op)
    groups = sorted(members.values(), key=lambda ops: (levels[ops[0]], order[ops[0]]))
    return [_group(ops) for ops in groups]


def _computes(op: OpView) -> bool:
    # An op's own `name` may be an attribute of it: torch.operator has one.
    return op.operation.name.startswith("torch.") and any(is_tensor(result) for result in op.results)


def _levels(ops: Sequence[OpView]) -> dict[OpView, int]:
    levels: dict[OpView, int] = {}
    for op in ops:
        if op.operation.name.startswith("torch_c.") or (op.operation.name.startswith("torch.") and not _computes(op)):
            continue
        if _computes(op):
            levels[op] = max([1, *(_level(value, levels, 1) for value in tensor_operands(op))])
        else:
            levels[op] = max([0, *(_level(value, levels, 0) for value in op.operands)])
    return levels


def _level(value: Value, levels: dict[OpView, int], step: int) -> int:
    """The level of what made `value`, plus `step` if that is no torch op."""
    producer = value.owner
    while isinstance(producer, OpView) and producer.operation.name.startswith("torch_c."):
        producer = producer.operands[0].owner
    if not isinstance(producer, OpView):
        return 0
    return levels[producer] + (0 if _computes(producer) else step)


def _group(ops: list[OpView]) -> Group:
    here = set(ops)
    inputs: dict[Value, None] = {}
    for op in ops:
        for value in tensor_operands(op):
            if value.owner not in here:
                inputs[value] = None
    outputs = [result for op in ops for result in op.results if is_tensor(result) and _read_outside(result, here)]
    return Group(tuple(ops), tuple(inputs), tuple(outputs))


def _read_outside(value: Value, here: set[OpView]) -> bool:
    return any(_reader_outside(use.owner, here) for use in value.uses)


def _reader_outside(reader: OpView, here: set[OpView]) -> bool:
    if _computes(reader):
        return reader not in here
    if reader.operation.name == TO_BUILTIN:
        uses = [use.owner for use in reader.results[0].uses]
        back = [op for op in uses if op.operation.name == FROM_BUILTIN]
        return len(back) < len(uses) or any(_read_outside(op.results[0], here) for op in back)
    if reader.operation.name.startswith("torch."):
        return any(_read_outside(result, here) for result in reader.results)
    return True
