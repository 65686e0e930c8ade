"""The step over tensors becomes the host's part of it: addresses, launches and calls."""

from elastix.compiler.ir import RefusedOp, build_at, compiler_pass, pointer, shape_of
from elastix.compiler.ir.core import (
    Attribute,
    Block,
    DenseElementsAttr,
    FlatSymbolRefAttr,
    FunctionType,
    InsertionPoint,
    IntegerAttr,
    ModuleOp,
    Operation,
    OpView,
    StringAttr,
    TypeAttr,
    Value,
)
from elastix.compiler.kernels import KernelCall, bytes_of, kernel_call
from elastix.compiler.program import host_parameters
from elastix.compiler.schedule import moves_no_data
from elastix.compiler.signature import signature_attributes
from elastix.compiler.step_function import StepFunction, step_function
from elastix.compiler.storage import CONSTANT, Place, Storage, plan_storage
from elastix.dialects import host
from elastix.dialects.elx import QuantizedEmbeddingOp, QuantizedLinearOp, QuantizeOp
from elastix.passes.s5_lower.elx_to_epu import DESCRIPTOR, X_ADDRESS, Y_ADDRESS


@compiler_pass
def elx_to_host(module: ModuleOp) -> None:
    """Turn the step into a function of `host` ops without arguments: every tensor is a place, every op a call.

    Weights are read in device memory, caches are written in place, temporaries share the arena by their lifetimes. The
    function's attributes `host.arguments`, `host.results` and `host.arena_bytes` say what the caller must bring.
    Refuses an op that neither the processor nor the runtime computes.
    """
    step = step_function(module)
    storage = plan_storage(step, host_parameters(module))
    _Lowering(step, storage).emit()
    for op in list(module.body.operations):
        if op.operation.name == "func.func" and not len(op.regions[0].blocks):
            op.erase()
    step.op.erase()


class _Lowering:
    def __init__(self, step: StepFunction, storage: Storage) -> None:
        self._step, self._storage = step, storage
        self._running: list[QuantizedLinearOp] = []

    def emit(self) -> None:
        with build_at(InsertionPoint(self._step.op), self._step.op.location):
            attributes: dict[str, Attribute] = {
                "sym_name": StringAttr.get(self._step.name),
                "function_type": TypeAttr.get(FunctionType.get([], [])),
                **signature_attributes(self._step, self._storage.arena_bytes),
            }
            function = Operation.create("func.func", attributes=attributes, regions=1)
        end = InsertionPoint(Block.create_at_start(function.regions[0], []))
        for op in self._step.block.operations:
            with build_at(end, op.location):
                self._lower(op)

    def _lower(self, op: OpView) -> None:
        if moves_no_data(op) or op.operation.name == CONSTANT:
            return
        if isinstance(op, QuantizedLinearOp):
            host.LaunchOp(descriptor=_noted(op, DESCRIPTOR), tokens=_rows(op.x))
            self._running.append(op)
            return
        self._wait()
        match op:
            case QuantizeOp():
                if X_ADDRESS in op.attributes:
                    host.UploadOp(
                        x=self._pointer(op.x),
                        tokens=_rows(op.x),
                        columns=shape_of(op.x)[-1],
                        activation_bits=op.activation_bits,
                        address=_noted(op, X_ADDRESS),
                    )
            case QuantizedEmbeddingOp():
                count, columns = _rows(op.result), shape_of(op.result)[-1]
                arguments = (_noted(op, DESCRIPTOR), op.ids, op.result, count, columns)
                self._call(KernelCall("elastix_embedding", arguments))
            case _ if op.operation.name == "func.call":
                callee = FlatSymbolRefAttr(op.attributes["callee"]).value
                self._call(KernelCall(callee, (*op.operands, *op.results)))
            case _ if op.operation.name == "func.return":
                self._finish()
            case _:
                for result in op.results:
                    if result in self._storage.first_copies:
                        self._copy(self._storage.first_copies[result], self._storage.places[result])
                self._call(kernel_call(op))

    def _wait(self) -> None:
        """Wait for what runs, and bring its results to the host."""
        if not self._running:
            return
        host.WaitOp()
        for op in self._running:
            tokens, rows = _rows(op.result), shape_of(op.result)[-1]
            host.ReadBackOp(y=self._pointer(op.result), tokens=tokens, rows=rows, address=_noted(op, Y_ADDRESS))
            if op.bias is not None:
                self._call(KernelCall("elastix_add_bias", (op.result, op.bias, tokens, rows)))
        self._running = []

    def _finish(self) -> None:
        for each in self._storage.last_copies:
            self._copy(each.source, each.target)
        Operation.create("func.return")

    def _copy(self, source: Value, target: Place) -> None:
        host.call("elastix_copy", [self._pointer(source), self._at(target)], [None, None, bytes_of(source)])

    def _call(self, call: KernelCall) -> None:
        pointers: list[Value] = []
        values: list[host.CallValue] = []
        for each in call.arguments:
            if isinstance(each, int | host.Int32):
                values.append(each)
            else:
                values.append(None)
                pointers.append(self._address(each))
        host.call(call.callee, pointers, values)

    def _address(self, tensor: Value | DenseElementsAttr | None) -> Value:
        match tensor:
            case None:
                return Operation.create("llvm.mlir.zero", [pointer()]).results[0]
            case DenseElementsAttr():
                return host.ConstantOp(value=tensor).pointer
            case _:
                return self._pointer(tensor)

    def _pointer(self, value: Value) -> Value:
        if value not in self._storage.places:
            owner = value.owner
            op = owner if isinstance(owner, OpView) else self._step.op
            raise RefusedOp(op, f"{value.type} has no place in memory", wanted="a tensor that the host can read")
        return self._at(self._storage.places[value])

    def _at(self, place: Place) -> Value:
        if place.region == CONSTANT:
            return host.ConstantOp(value=self._storage.constants[place.index or 0]).pointer
        return host.AddressOp(region=place.region, index=place.index, offset=place.offset).pointer


def _noted(op: OpView, name: str) -> int:
    if name not in op.attributes:
        raise RefusedOp(op, f"it has no {name}", wanted="the addresses that elx-to-epu gives")
    return IntegerAttr(op.attributes[name]).value


def _rows(value: Value) -> int:
    """Rows of a tensor: tokens, for activations."""
    count = 1
    for size in shape_of(value)[:-1]:
        count *= size
    return count
