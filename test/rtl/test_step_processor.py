"""The whole step processor on small programs, compared with the oracle."""

import pytest
from register_bench import DONE, PENDING
from step_bench import step_bench
from whole_step import WholeStep

from elastix.compiler.processor.control_registers import Offset
from elastix.compiler.processor.step.instructions import Instruction, Opcode
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.top import MAX_CONTEXT, TOKENS
from elastix.runtime.memory_model import DDR3_1600_X16, IDEAL, MemoryModel
from elastix.runtime.step_simulate import SimulatedStep

PARAMETERS = StepParameters(
    beat=64,
    lanes=2,
    max_tiles=4,
    max_burst=16,
    fifo_beats=32,
    vector_lanes=4,
    vector_elements=2048,
    constant_elements=512,
    max_context=40,
    head_dim=16,
    kv_heads=2,
    group=2,
    attention_lanes=8,
)


def test_a_program_of_end_alone_ends() -> None:
    with step_bench(PARAMETERS) as bench:
        program = bench.program([])
        bench.start(program)
        assert bench.finish() == DONE | PENDING
        assert bench.errors == set()
        assert bench.read(Offset.VERSION) == 0x103
        assert bench.read(MAX_CONTEXT) == 40
        assert bench.read(TOKENS) == 1
        assert 0 < bench.read(Offset.COUNTERS) < 200


@pytest.mark.parametrize("model", [IDEAL, IDEAL.with_pressure(3, 60), DDR3_1600_X16], ids=lambda model: model.name)
@pytest.mark.parametrize("tokens, position", [((3, 39), 21), ((7,), 0), ((0, 1), 38)])
def test_a_step_through_every_unit(model: MemoryModel, tokens: tuple[int, ...], position: int) -> None:
    step = WholeStep(PARAMETERS, tokens, position)
    memory = step.memory.copy()
    with SimulatedStep(PARAMETERS, "rtl", model, check_settled=model is IDEAL) as engine:
        result = engine.run(memory, step.program, tokens, position)
        counters = engine.counters
    assert (memory == step.expected).all()
    assert list(result.arg_max) == step.arg_max
    assert result.instructions == counters.instructions == len(step.instructions)
    assert counters.run.beats == beats_of_linears(step.instructions)
    assert counters.run.beats + counters.cache_beats + counters.constant_beats == counters.run.pin_beats
    assert counters.cache_beats == cache_beats(position, len(tokens))
    assert 0 < counters.run.busy == counters.run.cycles < 2 * counters.run.pin_cycles


def beats_of_linears(program: list[Instruction]) -> int:
    """Blocks and CRC beats."""
    linears = [each for each in program if each.opcode is Opcode.LINEAR]
    return sum(each["row_blocks"] * each["block_beats"] + 1 for each in linears)


def cache_beats(position: int, tokens: int) -> int:
    """Keys, values, and twice the scales, of each token that runs."""
    scales = -(-16 * position // PARAMETERS.beat)
    return tokens * 2 * (position * PARAMETERS.row_beats + scales)
