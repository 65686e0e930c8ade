"""What the caller of a step must bring: its arguments, results and arena, as attributes of the host function."""

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import integer
from elastix.compiler.ir.core import (
    ArrayAttr,
    Attribute,
    DictAttr,
    IntegerAttr,
    ModuleOp,
    OpView,
    RankedTensorType,
    StringAttr,
    Type,
    TypeAttr,
)
from elastix.compiler.manifest import Tensor
from elastix.compiler.program import dtype_name
from elastix.compiler.step_function import StepFunction

_ARGUMENTS = "host.arguments"
_RESULTS = "host.results"
_ARENA = "host.arena_bytes"


def signature_attributes(step: StepFunction, arena_bytes: int) -> dict[str, Attribute]:
    """The attributes for the host function of a step over tensors."""
    arguments = [_tensor(each.name, each.kind, each.value.type) for each in step.arguments if _is_brought(each.kind)]
    outputs = [each for each in step.results if not each.writes]
    results = [_tensor(each.name or f"result{i}", "output", each.value.type) for i, each in enumerate(outputs)]
    return {
        _ARGUMENTS: ArrayAttr.get(arguments),
        _RESULTS: ArrayAttr.get(results),
        _ARENA: IntegerAttr.get(integer(64), arena_bytes),
    }


def _is_brought(kind: str) -> bool:
    return kind in ("cache", "input")


def _tensor(name: str, kind: str, type: Type) -> Attribute:
    return DictAttr.get({"name": StringAttr.get(name), "kind": StringAttr.get(kind), "type": TypeAttr.get(type)})


def host_function(module: ModuleOp) -> OpView:
    """The function of `host` ops; raises ElastixError if there is none."""
    found = [op for op in module.body.operations if _ARENA in op.attributes]
    if len(found) != 1:
        raise ElastixError(f"{len(found)} host functions", wanted="one", do="run elx-to-host first")
    return found[0]


def arguments_of(module: ModuleOp) -> tuple[Tensor, ...]:
    """Caches and inputs, in the order of the step's `arguments`."""
    return _tensors(host_function(module).attributes[_ARGUMENTS])


def results_of(module: ModuleOp) -> tuple[Tensor, ...]:
    """Outputs, in the order of the step's `results`."""
    return _tensors(host_function(module).attributes[_RESULTS])


def arena_bytes(module: ModuleOp) -> int:
    """Bytes of the step's arena."""
    return IntegerAttr(host_function(module).attributes[_ARENA]).value


def _tensors(attribute: Attribute) -> tuple[Tensor, ...]:
    return tuple(_read(DictAttr(each)) for each in ArrayAttr(attribute))


def _read(attributes: DictAttr) -> Tensor:
    kind = TypeAttr(attributes["type"]).value
    if not isinstance(kind, RankedTensorType):
        raise ElastixError(f"{kind} among the step's arguments and results", wanted="tensors of fixed shape")
    name, use = StringAttr(attributes["name"]).value, StringAttr(attributes["kind"]).value
    match use, str(kind.element_type):
        case "cache", "i4":  # two in a byte
            return Tensor(name, use, (*kind.shape[:-1], kind.shape[-1] // 2), "uint8")
        case "cache", "bf16":  # numpy has none
            return Tensor(name, use, tuple(kind.shape), "uint16")
        case _:
            return Tensor(name, use, tuple(kind.shape), dtype_name(kind.element_type))
