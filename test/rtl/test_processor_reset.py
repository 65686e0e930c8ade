"""Soft reset at any moment of a run: it drains, leaves the memory alone, and the next run is equal in every bit."""

from collections.abc import Iterator
from random import Random

import pytest
from processor_bench import ProcessorBench, processor_bench
from register_bench import ENABLE, SOFT_RESET, START

from elastix.compiler.processor.control_registers import Offset
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.runtime.memory_model import DDR3_1600_X16, IDEAL, MemoryModel

PARAMETERS = ProcessorParameters(
    beat=128, activation_bits=9, lanes=2, channels=2, max_tiles=20, max_burst=16, fifo_beats=32
)
MODELS = (IDEAL, MemoryModel("slow", latency=150), IDEAL.with_pressure(7, 60), DDR3_1600_X16)


@pytest.fixture(scope="module", params=MODELS, ids=lambda model: model.name)
def bench(request: pytest.FixtureRequest) -> Iterator[ProcessorBench]:
    with processor_bench(PARAMETERS, request.param) as bench:
        yield bench


def run_length(bench: ProcessorBench) -> int:
    bench.fresh()
    before = bench.engine.cycle
    bench.start()
    bench.finish()
    return bench.engine.cycle - before


def test_soft_reset_in_mid_run(bench: ProcessorBench) -> None:
    random, length = Random(11), run_length(bench)
    for at in [random.randrange(length) for _ in range(40)]:
        memory = bench.fresh()
        bench.start()
        bench.engine.step(at)
        bench.soft_reset()
        assert bench.status == 0 and bench.read(Offset.ERROR) == 0
        assert bench.read(Offset.COUNTERS) == bench.read(Offset.COUNTERS + 4) == 0
        assert bench.read(Offset.DESCRIPTOR) == bench.layer.descriptor
        after = memory.copy()
        # What was written are results, and none comes late.
        assert ((memory == bench.layer.memory) | (memory == bench.expected)).all()
        assert not bench.engine.step(200)
        assert (memory == after).all()
        bench.check_run()


def test_soft_reset_at_any_cycle_of_the_drain_after_an_error(bench: ProcessorBench) -> None:
    bench.engine.plant(bench.layer.weights + 300, "slverr")
    bench.fresh()
    before = bench.engine.cycle
    bench.start()
    bench.engine.step(10_000)
    length = bench.engine.cycle - before
    bench.soft_reset()
    for at in range(max(0, length - 60), length):
        bench.fresh()
        bench.start()
        bench.engine.step(at)
        bench.soft_reset()
        assert bench.status == 0 and bench.read(Offset.ERROR) == 0
    bench.engine.clear_faults()
    bench.check_run()


def test_soft_reset_at_rest_and_twice(bench: ProcessorBench) -> None:
    for _ in range(3):
        bench.engine.write_register(Offset.CONTROL, SOFT_RESET)
    bench.soft_reset()
    bench.check_run()
    bench.fresh()
    bench.start()
    bench.engine.step(100)
    bench.engine.write_register(Offset.CONTROL, SOFT_RESET)
    bench.engine.write_register(Offset.CONTROL, SOFT_RESET)
    bench.soft_reset()
    bench.check_run()


def test_start_is_ignored_while_busy_and_beside_soft_reset(bench: ProcessorBench) -> None:
    bench.fresh()
    bench.start()
    bench.engine.write_register(Offset.CONTROL, START | ENABLE)
    bench.finish()
    assert (bench.memory == bench.expected).all()
    bench.engine.write_register(Offset.CONTROL, START | SOFT_RESET | ENABLE)
    bench.soft_reset()
    assert not bench.engine.step(500) and bench.status == 0


def test_hard_reset_in_mid_run(bench: ProcessorBench) -> None:
    random, length = Random(12), run_length(bench)
    for _ in range(10):
        bench.fresh()
        bench.start()
        bench.engine.step(random.randrange(length))
        bench.engine.reset()
        assert bench.status == 0 and bench.read(Offset.TIMEOUT) == 65536
        bench.check_run()
