"""Everything that can go wrong in a run of a program: it stops, drains, says what and where; the next run is right."""

from collections.abc import Iterator

import pytest
from register_bench import BUSY, DONE, ERROR, PENDING
from step_bench import StepBench, step_bench
from whole_step import WholeStep

from elastix.compiler.processor.control_registers import Offset
from elastix.compiler.processor.fault_monitor import ErrorBit
from elastix.compiler.processor.step.instructions import INSTRUCTION_BYTES, Opcode
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.top import ARG_MAX, COUNTERS_AT
from elastix.runtime.memory_model import IDEAL

PARAMETERS = StepParameters(
    beat=128,
    activation_bits=9,
    lanes=2,
    channels=2,
    max_tiles=4,
    max_burst=16,
    fifo_beats=32,
    vector_lanes=2,
    vector_elements=2048,
    constant_elements=512,
    max_context=40,
    head_dim=16,
    kv_heads=2,
    group=2,
    attention_lanes=4,
)
TIMEOUT = 300
FAILED = ERROR | DONE | PENDING


@pytest.fixture(scope="module")
def step() -> WholeStep:
    return WholeStep(PARAMETERS, (3, 39), 21)


@pytest.fixture(scope="module", params=[IDEAL, IDEAL.with_pressure(5, 40)], ids=lambda model: model.name)
def module_bench(request: pytest.FixtureRequest) -> Iterator[StepBench]:
    with step_bench(PARAMETERS, request.param) as bench:
        yield bench


@pytest.fixture
def bench(module_bench: StepBench, step: WholeStep) -> Iterator[StepBench]:
    module_bench.engine.clear_faults()
    module_bench.engine.reset()
    module_bench.engine.write_register(Offset.TIMEOUT, TIMEOUT)
    fresh(module_bench, step)
    yield module_bench


def fresh(bench: StepBench, step: WholeStep) -> None:
    bench.memory = step.memory.copy()
    bench.engine.attach(bench.memory)


def start(bench: StepBench, step: WholeStep) -> None:
    bench.start(step.program, step.tokens, step.position)


def check_run(bench: StepBench, step: WholeStep) -> None:
    fresh(bench, step)
    bench.engine.write_register(Offset.ERROR, 0x3F)
    start(bench, step)
    assert bench.finish() == DONE | PENDING
    assert bench.errors == set()
    assert (bench.memory == step.expected).all()
    assert [bench.read(ARG_MAX + 4 * lane) for lane in range(len(step.tokens))] == step.arg_max
    bench.read(Offset.COUNTERS)
    assert bench.read(COUNTERS_AT) == len(step.instructions)


def check_recovery(bench: StepBench, step: WholeStep, soft: bool) -> None:
    bench.engine.clear_faults()
    if soft:
        bench.soft_reset()
        assert bench.status == 0 and bench.read(Offset.ERROR) == 0
    check_run(bench, step)
    check_run(bench, step)


def places(step: WholeStep) -> dict[str, tuple[int, int]]:
    """Addresses that ports read, and the burst's in which they do."""
    burst, weights = 16 * 16, step.weights["weights"]
    channel = weights + step.weights["channel_stride"]
    piece = step.program + 5 * 256
    return {
        "program": (piece + 100, piece),
        "constants": (step.constants + 100, step.constants),
        "weights 0": (weights + 300, weights + burst),
        "weights 1": (channel + 5, channel),
        "keys": (step.cache[0] + 3, step.cache[0]),
    }


PLACES = ("program", "constants", "weights 0", "weights 1", "keys")


def test_runs_follow_each_other(bench: StepBench, step: WholeStep) -> None:
    check_run(bench, step)
    check_run(bench, step)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_read_response(bench: StepBench, step: WholeStep, place: str, soft: bool) -> None:
    address, burst = places(step)[place]
    bench.engine.plant(address, "slverr")
    start(bench, step)
    assert bench.finish() == FAILED
    assert bench.errors == {ErrorBit.READ_RESPONSE}
    assert bench.error_address == burst
    check_recovery(bench, step, soft)


@pytest.mark.parametrize("soft", [False, True])
def test_write_response(bench: StepBench, step: WholeStep, soft: bool) -> None:
    bench.engine.plant(step.logits + 16, "slverr", write=True)
    start(bench, step)
    assert bench.finish() == FAILED
    assert bench.errors == {ErrorBit.WRITE_RESPONSE}
    assert bench.error_address == step.logits + 16
    check_recovery(bench, step, soft)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("place", [*PLACES, "logits"])
@pytest.mark.parametrize("fault", ["no_response", "no_accept"])
def test_time_out(bench: StepBench, step: WholeStep, place: str, fault: str, soft: bool) -> None:
    """The memory answers after all once the fault is cleared; those answers are not taken for the next run's."""
    address, burst = (step.logits, step.logits) if place == "logits" else places(step)[place]
    bench.engine.plant(address, fault, write=place == "logits")
    start(bench, step)
    assert bench.finish() == FAILED
    assert bench.errors == {ErrorBit.TIME_OUT}
    assert bench.error_address == burst
    check_recovery(bench, step, soft)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("channel", [0, 1])
@pytest.mark.parametrize("which", ["weights", "head"])
def test_weight_crc(bench: StepBench, step: WholeStep, which: str, channel: int, soft: bool) -> None:
    fields = step.weights if which == "weights" else step.head
    segment = fields["weights"] + channel * fields["channel_stride"]
    bench.memory[segment + 33] ^= 4
    start(bench, step)
    assert bench.finish() == FAILED
    assert bench.errors == {ErrorBit.WEIGHT_CRC}
    assert bench.error_address == segment
    check_recovery(bench, step, soft)


@pytest.mark.parametrize("opcode", [Opcode.LOAD, Opcode.LINEAR, Opcode.SCORES, Opcode.END])
def test_bad_instruction(bench: StepBench, step: WholeStep, opcode: Opcode) -> None:
    index = [each.opcode for each in step.instructions].index(opcode)
    address = step.program + INSTRUCTION_BYTES * index
    bench.memory[address + 59] |= 0x80
    start(bench, step)
    assert bench.finish() == FAILED
    assert bench.errors == {ErrorBit.BAD_DESCRIPTOR}
    assert bench.error_address == address
    check_recovery(bench, step, soft=False)


@pytest.mark.parametrize(
    "tokens, position, shift", [((), 0, 0), ((1, 2, 3), 0, 0), ((1,), 40, 0), ((1,), 1 << 20, 0), ((1,), 0, 32)]
)
def test_bad_run(bench: StepBench, step: WholeStep, tokens: tuple[int, ...], position: int, shift: int) -> None:
    bench.start(step.program + shift, tokens, position)
    assert bench.finish() == FAILED
    assert bench.errors == {ErrorBit.BAD_DESCRIPTOR}
    assert bench.error_address == step.program + shift
    assert (bench.memory == step.memory).all()
    check_recovery(bench, step, soft=False)


def test_token_beyond_the_table(bench: StepBench, step: WholeStep) -> None:
    bench.start(step.program, (3, 40), 21)
    assert bench.finish() == FAILED
    assert bench.errors == {ErrorBit.BAD_DESCRIPTOR}
    assert bench.error_address == step.program + 2 * INSTRUCTION_BYTES
    check_recovery(bench, step, soft=False)


@pytest.mark.parametrize("cycles", [3, 40, 150, 400, 700, 1000, 1500, 2000])
def test_soft_reset_at_any_time(bench: StepBench, step: WholeStep, cycles: int) -> None:
    start(bench, step)
    bench.engine.step(cycles)
    assert bench.status & BUSY
    bench.soft_reset()
    assert bench.status == 0
    check_recovery(bench, step, soft=False)
