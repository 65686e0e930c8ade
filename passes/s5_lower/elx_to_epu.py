"""Quantized linear layers become the instructions of an `epu.program`, with addresses in the device's memory."""

from typing import Final

from elastix.compiler.addresses import (
    Instruction,
    Shapes,
    host_parameters,
    instructions_of,
    memory_map_of,
    place_scratch,
    weight_formats,
)
from elastix.compiler.image import lay_out
from elastix.compiler.ir import Symbol, build_at, compiler_pass, integer
from elastix.compiler.ir.core import Block, InsertionPoint, IntegerAttr, ModuleOp, OpResult, OpView
from elastix.compiler.program import DESCRIPTOR_BYTES, set_memory_map
from elastix.compiler.step_function import processor_of, step_function
from elastix.dialects import epu
from elastix.dialects.elx import QuantizedEmbeddingOp, QuantizedLinearOp

DESCRIPTOR: Final = "epu.descriptor"
"""On an elx op: byte address of its instruction's descriptor."""
X_ADDRESS: Final = "epu.x"
"""On `elx.quantize`: byte address of its activation images."""
Y_ADDRESS: Final = "epu.y"
"""On `elx.quantized_linear`: byte address of its results."""


@compiler_pass
def elx_to_epu(module: ModuleOp) -> None:
    """Give every quantized weight, host parameter, descriptor, activation image and result its device address.

    Makes one `epu.linear` per `elx.quantized_linear`, in order, and one per table that only embeddings read. The elx
    ops stay for `elx-to-host`, with the addresses they need. In memory: `weights.bin`, the program, then scratch,
    where regions whose lifetimes do not meet share bytes. Refuses a quantized weight that is no argument of the step,
    and a weight in two formats.
    """
    step, processor = step_function(module), processor_of(module)
    parameters = processor.parameters()
    readers = [op for op in step.block.operations if isinstance(op, QuantizedLinearOp | QuantizedEmbeddingOp)]
    layout = lay_out(
        list(weight_formats(step, readers).items()),
        host_parameters(step),
        Shapes(step),
        beat=parameters.beat,
        channels=parameters.channels,
    )
    instructions, own = instructions_of(step, readers, parameters)
    scratch = place_scratch(step.block, instructions)
    memory = memory_map_of(layout, len(instructions), scratch.bytes)
    weights = {each.name: each.address for each in layout.layers}
    base = memory.scratch_address + DESCRIPTOR_BYTES

    with build_at(InsertionPoint(step.op), step.op.location):
        program = epu.ProgramOp(sym_name="program", processor=Symbol(processor.sym_name))
    set_memory_map(program, memory, layout.parameters)
    body = InsertionPoint(Block.create_at_start(program.body, []))
    for each, x, y in zip(instructions, scratch.x, scratch.y, strict=True):
        with build_at(body, each.op.location):
            _emit(each, weights[each.weight], base + x, base + y)
    for op, index in zip(readers, own, strict=True):
        _note(op, DESCRIPTOR, memory.program_address + index * DESCRIPTOR_BYTES)
        if isinstance(op, QuantizedLinearOp):
            _note(op, Y_ADDRESS, base + scratch.y[index])
            if isinstance(op.x, OpResult):
                _note(op.x.owner, X_ADDRESS, base + scratch.x[index])


def _note(op: OpView, name: str, address: int) -> None:
    op.attributes[name] = IntegerAttr.get(integer(64), address)


def _emit(instruction: Instruction, weights: int, x: int, y: int) -> None:
    geometry = instruction.geometry
    epu.LinearOp(
        sym_name=instruction.name,
        weight=instruction.weight,
        format=geometry.format,
        rows=geometry.rows,
        columns=geometry.columns,
        tokens=instruction.tokens,
        weights=weights,
        channel_stride=geometry.channel_stride,
        x=x,
        y=y,
    )
