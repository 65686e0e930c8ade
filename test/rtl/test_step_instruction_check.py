"""Where elements may begin: the circuit refuses what the oracle refuses, whatever the vector lanes."""

from functools import cache

import pytest
from simulated import Simulated

from elastix.compiler.circuit import Module
from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.step_oracle_program import check_instruction
from elastix.compiler.processor.step.assembly import from_text
from elastix.compiler.processor.step.fields import INSTRUCTION_BITS
from elastix.compiler.processor.step.instruction_check import bad_instruction
from elastix.compiler.processor.step.instruction_fetch import opcodes
from elastix.compiler.processor.step.instructions import Instruction
from elastix.compiler.processor.step.parameters import StepParameters

WEIGHTS = "bits=8 row_blocks=4 tiles=1 group_tiles=1 header_words=1 block_beats=9 weights=0x2000 channel_stride=4096"
PLACES = {
    f"linear {WEIGHTS} rows=8 target=VECTOR": ("to", "from", "lane_stride"),
    "vector target=VECTOR count=8": ("a", "b", "c", "d", "to", "period"),
    "scores": ("to", "stride"),
    "values": ("to",),
    "load target=CONSTANT count=8": ("to",),
    f"embed {WEIGHTS}": ("to",),
}


@cache
def parameters(lanes: int) -> StepParameters:
    return StepParameters(beat=64, vector_lanes=lanes, head_dim=16)


@cache
def simulated(lanes: int) -> Simulated:
    p = parameters(lanes)
    m = Module("checked", "bad: two cycles after an instruction.")
    instruction = m.input("instruction", INSTRUCTION_BITS)
    at = {opcode: m.register(f"at_{opcode.name.lower()}", instruction[0:3] == opcode) for opcode in opcodes(p)}
    m.output("bad", bad_instruction(m, p, instruction, at))
    m.unused(instruction)
    return Simulated(m)


def refused(instruction: Instruction, p: StepParameters) -> bool:
    try:
        check_instruction(instruction, p)
    except ElastixError:
        return True
    return False


@pytest.mark.parametrize("lanes", [1, 8, 16])
def test_elements_begin_with_words_of_the_vector_lanes(lanes: int) -> None:
    p, dut = parameters(lanes), simulated(lanes)
    for text, names in PLACES.items():
        for name in names:
            for value in (0, 1, 4, 8, 16, 24, 32, 40, 1024):
                given = from_text(f"{text} {name}={value}")
                dut.set(instruction=int.from_bytes(given.encode(), "little"))
                dut.step()
                dut.step()
                found = bool(dut.get("bad"))
                assert found == bool(value % max(8, lanes)) == refused(given, p), f"{text} {name}={value}"
