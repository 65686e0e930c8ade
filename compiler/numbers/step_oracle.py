"""The oracle of the step processor: programs carried out in program order, after C1 to C22, slow, clear and exact.

Written from compiler/numbers/README.md and compiler/processor/step/README.md. Waits do not matter here: that they
order what they must is proved by step_oracle_hazards.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.fp32 import Flags
from elastix.compiler.numbers.step_oracle_attention import scores, values
from elastix.compiler.numbers.step_oracle_linear import embed, linear, load
from elastix.compiler.numbers.step_oracle_program import check_instruction
from elastix.compiler.numbers.step_oracle_state import Run, State, Write
from elastix.compiler.numbers.step_oracle_vector import vector
from elastix.compiler.processor.step.instructions import INSTRUCTION_BYTES, Instruction, Opcode, decode_program
from elastix.compiler.processor.step.parameters import StepParameters

Memory = NDArray[np.uint8]
Hook = Callable[[int, Instruction, Sequence[Write]], None]
"""Called after each instruction with its number, itself and what it wrote; nothing if its lane has no token."""
_OF_LANE = {
    Opcode.VECTOR: vector,
    Opcode.SCORES: scores,
    Opcode.VALUES: values,
    Opcode.LOAD: load,
    Opcode.EMBED: embed,
}


@dataclass(frozen=True)
class Results:
    """What a run leaves: sticky flags, all places (memory is the caller's), and the instructions finished."""

    flags: Flags
    state: State
    instructions: int


def read_program(memory: Memory, address: int) -> list[Instruction]:
    """The instructions from an address on, up to END. Raises ElastixError for what is none, or where END is missing."""
    if address % INSTRUCTION_BYTES:
        raise ElastixError(f"a program at {address:#x}", wanted=f"a multiple of {INSTRUCTION_BYTES}")
    end = address
    while end < len(memory) and memory[end] != Opcode.END:
        end += INSTRUCTION_BYTES
    if end + INSTRUCTION_BYTES > len(memory):
        raise ElastixError(f"a program at {address:#x} without END", wanted="END before the memory's end")
    return decode_program(memory[address : end + INSTRUCTION_BYTES].tobytes())


def run(
    memory: Memory,
    program_address: int,
    token_ids: Sequence[int],
    position: int,
    parameters: StepParameters,
    *,
    state: State | None = None,
    hook: Hook | None = None,
) -> Results:
    """Carry out the program at an address for tokens at `position`, `position` + 1 …; memory is written in place.

    state: what an earlier run left, else zeros. Raises ElastixError, with the instruction's number, for what the
    parameters do not allow and for accesses beyond the end of a place.
    """
    if not 1 <= len(token_ids) <= parameters.lanes:
        raise ElastixError(f"{len(token_ids)} tokens", wanted=f"1 to {parameters.lanes}")
    if position < 0 or position + len(token_ids) > parameters.max_context:
        raise ElastixError(
            f"{len(token_ids)} tokens at position {position}", wanted=f"positions below {parameters.max_context}"
        )
    program = read_program(memory, program_address)
    here = Run(parameters, tuple(token_ids), position, State(parameters, memory) if state is None else state)
    for number, instruction in enumerate(program):
        here.state.forget()
        try:
            _carry_out(here, instruction)
        except ElastixError as error:
            raise ElastixError(f"instruction {number}: {error.found}", wanted=error.wanted, do=error.do) from error
        if hook is not None:
            hook(number, instruction, here.state.writes)
    return Results(here.flags, here.state, len(program) - 1)


def _carry_out(run: Run, instruction: Instruction) -> None:
    check_instruction(instruction, run.parameters)
    if instruction.opcode is Opcode.LINEAR:
        linear(run, instruction)
    elif instruction.opcode in _OF_LANE and instruction["lane"] < len(run.token_ids):
        _OF_LANE[instruction.opcode](run, instruction, instruction["lane"])
