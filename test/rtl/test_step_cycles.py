"""The cycle model against the generated processor, on processors that its constants were not taken from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models.step_models import CompiledStep, compile_step
from random_llama import random_llama

from elastix.compiler.processor.step.instructions import Instruction, decode_program
from elastix.compiler.step.cycles import Prediction, predict
from elastix.compiler.step.cycles_stream import Stream, Supply
from elastix.runtime.memory_model import DDR3_1600_X16, DDR4_2400_X64, IDEAL, MemoryModel
from elastix.runtime.step_simulate import SimulatedStep

POSITION = 21


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_llama(tmp_path_factory.mktemp("llama"), num_hidden_layers=2)


def steps(step: CompiledStep, memory: MemoryModel, tokens: int) -> tuple[int, int, Prediction]:
    """Cycles and beats of channel 0 of a run on the RTL, and what the model says of it."""
    parameters = step.layout.parameters
    with SimulatedStep(parameters, "rtl", memory) as rtl:
        step.device(rtl).step(list(range(1, 1 + tokens)), POSITION)
        counters = rtl.counters
    beats = counters.run.beats + counters.cache_beats + counters.constant_beats
    program = decode_program(step.program)
    return counters.run.busy, beats, predict(program, parameters, POSITION, tokens, memory)


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"beat": 64, "vector_lanes": 1, "lanes": 2, "bits": 3}, {"attention_lanes": 4}),
        ({"beat": 128, "vector_lanes": 4, "bits": 6}, {"fifo_beats": 32, "max_burst": 8}),
        ({"beat": 128, "vector_lanes": 4, "channels": 2, "attention_channels": 2}, {}),
        ({"beat": 64, "vector_lanes": 4, "channels": 4, "bits": 4}, {}),  # LINEARs wait for the results of others
    ],
)
def test_cycles_are_those_of_the_rtl(
    model: Path, tmp_path: Path, options: dict[str, Any], changed: dict[str, Any]
) -> None:
    """Within 3 % behind the ideal memory, 5 % behind timed ones; beats exactly, where all are channel 0's."""
    step = compile_step(model, tmp_path, max_context=40, **options).with_processor(**changed)
    for memory, bound in ((IDEAL, 0.03), (DDR3_1600_X16.at(100_000_000), 0.05), (DDR4_2400_X64, 0.05)):
        for tokens in range(1, step.layout.parameters.lanes + 1):
            cycles, beats, predicted = steps(step, memory, tokens)
            assert beats == predicted.beats or step.layout.parameters.channels > 1
            assert abs(predicted.cycles / cycles - 1) < bound, f"{memory.name}: {cycles}, model {predicted.cycles}"


@pytest.fixture(scope="module")
def compiled(model: Path, tmp_path_factory: pytest.TempPathFactory) -> CompiledStep:
    return compile_step(model, tmp_path_factory.mktemp("step"), max_context=40, bits=4, beat=64, vector_lanes=2)


@pytest.fixture(scope="module")
def program(compiled: CompiledStep) -> list[Instruction]:
    return decode_program(compiled.program)


def test_lost_cycles_are_all_that_give_no_beat(compiled: CompiledStep, program: list[Instruction]) -> None:
    found = predict(program, compiled.layout.parameters, POSITION)
    assert sum(found.lost.values()) == pytest.approx(found.cycles - found.beats, abs=10)
    assert found.stalls == pytest.approx(found.cycles - found.beats)
    assert 0 < found.longest_stall < found.stalls
    assert {"matrix linear", "vector squares", "attention scores"} <= set(found.lost)


def test_later_positions_and_slower_memories_take_longer(compiled: CompiledStep, program: list[Instruction]) -> None:
    parameters = compiled.layout.parameters
    cycles = [predict(program, parameters, position).cycles for position in (0, 10, 20, 30)]
    assert cycles == sorted(cycles) and cycles[0] < cycles[-1]
    rates = [predict(program, parameters, 0, 1, Supply(rate, 16, 16)).cycles for rate in (0.9, 0.6, 0.3)]
    assert rates == sorted(rates) and rates[-1] > predict(program, parameters, 0).beats / 0.3


def test_a_fifo_hides_a_stall_as_deep_as_it_is(compiled: CompiledStep) -> None:
    """What came while nothing was taken is there at once, the rest at the memory's rate."""
    parameters = compiled.layout.parameters
    stream = Stream(parameters, Supply(0.5, 16, 16))
    room = stream.window
    stream.take(0, 0, 1, 1)
    begin, end = stream.take(0, 10_000, 4 * room, 4 * room)
    assert begin == 10_000
    assert end - begin == pytest.approx(2 * 3 * room, rel=0.05)
    assert np.isfinite(end)
