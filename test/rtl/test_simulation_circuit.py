"""A small circuit through both simulators: same bits, same cycles, whatever the memory does to its timing."""

from collections.abc import Callable

import numpy as np
import pytest
from copier import BEATS, PAGE, copier, interface

from elastix.compiler.circuit import Module
from elastix.runtime.load_circuit import LoadedCircuit, load_arc, load_verilator
from elastix.runtime.memory_model import DDR3_1600_X16, HBM2_CHANNEL, IDEAL, MemoryModel
from elastix.runtime.simulate import Engine

LOADERS: dict[str, Callable[[Module], LoadedCircuit]] = {"arc": load_arc, "verilator": load_verilator}
MODELS = (IDEAL, DDR3_1600_X16, HBM2_CHANNEL, IDEAL.with_pressure(5), DDR3_1600_X16.with_pressure(6, 60))


def copy(engine: Engine, beat: int) -> list[int]:
    cycles: list[int] = []
    memory = np.random.default_rng(beat).integers(0, 256, 4 * PAGE, np.uint8)
    count = BEATS * beat // 8
    for address in (0, 2 * PAGE):
        expected = memory.copy()
        expected[address + PAGE :][:count] = ~memory[address:][:count]
        cycles.append(engine.run(memory, address).pin_cycles)
        assert (memory == expected).all()
    return cycles


@pytest.mark.parametrize("beat", [64, 256, 512])
def test_both_simulators_copy_in_the_same_cycles(beat: int) -> None:
    module = copier(beat)
    for model in MODELS:
        cycles = []
        for load in LOADERS.values():
            with Engine(load(module), interface(beat), model) as engine:
                cycles.append(copy(engine, beat))
        with Engine(load_arc(module), interface(beat), model, check_settled=True) as engine:
            cycles.append(copy(engine, beat))
        assert cycles[0] == cycles[1] == cycles[2], model.name


def test_each_transaction_pays_the_latency_once() -> None:
    with Engine(load_arc(copier(256)), interface(256), IDEAL) as engine:
        first, second = copy(engine, 256)
    assert first == second
    with Engine(load_arc(copier(256)), interface(256), MemoryModel("slow", latency=IDEAL.latency + 10)) as engine:
        slower, _ = copy(engine, 256)
    assert slower == first + 20
