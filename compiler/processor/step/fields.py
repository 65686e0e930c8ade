"""Fields of an instruction as signals."""

from elastix.compiler.circuit import Signal
from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.step.instructions import FIELDS, WORDS, Opcode

INSTRUCTION_BITS = 32 * WORDS


def field(instruction: Signal, opcode: Opcode, name: str) -> Signal:
    """The bits of field `name` of an instruction of that opcode; `instruction` has INSTRUCTION_BITS.

    Raises ElastixError for a field that the opcode has not, or an instruction of another width.
    """
    if instruction.width != INSTRUCTION_BITS:
        raise ElastixError(f"an instruction of {instruction.width} bits", wanted=f"{INSTRUCTION_BITS}")
    for each in FIELDS[opcode]:
        if each.name == name:
            low = 32 * each.word + each.low
            return instruction[low : low + each.bits]
    raise ElastixError(f"{opcode.name.lower()} has no field {name}", wanted=", ".join(f.name for f in FIELDS[opcode]))
