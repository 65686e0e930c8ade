"""The step program of a module: its ops, and the same as instructions with addresses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from elastix.compiler.arena import aligned
from elastix.compiler.errors import ElastixError
from elastix.compiler.ir.core import ModuleOp
from elastix.compiler.processor.step.instructions import Instruction, Opcode
from elastix.compiler.step.emitter import FRAME_ALIGNMENT
from elastix.dialects.epu import BufferOp, InstructionOp, StepProcessorOp, StepProgramOp


@dataclass(frozen=True)
class StepProgram:
    """The ops of a step program, and the processor it is for."""

    op: StepProgramOp
    processor: StepProcessorOp

    @property
    def buffers(self) -> list[BufferOp]:
        return [op for op in self.op.body.blocks[0].operations if isinstance(op, BufferOp)]

    @property
    def instructions(self) -> list[InstructionOp]:
        return [op for op in self.op.body.blocks[0].operations if isinstance(op, InstructionOp)]


def step_processor_of(module: ModuleOp) -> StepProcessorOp:
    """The step processor of a module; raises ElastixError if it names none, or several."""
    found = [op for op in module.body.operations if isinstance(op, StepProcessorOp)]
    if len(found) != 1:
        raise ElastixError(f"{len(found)} epu.step_processor ops", wanted="one", do="run choose-step-processor first")
    return found[0]


def step_program_of(module: ModuleOp) -> StepProgram:
    """The step program of a module; raises ElastixError if it has none, or several."""
    found = [op for op in module.body.operations if isinstance(op, StepProgramOp)]
    if len(found) != 1:
        raise ElastixError(f"{len(found)} epu.step_program ops", wanted="one", do="run elx-to-step first")
    return StepProgram(found[0], step_processor_of(module))


def virtual_addresses(buffers: Sequence[BufferOp]) -> dict[str, int]:
    """Addresses as if every buffer had a memory of its own: none touches another."""
    addresses: dict[str, int] = {}
    at = 0
    for each in buffers:
        addresses[each.sym_name] = at
        at += aligned(each.elements, FRAME_ALIGNMENT)
    return addresses


@dataclass(frozen=True)
class Unchecked(Instruction):
    """An instruction whose addresses need not fit their fields."""

    def __post_init__(self) -> None:
        pass


def with_addresses(
    ops: Sequence[InstructionOp], addresses: Mapping[str, int], *, checked: bool = True
) -> list[Instruction]:
    """The instructions with the addresses of their buffers. Raises ElastixError for one that does not fit its field."""
    kind = Instruction if checked else Unchecked
    return [
        kind(
            Opcode[op.opcode.upper()],
            {**op.values, **{name: addresses[symbol] + offset for name, (symbol, offset) in op.buffers.items()}},
        )
        for op in ops
    ]
