"""Host code becomes one LLVM function that calls the runtime."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from elastix.compiler.ir import InsertionPoint, RefusedOp, build_at, compiler_pass, integer, pointer
from elastix.compiler.ir.core import (
    Attribute,
    DenseElementsAttr,
    DenseI32ArrayAttr,
    FlatSymbolRefAttr,
    IntegerAttr,
    ModuleOp,
    Operation,
    OpView,
    RankedTensorType,
    StringAttr,
    TypeAttr,
    Value,
)
from elastix.compiler.step_function import step_function
from elastix.dialects import host
from elastix.dialects.host import Int32

WITH_DEVICE: Final = ("elastix_embedding",)
"""Kernels called by `host.call` whose first argument is the device."""
_PARAMETERS: Final[tuple[str, ...]] = ("device", "memory", "arena", "arguments", "results")
_DYNAMIC: Final = -(1 << 31)
"""In `rawConstantIndices`: this index is an operand."""


@compiler_pass
def host_to_llvm(module: ModuleOp) -> None:
    """Turn the host function into `void step(device, memory, arena, arguments, results)`, all pointers.

    Every `host` op becomes a call of the runtime's C ABI (runtime/README.md) or of a function that `torch-to-llvm`
    made. Refuses any other op.
    """
    function = step_function(module)
    _Lowering(module, function.name).emit(list(function.block.operations))
    function.op.erase()


class _Lowering:
    def __init__(self, module: ModuleOp, name: str) -> None:
        self._module = module
        parameters = ", ".join(f"%{each}: !llvm.ptr" for each in _PARAMETERS)
        self._function = Operation.parse(f"llvm.func @{name}({parameters}) {{ llvm.return }}")
        module.body.append(self._function)
        block = self._function.regions[0].blocks[0]
        self._parameters: dict[str, Value] = dict(zip(_PARAMETERS, block.arguments, strict=True))
        self._end = InsertionPoint.at_block_terminator(block)
        self._known = {_symbol(op) for op in module.body.operations}
        self._pointers: dict[Value, Value] = {}
        self._loaded: dict[tuple[str, int], Value] = {}
        self._constants: dict[Attribute, str] = {}

    def emit(self, ops: Sequence[OpView]) -> None:
        for op in ops:
            with build_at(self._end, op.location):
                self._lower(op)

    def _lower(self, op: OpView) -> None:
        device = self._parameters["device"]
        match op:
            case host.AddressOp():
                self._pointers[op.pointer] = self._address(op)
            case host.ConstantOp():
                self._pointers[op.pointer] = self._constant(op.value)
            case host.UploadOp():
                sizes = (op.tokens, op.columns, op.activation_bits, op.address)
                self._call("elastix_quantize", device, self._pointers[op.x], *sizes)
            case host.LaunchOp():
                self._call("elastix_launch", device, op.descriptor, op.tokens)
            case host.WaitOp():
                self._call("elastix_wait", device)
            case host.ReadBackOp():
                self._call("elastix_read_back", device, op.address, self._pointers[op.y], op.tokens, op.rows)
            case host.CallOp():
                self._host_call(op)
            case _ if op.operation.name == "llvm.mlir.zero":
                self._pointers[op.results[0]] = Operation.create("llvm.mlir.zero", [pointer()]).results[0]
            case _ if op.operation.name == "func.return":
                pass
            case _:
                raise RefusedOp(op, "it is no host op", wanted="what elx-to-host makes")

    def _host_call(self, op: host.CallOp) -> None:
        pointers = iter(op.pointers)
        arguments = [self._pointers[next(pointers)] if each is None else each for each in op.arguments()]
        first = [self._parameters["device"]] if op.callee in WITH_DEVICE else []
        self._call(op.callee, *first, *arguments)

    def _call(self, callee: str, *arguments: Value | int | Int32) -> None:
        values = [self._value(each) for each in arguments]
        if callee not in self._known:
            types = ", ".join(str(value.type) for value in values)
            self._module.body.append(Operation.parse(f"llvm.func @{callee}({types})"))
            self._known.add(callee)
        segments = DenseI32ArrayAttr.get([len(values), 0])
        attributes: dict[str, Attribute] = {
            "callee": FlatSymbolRefAttr.get(callee),
            "operandSegmentSizes": segments,
            "op_bundle_sizes": DenseI32ArrayAttr.get([]),
        }
        Operation.create("llvm.call", [], values, attributes)

    def _value(self, argument: Value | int | Int32) -> Value:
        match argument:
            case int():
                return _integer(64, argument)
            case Int32():
                return _integer(32, argument.value)
            case _:
                return argument

    def _address(self, op: host.AddressOp) -> Value:
        if op.index is None:
            return _offset(self._parameters[op.region], op.offset)
        key = op.region, op.index
        if key not in self._loaded:
            slot = _offset(self._parameters[f"{op.region}s"], 8 * op.index)
            self._loaded[key] = Operation.create("llvm.load", [pointer()], [slot]).results[0]
        return _offset(self._loaded[key], op.offset)

    def _constant(self, value: DenseElementsAttr) -> Value:
        if value not in self._constants:
            name = f"constant_{len(self._constants)}"
            flat = DenseElementsAttr.get(np.ascontiguousarray(np.array(value)).reshape(-1))
            kind = f"!llvm.array<{np.array(value).size} x {_element(value)}>"
            text = f"llvm.mlir.global internal constant @{name}({flat}) {{alignment = 64 : i64}} : {kind}"
            self._module.body.append(Operation.parse(text))
            self._constants[value] = name
        attributes: dict[str, Attribute] = {"global_name": FlatSymbolRefAttr.get(self._constants[value])}
        return Operation.create("llvm.mlir.addressof", [pointer()], attributes=attributes).results[0]


def _symbol(op: OpView) -> str:
    return StringAttr(op.attributes["sym_name"]).value if "sym_name" in op.attributes else ""


def _element(value: DenseElementsAttr) -> str:
    kind = value.type
    if not isinstance(kind, RankedTensorType):
        raise TypeError(f"{kind} is not a tensor type")
    return str(kind.element_type)


def _integer(width: int, value: int) -> Value:
    attribute = IntegerAttr.get(integer(width), value)
    return Operation.create("llvm.mlir.constant", [integer(width)], attributes={"value": attribute}).results[0]


def _offset(base: Value, offset: int) -> Value:
    """`base` plus bytes; as an operand, because indices in the op itself end at 2 GB."""
    if offset == 0:
        return base
    attributes: dict[str, Attribute] = {
        "elem_type": TypeAttr.get(integer(8)),
        "rawConstantIndices": DenseI32ArrayAttr.get([_DYNAMIC]),
    }
    return Operation.create("llvm.getelementptr", [pointer()], [base, _integer(64, offset)], attributes).results[0]
