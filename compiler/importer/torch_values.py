"""Reading torch IR: what a value's type and constants say, and the border between torch and builtin tensors."""

import re
from functools import lru_cache
from typing import Any, cast

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.ir import (
    BF16Type,
    BoolAttr,
    F16Type,
    F32Type,
    F64Type,
    Operation,
    OpView,
    RankedTensorType,
    Type,
    Value,
    integer,
)

TO_BUILTIN = "torch_c.to_builtin_tensor"
FROM_BUILTIN = "torch_c.from_builtin_tensor"
_FLOATS = {"f32": F32Type.get, "f64": F64Type.get, "f16": F16Type.get, "bf16": BF16Type.get}
_VTENSOR = re.compile(r"!torch\.vtensor<\[([^\]]*)\],(\w+)>")


def defining(value: Value) -> OpView | None:
    """The op that gives `value`; None for an argument."""
    owner = value.owner
    return owner.opview if isinstance(owner, (OpView, Operation)) else None


@lru_cache(maxsize=4096)
def _read(text: str) -> tuple[tuple[int, ...], str] | None:
    found = _VTENSOR.fullmatch(text)
    if found is None or "?" in found[1]:
        return None
    return tuple(int(n) for n in found[1].split(",") if n), found[2]


def shape(value: Value) -> tuple[int, ...] | None:
    """The sizes of a tensor, torch's or builtin; None if they are not all known or it is no tensor."""
    kind = value.type
    if isinstance(kind, RankedTensorType):
        return tuple(kind.shape) if kind.has_static_shape else None
    read = _read(str(kind))
    return read[0] if read else None


def element(value: Value) -> str:
    """The element type of a torch tensor as torch-mlir writes it (`f32`, `si64`, `i1`); empty if it is not known."""
    read = _read(str(value.type))
    return read[1] if read else ""


def is_f32(*values: Value) -> bool:
    """Whether all are torch tensors of f32 and known shape."""
    return all(element(value) == "f32" for value in values)


def vtensor(sizes: tuple[int, ...], kind: str = "f32") -> Type:
    """`!torch.vtensor<[sizes],kind>`"""
    return Type.parse(f"!torch.vtensor<[{','.join(map(str, sizes))}],{kind}>")


def number(value: Value) -> float | None:
    """The value of an int or float constant."""
    op = defining(value)
    if isinstance(op, (torch.ConstantIntOp, torch.ConstantFloatOp)):
        return op.value.value
    return None


def whole(value: Value) -> int | None:
    """The value of an int constant."""
    op = defining(value)
    return op.value.value if isinstance(op, torch.ConstantIntOp) else None


def truth(value: Value) -> bool | None:
    """The value of a bool constant."""
    op = defining(value)
    return bool(BoolAttr(op.attributes["value"]).value) if isinstance(op, torch.ConstantBoolOp) else None


def text(value: Value) -> str | None:
    """The value of a string constant."""
    op = defining(value)
    return op.value.value if isinstance(op, torch.ConstantStrOp) else None


def is_none(value: Value) -> bool:
    """Whether the value is the constant None."""
    return isinstance(defining(value), torch.ConstantNoneOp)


def items(value: Value) -> list[Value] | None:
    """The elements of a list that is made on the spot."""
    op = defining(value)
    return list(op.operands) if isinstance(op, torch.PrimListConstructOp) else None


def whole_items(value: Value) -> list[int] | None:
    """The elements of a list of int constants."""
    found = [whole(item) for item in items(value) or [value]]
    known = [n for n in found if n is not None]
    return known if items(value) is not None and len(known) == len(found) else None


def builtin_type(value: Value) -> Type | None:
    """The builtin type of a tensor (signed integers become signless); None for what is no tensor of known shape."""
    if isinstance(value.type, RankedTensorType):
        return value.type
    sizes = shape(value)
    if sizes is None:
        return None
    kind = element(value)
    return RankedTensorType.get(list(sizes), _FLOATS[kind]() if kind in _FLOATS else integer(int(kind.lstrip("sui"))))


def to_builtin(value: Value) -> Value:
    """The builtin tensor of a torch tensor of known shape."""
    kind = builtin_type(value)
    if kind is None:
        raise TypeError(f"{value.type} is not a tensor of static shape")
    if value.type == kind:
        return value
    op = defining(value)
    if op is not None and op.name == FROM_BUILTIN:
        return op.operands[0]
    return Operation.create(TO_BUILTIN, [kind], [value]).results[0]


def from_builtin(value: Value, like: Value | Type) -> Value:
    """The torch tensor of a builtin one, of the type `like` or that of the value `like`."""
    kind = like if isinstance(like, Type) else like.type
    return Operation.create(FROM_BUILTIN, [kind], [value]).results[0]


def set_operand(op: OpView, place: int, value: Value) -> None:
    """Let operand `place` of `op` be `value`."""
    cast(Any, op.operation).operands[place] = value


def behind(value: Value) -> OpView | None:
    """The op on builtin tensors that gives a torch value through the border."""
    op = defining(value)
    return defining(op.operands[0]) if op is not None and op.name == FROM_BUILTIN else None
