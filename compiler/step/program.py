"""The step program of a module: its ops, and the same as instructions with addresses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from elastix.compiler.arena import aligned
from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import RefusedOp
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


def step_processor_of(module: ModuleOp) -> StepProcessorOp | None:
    """The step processor of a module, None if it names none; raises ElastixError if it names several."""
    found = [op for op in module.body.operations if isinstance(op, StepProcessorOp)]
    if len(found) > 1:
        raise ElastixError(f"{len(found)} epu.step_processor ops", wanted="one at most")
    return found[0] if found else None


def step_program_of(module: ModuleOp) -> StepProgram | None:
    """The step program of a module, None if it has none.

    Raises ElastixError if it has several, or one whose processor is not there, or that does not end with END.
    """
    found = [op for op in module.body.operations if isinstance(op, StepProgramOp)]
    if not found:
        return None
    processor = step_processor_of(module)
    if len(found) > 1 or processor is None:
        raise ElastixError(
            f"{len(found)} epu.step_program ops and {'no' if processor is None else 'an'} epu.step_processor",
            wanted="one program and its processor",
        )
    program = StepProgram(found[0], processor)
    ends = [index for index, op in enumerate(program.instructions) if op.opcode == "end"]
    if ends != [len(program.instructions) - 1]:
        raise RefusedOp(found[0], f"END at {ends}", wanted="one, as the last instruction")
    return program


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
