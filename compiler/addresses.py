"""Which instructions a step needs, and where their weights, images and results lie in the device's memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from numpy.typing import NDArray

from elastix.compiler.arena import Lifetime, aligned, place
from elastix.compiler.errors import ElastixError
from elastix.compiler.image import ImageLayout
from elastix.compiler.ir import RefusedOp, element_of, shape_of
from elastix.compiler.ir.core import Block, OpResult, OpView, Value
from elastix.compiler.manifest import MemoryMap
from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.compiler.program import DESCRIPTOR_BYTES, dtype_name
from elastix.compiler.schedule import schedule
from elastix.compiler.step_function import StepArgument, StepFunction
from elastix.dialects.elx import QuantizedEmbeddingOp, QuantizedLinearOp

_PAGE = 4096
_STORED = {
    "float32": "F32",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}

Reader = QuantizedLinearOp | QuantizedEmbeddingOp
"""An op that reads packed weights."""


@dataclass(frozen=True)
class Instruction:
    """What will be one `epu.linear`; `op` is the first that needs it."""

    name: str
    op: Reader
    weight: str
    geometry: Geometry
    tokens: int


class Shapes:
    """The arguments of the step, as `lay_out` asks for them."""

    def __init__(self, step: StepFunction) -> None:
        self._values = {each.name: each.value for each in step.arguments}

    def shape(self, name: str) -> tuple[int, ...]:
        return shape_of(self._values[name])

    def dtype(self, name: str) -> str:
        dtype = dtype_name(element_of(self._values[name]))
        if dtype not in _STORED:
            raise ElastixError(f"{name} is {dtype}", wanted=f"parameters of {', '.join(_STORED)}")
        return _STORED[dtype]

    def read(self, name: str) -> NDArray[Any]:
        raise KeyError(name)


def _weight(step: StepFunction, op: Reader) -> StepArgument:
    value = op.weight if isinstance(op, QuantizedLinearOp) else op.table
    argument = step.argument_of(value)
    if argument is None or argument.kind not in ("weight", "buffer"):
        found = "it is computed" if argument is None else f"it is an argument of kind {argument.kind}"
        raise RefusedOp(op, f"its weight cannot be packed: {found}", wanted="an argument of kind weight")
    return argument


def weight_formats(step: StepFunction, readers: Sequence[Reader]) -> dict[str, Format]:
    """The format of each weight, in the order of their first use."""
    formats: dict[str, Format] = {}
    for op in readers:
        name = _weight(step, op).name
        if formats.setdefault(name, op.format) != op.format:
            raise RefusedOp(op, f"{name} in format {op.format}", wanted=f"{formats[name]}, as another op has it")
    return formats


def host_parameters(step: StepFunction) -> list[str]:
    """Names of weights and buffers that an op reads as they are."""
    return [
        each.name
        for each in step.arguments
        if each.kind in ("weight", "buffer") and any(not _is_packed(use.owner, each.value) for use in each.value.uses)
    ]


def _is_packed(reader: OpView, value: Value) -> bool:
    match reader:
        case QuantizedLinearOp():
            return reader.weight == value
        case QuantizedEmbeddingOp():
            return reader.table == value
        case _:
            return False


def instructions_of(
    step: StepFunction, readers: Sequence[Reader], processor: ProcessorParameters
) -> tuple[list[Instruction], list[int]]:
    """The instructions, and each reader's index among them: an embedding shares that of a layer with its table."""
    first: dict[str, int] = {}
    linears = [op for op in readers if isinstance(op, QuantizedLinearOp)]
    order = [*linears, *(op for op in readers if isinstance(op, QuantizedEmbeddingOp))]
    instructions: list[Instruction] = []
    own: dict[int, int] = {}
    for op in order:
        weight = _weight(step, op).name
        at = readers.index(op)
        if isinstance(op, QuantizedEmbeddingOp) and weight in first:
            own[at] = first[weight]
            continue
        own[at] = len(instructions)
        first.setdefault(weight, len(instructions))
        instructions.append(_instruction(op, weight, [each.name for each in instructions], processor))
    return instructions, [own[at] for at in range(len(readers))]


def _instruction(op: Reader, weight: str, taken: Sequence[str], processor: ProcessorParameters) -> Instruction:
    name = base = weight.removesuffix(".weight")
    count = 1
    while name in taken:
        name, count = f"{base}.{count}", count + 1
    rows, columns = shape_of(op.weight if isinstance(op, QuantizedLinearOp) else op.table)
    tokens = prod(shape_of(op.x)[:-1]) if isinstance(op, QuantizedLinearOp) else 1
    return Instruction(name, op, weight, Geometry(op.format, rows, columns, processor.beat, processor.channels), tokens)


@dataclass(frozen=True)
class Scratch:
    """Offsets of each instruction's activation images and results, from the first byte after the patched descriptor."""

    x: list[int]
    y: list[int]
    bytes: int


def place_scratch(block: Block, instructions: Sequence[Instruction]) -> Scratch:
    """Regions of images and results; two share bytes only if the host waits for one before it begins the other."""
    plan = schedule(block)
    images: dict[Value | int, Lifetime] = {}
    key: list[Value | int] = []
    results: list[Lifetime] = []
    for index, each in enumerate(instructions):
        at = plan.position[each.op]
        end = plan.waits.get(each.op, at)
        size = each.tokens * each.geometry.activation_bytes
        source = each.op.x if isinstance(each.op, QuantizedLinearOp) else index
        begin = plan.position[source.owner] if isinstance(source, OpResult) else at
        before = images.get(source)
        images[source] = Lifetime(size, begin, max(end, before.last if before else 0))
        key.append(source)
        results.append(Lifetime(each.tokens * each.geometry.result_bytes, at, end))
    offsets, size = place([*images.values(), *results])
    x = dict(zip(images, offsets, strict=False))
    return Scratch([x[source] for source in key], offsets[len(images) :], size)


def memory_map_of(layout: ImageLayout, instructions: int, scratch_bytes: int) -> MemoryMap:
    """`weights.bin`, the program, then on the next page the patched descriptor and the scratch regions."""
    program_bytes = instructions * DESCRIPTOR_BYTES
    scratch = aligned(layout.bytes + program_bytes, _PAGE)
    size = aligned(scratch + DESCRIPTOR_BYTES + scratch_bytes, _PAGE)
    return MemoryMap(layout.bytes, layout.bytes, program_bytes, scratch, scratch, size)
