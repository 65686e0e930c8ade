"""The whole step processor on small programs, compared with the oracle."""

from elastix.compiler.processor.control_registers import Offset
from elastix.compiler.processor.step.instructions import Instruction, Opcode
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.top import COUNTERS_AT, MAX_CONTEXT, TOKENS
from step_bench import DONE, PENDING, step_bench

SMALL = StepParameters(
    beat=64,
    max_tiles=4,
    max_burst=16,
    fifo_beats=32,
    vector_lanes=2,
    vector_elements=512,
    constant_elements=256,
    max_context=16,
    head_dim=16,
    kv_heads=2,
    group=2,
    attention_lanes=4,
)


def test_a_program_of_end_alone_ends() -> None:
    with step_bench(SMALL) as bench:
        program = bench.program([])
        bench.start(program)
        assert bench.finish() == DONE | PENDING
        assert bench.errors == set()
        assert bench.read(Offset.VERSION) == 0x103
        assert bench.read(MAX_CONTEXT) == 16
        assert 0 < bench.read(Offset.COUNTERS) < 200
        assert bench.read(COUNTERS_AT) == 1
        assert bench.read(TOKENS) == 1
