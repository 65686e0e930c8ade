"""The program of a compiled module: its memory map, its instructions, and `program.bin`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from elastix.compiler.errors import ElastixError
from elastix.compiler.image import ImageLayout, LayerPlace, ParameterPlace
from elastix.compiler.ir import integer, tensor
from elastix.compiler.ir.core import (
    ArrayAttr,
    Attribute,
    DictAttr,
    IntegerAttr,
    ModuleOp,
    RankedTensorType,
    StringAttr,
    Type,
    TypeAttr,
)
from elastix.compiler.manifest import HostParameter, MemoryMap
from elastix.compiler.numbers.formats import Geometry
from elastix.compiler.numbers.pack import Descriptor
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.compiler.step_function import processor_of
from elastix.dialects.epu import LinearOp, ProgramOp

DESCRIPTOR_BYTES: Final = 64
_MEMORY: Final = "epu.memory"
_PARAMETERS: Final = "epu.parameters"
_DTYPES: Final = {
    "f32": "float32",
    "f64": "float64",
    "i64": "int64",
    "i32": "int32",
    "i16": "int16",
    "i8": "int8",
    "ui8": "uint8",
    "i1": "bool",
}


def dtype_name(element: Type) -> str:
    """numpy's name for an element type that host code can hold; raises ElastixError for another."""
    if str(element) not in _DTYPES:
        raise ElastixError(f"a tensor of {element}", wanted=f"elements of {', '.join(_DTYPES)}")
    return _DTYPES[str(element)]


def program_of(module: ModuleOp) -> ProgramOp:
    """The module's program; raises ElastixError if it has none, or several."""
    found = [op for op in module.body.operations if isinstance(op, ProgramOp)]
    if len(found) != 1:
        raise ElastixError(f"{len(found)} epu.program ops", wanted="one", do="run elx-to-epu first")
    return found[0]


def instructions(module: ModuleOp) -> list[LinearOp]:
    """The instructions in order; each one's descriptor lies DESCRIPTOR_BYTES after the one before."""
    return [op for op in program_of(module).body.blocks[0].operations if isinstance(op, LinearOp)]


def set_memory_map(program: ProgramOp, memory: MemoryMap, parameters: Sequence[ParameterPlace]) -> None:
    """Write on the program where everything lies."""
    i64 = integer(64)
    numbers: dict[str, Attribute] = {name: IntegerAttr.get(i64, value) for name, value in asdict(memory).items()}
    program.attributes[_MEMORY] = DictAttr.get(numbers)
    program.attributes[_PARAMETERS] = ArrayAttr.get([_parameter_attribute(each) for each in parameters])


def _parameter_attribute(place: ParameterPlace) -> Attribute:
    element = next(name for name, dtype in _DTYPES.items() if dtype == place.dtype)
    return DictAttr.get(
        {
            "name": StringAttr.get(place.name),
            "address": IntegerAttr.get(integer(64), place.address),
            "type": TypeAttr.get(tensor(place.shape, Type.parse(element))),
        }
    )


def memory_map(module: ModuleOp) -> MemoryMap:
    """The regions of the device memory."""
    numbers = DictAttr(program_of(module).attributes[_MEMORY])
    return MemoryMap(**{name: IntegerAttr(numbers[name]).value for name in MemoryMap.__dataclass_fields__})


def host_parameters(module: ModuleOp) -> tuple[HostParameter, ...]:
    """The tensors that host code reads in device memory, by address."""
    return tuple(_parameter(DictAttr(each)) for each in ArrayAttr(program_of(module).attributes[_PARAMETERS]))


def _parameter(attributes: DictAttr) -> HostParameter:
    kind = TypeAttr(attributes["type"]).value
    assert isinstance(kind, RankedTensorType)
    name, address = StringAttr(attributes["name"]).value, IntegerAttr(attributes["address"]).value
    return HostParameter(name, address, tuple(kind.shape), dtype_name(kind.element_type))


def geometry(instruction: LinearOp, processor: ProcessorParameters) -> Geometry:
    """The shape in memory of an instruction's weights."""
    return Geometry(instruction.format, instruction.rows, instruction.columns, processor.beat, processor.channels)


def image_layout(module: ModuleOp) -> ImageLayout:
    """What `weights.bin` must hold for this program."""
    processor = processor_of(module).parameters()
    layers: dict[str, LayerPlace] = {}
    for each in instructions(module):
        layers.setdefault(each.weight, LayerPlace(each.weight, each.weights, geometry(each, processor)))
    parameters = [ParameterPlace(p.name, p.address, p.shape, p.dtype) for p in host_parameters(module)]
    return ImageLayout(tuple(layers.values()), tuple(parameters), memory_map(module).weights_bytes)


def assemble(module: ModuleOp) -> bytes:
    """`program.bin`: the descriptor of each instruction, in order. A launch sets the number of tokens of its batch."""
    processor = processor_of(module).parameters()
    return b"".join(
        Descriptor.of(
            geometry(each, processor),
            weights=each.weights,
            x=each.x,
            y=each.y,
            tokens=min(each.tokens, processor.lanes),
        ).encode()
        for each in instructions(module)
    )


def disassemble(program: bytes) -> list[Descriptor]:
    """The inverse of `assemble`; raises ElastixError naming the first descriptor that is none."""
    if len(program) % DESCRIPTOR_BYTES:
        raise ElastixError(f"a program of {len(program)} bytes", wanted=f"a multiple of {DESCRIPTOR_BYTES}")
    found: list[Descriptor] = []
    for start in range(0, len(program), DESCRIPTOR_BYTES):
        try:
            found.append(Descriptor.decode(program[start : start + DESCRIPTOR_BYTES]))
        except ElastixError as error:
            raise ElastixError(f"{error.found} at byte {start} of the program", wanted=error.wanted) from error
    return found
