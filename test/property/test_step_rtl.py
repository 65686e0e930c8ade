"""Random programs on random step processors: what the RTL leaves, against every write of the emulator's."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_steps import PROGRAM, SLOT, SLOTS, RandomStep, random_steps

from elastix.compiler.processor.step.instructions import INSTRUCTION_BYTES, Instruction
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.step.waits import waits
from elastix.runtime.memory_model import DDR3_1600_X16, DDR4_2400_X64, HBM2_CHANNEL, IDEAL, MemoryModel
from elastix.runtime.step_engines import EmulatorEngine
from elastix.runtime.step_overlap import Run, first_overlapping_difference
from elastix.runtime.step_simulate import SimulatedStep


@st.composite
def memory_models(draw: st.DrawFn) -> MemoryModel:
    """Every kind of memory, at any pace, with handshakes held back as often as not."""
    model = draw(st.sampled_from([IDEAL, DDR3_1600_X16, DDR4_2400_X64, HBM2_CHANNEL]))
    return model.with_pressure(draw(st.integers(0, 2**16)), draw(st.sampled_from([0, 20, 60])))


def with_waits(step: RandomStep) -> None:
    """Give the program the waits that the compiler finds."""
    found = waits(step.program, step.parameters)
    for number, (each, counts) in enumerate(zip(step.program, found, strict=True)):
        code = Instruction(each.opcode, {**each.values, **counts}).encode()
        at = PROGRAM + number * INSTRUCTION_BYTES
        step.memory[at : at + INSTRUCTION_BYTES] = memoryview(code)


def leaves_the_same(step: RandomStep, models: list[MemoryModel]) -> None:
    """The places as they are after the program, whose instructions overlap; under the first model in all of them, under
    the others in memory, arg max and flags."""
    with_waits(step)
    emulated = step.memory.copy()
    engine = EmulatorEngine(step.parameters)
    trace = list(engine.run_traced(emulated, PROGRAM, step.tokens, step.position))
    run = Run(step.parameters, models[0], step.memory.copy(), 0, PROGRAM, step.tokens, step.position)
    difference, _ = first_overlapping_difference(run, trace)
    assert difference is None, f"emulator and RTL: {difference}"
    wanted = EmulatorEngine(step.parameters).run(step.memory.copy(), PROGRAM, step.tokens, step.position)
    for model in models:
        memory = step.memory.copy()
        with SimulatedStep(step.parameters, "rtl", model) as simulated:
            assert simulated.run(memory, PROGRAM, step.tokens, step.position) == wanted
        assert memory.tobytes() == emulated.tobytes()


SMALL = StepParameters(
    beat=64,
    lanes=2,
    channels=2,
    max_tiles=3,
    max_burst=16,
    fifo_beats=32,
    vector_lanes=2,
    vector_elements=SLOT * (SLOTS + 1),
    constant_elements=SLOT * (SLOTS + 1),
    max_context=20,
    head_dim=16,
    kv_heads=2,
    group=2,
    attention_lanes=4,
)
always = settings(
    deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=[Phase.generate], database=None
)


@settings(always, max_examples=6)
@given(random_steps(st.just(SMALL)), st.lists(memory_models(), min_size=2, max_size=2))
def test_programs_leave_the_same_on_a_processor(step: RandomStep, models: list[MemoryModel]) -> None:
    leaves_the_same(step, models)


@pytest.mark.slow
@settings(always, max_examples=30)
@given(random_steps(), st.lists(memory_models(), min_size=1, max_size=1))
def test_programs_leave_the_same_on_any_processor(step: RandomStep, models: list[MemoryModel]) -> None:
    leaves_the_same(step, models)
