"""Everything that can go wrong in a run: it stops, drains, says what and where; the next run is equal in every bit."""

import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from processor_bench import ProcessorBench, processor_bench
from register_bench import DONE, ERROR, PENDING

from elastix.compiler.processor.control_registers import Offset
from elastix.compiler.processor.fault_monitor import ErrorBit
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.runtime.memory_model import IDEAL

PARAMETERS = ProcessorParameters(
    beat=128, activation_bits=9, lanes=2, channels=2, max_tiles=20, max_burst=16, fifo_beats=32
)
BURST_BYTES = 16 * 16
TIMEOUT = 300


@pytest.fixture(scope="module", params=[IDEAL, IDEAL.with_pressure(5, 40)], ids=lambda model: model.name)
def module_bench(request: pytest.FixtureRequest) -> Iterator[ProcessorBench]:
    with processor_bench(PARAMETERS, request.param) as bench:
        yield bench


@pytest.fixture
def bench(module_bench: ProcessorBench) -> Iterator[ProcessorBench]:
    module_bench.engine.clear_faults()
    module_bench.engine.reset()
    module_bench.engine.write_register(Offset.TIMEOUT, TIMEOUT)
    module_bench.fresh()
    yield module_bench


def places(bench: ProcessorBench) -> dict[str, int]:
    """An address that each port reads, in the middle of what it reads there."""
    layer = bench.layer
    stride = layer.geometry.channel_stride
    return {
        "descriptor": layer.descriptor + 20,
        "activations": layer.x + 700,
        "weights 0": layer.weights + 1000,
        "weights 1": layer.weights + stride + 2000,
        "last of weights 1": layer.weights + stride + layer.geometry.segment_bytes(1) - 1,
    }


def burst_of(bench: ProcessorBench, address: int) -> int:
    """First address of the burst that reads `address`."""
    layer = bench.layer
    starts = [layer.descriptor, layer.x, layer.weights, layer.weights + layer.geometry.channel_stride]
    return max(max(start for start in starts if start <= address), address // BURST_BYTES * BURST_BYTES)


def check_recovery(bench: ProcessorBench, soft: bool) -> None:
    bench.engine.clear_faults()
    if soft:
        bench.soft_reset()
        assert bench.status == 0 and bench.read(Offset.ERROR) == 0
    bench.check_run()
    bench.check_run()


PLACES = ("descriptor", "activations", "weights 0", "weights 1", "last of weights 1")


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", ["slverr", "decerr"])
def test_read_response(bench: ProcessorBench, place: str, fault: str, soft: bool) -> None:
    address = places(bench)[place]
    bench.engine.plant(address, fault)
    bench.start()
    assert bench.finish() == ERROR | DONE | PENDING
    assert bench.errors == {ErrorBit.READ_RESPONSE}
    assert bench.error_address == burst_of(bench, address)
    check_recovery(bench, soft)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_write_response(bench: ProcessorBench, last: bool, soft: bool) -> None:
    layer = bench.layer
    size = layer.tokens * layer.geometry.result_bytes
    bench.engine.plant(layer.y + (size - 1 if last else 0), "slverr", write=True)
    bench.start()
    assert bench.finish() == ERROR | DONE | PENDING
    assert bench.errors == {ErrorBit.WRITE_RESPONSE}
    assert layer.y <= bench.error_address < layer.y + size
    assert last or bench.error_address == layer.y
    check_recovery(bench, soft)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("place", [*PLACES, "results"])
@pytest.mark.parametrize("fault", ["no_response", "no_accept"])
def test_time_out(bench: ProcessorBench, place: str, fault: str, soft: bool) -> None:
    """The memory answers after all once the fault is cleared; those answers are not taken for the next run's."""
    write = place == "results"
    address = bench.layer.y if write else places(bench)[place]
    bench.engine.plant(address, fault, write=write)
    bench.start()
    started = bench.engine.cycle
    assert bench.finish() == ERROR | DONE | PENDING
    # Once to notice, once to give up.
    assert bench.engine.cycle - started < 2 * TIMEOUT + 3000
    assert bench.errors == {ErrorBit.TIME_OUT}
    assert bench.error_address == (address if write else burst_of(bench, address))
    check_recovery(bench, soft)


def test_what_never_answers_stays_owed(bench: ProcessorBench) -> None:
    bench.engine.plant(bench.layer.weights, "no_response")
    for _ in range(2):
        bench.start()
        assert bench.finish() == ERROR | DONE | PENDING
        assert bench.errors == {ErrorBit.TIME_OUT}
        bench.soft_reset()
    bench.engine.clear_faults()
    bench.engine.reset()  # hard reset, the memory's too
    bench.check_run()


def test_without_a_time_out_it_waits_for_ever(bench: ProcessorBench) -> None:
    bench.engine.write_register(Offset.TIMEOUT, 0)
    bench.engine.plant(bench.layer.weights, "no_accept")
    bench.start()
    assert not bench.engine.step(5000)
    bench.engine.clear_faults()
    assert bench.finish() == DONE | PENDING
    assert (bench.memory == bench.expected).all()


def test_time_out_counts_only_without_progress(bench: ProcessorBench) -> None:
    bench.engine.write_register(Offset.TIMEOUT, 60)
    bench.check_run()


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("channel", [0, 1])
def test_weight_crc(bench: ProcessorBench, channel: int, soft: bool) -> None:
    layer = bench.layer
    segment = layer.weights + channel * layer.geometry.channel_stride
    for offset in (0, 777, layer.geometry.segment_bytes(channel) - 14):
        bench.fresh()[segment + offset] ^= 0x10
        bench.start()
        assert bench.finish() == ERROR | DONE | PENDING
        assert bench.errors == {ErrorBit.WEIGHT_CRC}
        assert bench.error_address == segment
        check_recovery(bench, soft)


WORDS = {
    "opcode": (0, 0xFF, 2),
    "no bits": (0, 0xFF00, 0),
    "nine bits": (0, 0xFF00, 9 << 8),
    "scale format": (0, 0xFF0000, 3 << 16),
    "no tokens": (0, 0xFF000000, 0),
    "more tokens than lanes": (0, 0xFF000000, 3 << 24),
    "no rows": (1, 0xFFFFFFFF, 0),
    "no tiles": (2, 0xFFFF, 0),
    "more tiles than fit": (2, 0xFFFF, 21),
    "no group": (2, 0xFFFF0000, 0),
    "too large a group": (2, 0xFFFF0000, 9 << 16),
    "unused bits": (3, 0x200, 0x200),
    "unaligned weights": (4, 15, 8),
    "weights beyond 40 bits": (5, 0x100, 0x100),
    "unaligned stride": (6, 1, 1),
    "unaligned activations": (8, 15, 4),
    "unaligned results": (10, 15, 8),
    "beats of a block": (12, 1, 1),
    "reserved word": (14, 1 << 31, 1 << 31),
}


@pytest.mark.parametrize("what", WORDS)
def test_bad_descriptor(bench: ProcessorBench, what: str) -> None:
    index, mask, value = WORDS[what]
    words = bench.fresh()[bench.layer.descriptor :][:64].view("<u4")
    words[index] = (int(words[index]) & ~mask) | value if what != "beats of a block" else int(words[index]) ^ 1
    words[15] = zlib.crc32(words[:15].tobytes())
    before = bench.memory.copy()
    bench.start()
    assert bench.finish() == ERROR | DONE | PENDING
    assert bench.errors == {ErrorBit.BAD_DESCRIPTOR}
    assert bench.error_address == bench.layer.descriptor
    assert (bench.memory == before).all()
    check_recovery(bench, soft=False)


def test_unaligned_descriptor(bench: ProcessorBench) -> None:
    bench.start(bench.layer.descriptor + 16)
    assert bench.finish() == ERROR | DONE | PENDING
    assert bench.errors == {ErrorBit.BAD_DESCRIPTOR}
    assert bench.error_address == bench.layer.descriptor + 16
    check_recovery(bench, soft=False)


def test_activations_of_too_many_bits(bench: ProcessorBench) -> None:
    memory = bench.fresh()
    at = bench.layer.x + 64 + 2 * 40
    memory[at : at + 2] = np.array([256], "<i2").view(np.uint8)
    bench.start()
    assert bench.finish() == ERROR | DONE | PENDING
    assert bench.errors == {ErrorBit.BAD_DESCRIPTOR}
    assert bench.error_address == bench.layer.x
    check_recovery(bench, soft=False)


def test_errors_stick_until_cleared(bench: ProcessorBench) -> None:
    bench.engine.plant(bench.layer.weights, "slverr")
    bench.start()
    bench.finish()
    bench.engine.clear_faults()
    bench.fresh()
    bench.start()
    assert bench.finish() == ERROR | DONE | PENDING  # the first run's error
    assert (bench.memory == bench.expected).all()
    assert bench.errors == {ErrorBit.READ_RESPONSE}
    check_recovery(bench, soft=False)
