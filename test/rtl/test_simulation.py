"""The generated processor in both simulators against the oracle: every bit, and every cycle."""

import ctypes
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers import oracle
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.pack import Descriptor
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.runtime.device import Device
from elastix.runtime.memory_model import DDR3_1600_X16, DDR4_2400_X32, HBM2_CHANNEL, IDEAL, MemoryModel
from elastix.runtime.simulate import ArcEngine, Counters, ProcessorEngine, VerilatorEngine
from elastix.runtime.single_layer import SingleLayer, single_layer

SMALL = ProcessorParameters(beat=128, activation_bits=8, max_tiles=8, max_burst=16, fifo_beats=64)
LANES = ProcessorParameters(beat=64, activation_bits=12, lanes=4, channels=2, max_tiles=8, max_burst=16, fifo_beats=64)
USUAL = ProcessorParameters(beat=256, activation_bits=11, max_tiles=64)
WIDE = ProcessorParameters(beat=512, activation_bits=9, max_tiles=16)
FORMATS = (Format(1, 32), Format(4, 64, "s6", "half_step"), Format(8, 256), Format(3, 96, "s8c8", "asymmetric"))
CONTROL, STATUS, ERROR, TIMEOUT = 0x0C, 0x10, 0x1C, 0x28


def layer_for(p: ProcessorParameters, form: Format, rows: int, columns: int, seed: int = 0) -> SingleLayer:
    return single_layer(
        form,
        rows,
        columns,
        beat=p.beat,
        channels=p.channels,
        activation_bits=p.activation_bits,
        tokens=p.lanes,
        seed=seed,
    )


def expected(work: SingleLayer, p: ProcessorParameters) -> NDArray[np.uint8]:
    memory = work.memory.copy()
    oracle.run(memory, work.descriptor, p)
    assert work.results(memory).any() or work.geometry.rows == 1  # one weight may well be 0
    return memory


def shapes(p: ProcessorParameters) -> list[tuple[Format, int, int]]:
    return [(form, rows, columns) for form in FORMATS for rows, columns in ((3 * p.rows + 1, 8 * 32 - 5), (1, 1))]


@pytest.fixture(scope="module")
def engine() -> Iterator[ArcEngine]:
    with ArcEngine(SMALL) as engine:
        yield engine


def launched(engine: ProcessorEngine, work: SingleLayer) -> NDArray[np.uint8]:
    memory = work.memory.copy()
    engine.run(memory, work.descriptor)
    return memory


BOTH = (ArcEngine, VerilatorEngine)


@pytest.mark.parametrize(
    "p, kinds",
    [(SMALL, BOTH), (LANES, BOTH), (USUAL, BOTH), (WIDE, (ArcEngine,))],
    ids=["D128", "D64-M4-C2", "D256", "D512"],
)
def test_every_bit_and_every_cycle(p: ProcessorParameters, kinds: tuple[type[ProcessorEngine], ...]) -> None:
    work = [layer_for(p, *shape) for shape in shapes(p)]
    wanted = [expected(one, p) for one in work]
    for model in (IDEAL, DDR3_1600_X16, HBM2_CHANNEL, DDR4_2400_X32.with_pressure(3)):
        counters: list[Counters] = []
        for kind in kinds:
            with kind(p, model) as engine:
                for one, memory in zip(work, wanted, strict=True):
                    assert (launched(engine, one) == memory).all(), (kind, model.name, one.geometry)
                    counters.append(replace(engine.counters, seconds=0))
        if len(kinds) == 2:
            assert counters[: len(work)] == counters[len(work) :], model.name


@pytest.mark.parametrize("p", [SMALL, LANES, USUAL, WIDE], ids=["D128", "D64-M4-C2", "D256", "D512"])
def test_random_layers_in_random_timing(p: ProcessorParameters) -> None:
    random = np.random.default_rng(p.beat)
    with ArcEngine(p, DDR4_2400_X32.with_pressure(p.beat, 25)) as engine:
        for seed in range(25):
            scale = ("s8", "s6", "s8c8")[random.integers(3)]
            zero = "asymmetric" if scale == "s8c8" else ("symmetric", "half_step")[random.integers(2)]
            form = Format(int(random.integers(1, 9)), 32 * int(random.integers(1, 9)), scale, zero)
            rows, columns = int(random.integers(1, 5 * p.rows)), int(random.integers(1, 32 * min(p.max_tiles, 20) + 1))
            work = layer_for(p, form, rows, columns, seed)
            assert (launched(engine, work) == expected(work, p)).all(), (form, rows, columns)


@pytest.mark.parametrize("kind", BOTH, ids=["rtl", "verilator"])
def test_a_device_launches_on_it(kind: type[ProcessorEngine]) -> None:
    # More tokens than lanes: batches of 4, 4 and 1, through the descriptor that the device patches.
    work = layer_for(LANES, Format(4, 64), 30, 200)
    x = np.random.default_rng(3).normal(size=(9, 200)).astype(np.float32)
    results: list[NDArray[np.float32]] = []
    end = -(-work.memory.size // 4096) * 4096
    y_address = end + 64 * 1024
    descriptor = replace(Descriptor.decode(work.memory[:64].tobytes()), x=end, y=y_address, tokens=1)
    with kind(LANES, HBM2_CHANNEL) as engine:
        for chosen in (None, engine):
            device = Device(LANES, y_address + 64 * 1024, y_address + 63 * 1024, chosen)
            device.load(0, work.memory)
            device.load(0, descriptor.encode())
            device.quantize(x, end)
            device.launch(0, 9)
            results.append(device.read_back(y_address, 9, 30))
        assert engine.launches == 3
        assert engine.total.beats == 3 * sum(work.geometry.segment_beats(c) for c in range(2))
    assert results[0].any()
    assert (results[0].view("<u4") == results[1].view("<u4")).all()


@pytest.mark.parametrize("model", [IDEAL, DDR3_1600_X16], ids=lambda model: model.name)
def test_random_timing_changes_no_bit(model: MemoryModel) -> None:
    work = layer_for(SMALL, Format(2, 32), 33, 250)
    wanted = expected(work, SMALL)
    cycles = set[int]()
    for seed in range(6):
        with ArcEngine(SMALL, model.with_pressure(seed, 15 * seed)) as engine:
            assert (launched(engine, work) == wanted).all()
            cycles.add(engine.counters.cycles)
    assert len(cycles) == 6


def test_no_output_depends_on_an_input_of_the_same_cycle() -> None:
    work = layer_for(LANES, Format(3, 64), 20, 200)
    with ArcEngine(LANES, DDR3_1600_X16.with_pressure(1), check_settled=True) as engine:
        assert (launched(engine, work) == expected(work, LANES)).all()


def test_the_registers_count_what_the_pins_show(engine: ArcEngine) -> None:
    work = layer_for(SMALL, Format(5, 64), 100, 256)
    launched(engine, work)
    seen = engine.counters
    assert seen.beats == seen.pin_beats == work.geometry.segment_beats()
    assert seen.stall_output == 0
    assert 0 < seen.busy <= seen.cycles <= seen.pin_cycles
    # The engine takes its first beat when activations are there; until then beats wait in the FIFO.
    assert 0 <= seen.pin_busy - seen.busy <= seen.stall_load + 4
    assert not seen.overflow


def faulty(engine: ArcEngine, work: SingleLayer, message: str, memory: NDArray[np.uint8] | None = None) -> None:
    """The launch fails with the message, and the next one without the fault is right."""
    with pytest.raises(ElastixError, match=message):
        engine.run(work.memory.copy() if memory is None else memory, work.descriptor)
    engine.clear_faults()
    assert (launched(engine, work) == expected(work, SMALL)).all()
    assert engine.counters.error == 0


@pytest.mark.parametrize("fault", ["slverr", "decerr"])
@pytest.mark.parametrize("where", ["descriptor", "x", "weights"])
def test_a_read_error_stops_with_its_address(engine: ArcEngine, fault: str, where: str) -> None:
    work = layer_for(SMALL, Format(4, 64), 40, 256)
    address = getattr(work, where) + (1000 if where == "weights" else 8)
    engine.plant(address, fault)
    faulty(engine, work, "read response .*first at address 0x")


def test_the_address_of_an_error_is_its_burst(engine: ArcEngine) -> None:
    work = layer_for(SMALL, Format(4, 64), 40, 256)
    engine.plant(work.weights + 1000, "slverr")
    with pytest.raises(ElastixError):
        engine.run(work.memory.copy(), work.descriptor)
    assert engine.counters.error == 1
    burst = SMALL.max_burst * SMALL.beat // 8
    assert (work.weights + 1000) // burst * burst <= engine.counters.error_address <= work.weights + 1000
    engine.clear_faults()


@pytest.mark.parametrize("fault", ["slverr", "decerr"])
def test_a_write_error_stops(engine: ArcEngine, fault: str) -> None:
    work = layer_for(SMALL, Format(4, 64), 40, 256)
    engine.plant(work.y + 16, fault, write=True)
    faulty(engine, work, "write response")


def test_a_flipped_bit_is_a_wrong_crc(engine: ArcEngine) -> None:
    work = layer_for(SMALL, Format(4, 64), 40, 256)
    memory = work.memory.copy()
    memory[work.weights + 777] ^= 4
    faulty(engine, work, "weight CRC", memory)


def test_bad_descriptors_are_refused(engine: ArcEngine) -> None:
    work = layer_for(SMALL, Format(4, 64), 40, 256)
    for byte, value in ((0, 7), (1, 0), (1, 9), (3, 0), (3, 2), (8, 0), (8, 9)):
        memory = work.memory.copy()
        memory[work.descriptor + byte] = value
        faulty(engine, work, "bad descriptor", memory)


@pytest.mark.parametrize("fault", ["no_response", "no_accept"])
@pytest.mark.parametrize("write", [False, True])
def test_a_silent_slave_is_a_time_out(fault: str, write: bool) -> None:
    work = layer_for(SMALL, Format(4, 64), 40, 256)
    with ArcEngine(SMALL) as engine:
        engine.attach(work.memory.copy())
        engine.reset()
        engine.write_register(TIMEOUT, 500)
        engine.plant(work.y + 16 if write else work.weights + 1000, fault, write=write)
        engine.write_register(0x14, work.descriptor)
        engine.write_register(CONTROL, 1 | 4)
        assert not engine.step(400)
        # The run ends when what is outstanding has been answered: a slave that stays silent keeps it busy.
        engine.step(3000)
        assert engine.read_register(ERROR) == 4
        engine.clear_faults()
        engine.step(3000)
        assert engine.read_register(STATUS) & 1 == 0
        engine.write_register(CONTROL, 2)
        engine.step(200)
        assert engine.read_register(STATUS) & 15 == 0
        assert (launched(engine, work) == expected(work, SMALL)).all()


@pytest.mark.parametrize("model", [IDEAL, DDR3_1600_X16], ids=lambda model: model.name)
def test_soft_reset_at_any_time(model: MemoryModel) -> None:
    work = layer_for(SMALL, Format(4, 64), 40, 256)
    wanted = expected(work, SMALL)
    with ArcEngine(SMALL, model) as engine:
        launched(engine, work)
        whole = engine.counters.cycles
        for moment in range(1, whole, whole // 25):
            engine.attach(work.memory.copy())
            engine.write_register(0x14, work.descriptor)
            engine.write_register(CONTROL, 1)
            engine.step(moment)
            engine.write_register(CONTROL, 2)
            for _ in range(1000):
                if not engine.read_register(STATUS) & 8:
                    break
            assert engine.read_register(STATUS) == 0
            assert engine.read_register(0x14) == work.descriptor
            assert (launched(engine, work) == wanted).all(), moment


def test_the_bound_on_cycles_names_the_state() -> None:
    work = layer_for(SMALL, Format(8, 64), 100, 256)
    message = r"did not finish in 200 cycles; cycle \d+; STATUS 1; m_axi_w0 read: "
    with ArcEngine(SMALL, max_cycles=200) as engine, pytest.raises(ElastixError, match=message):
        engine.run(work.memory.copy(), work.descriptor)


def test_host_code_launches_through_the_c_structure(engine: ArcEngine) -> None:
    work = layer_for(SMALL, Format(6, 32), 17, 250)
    memory = work.memory.copy()
    address, size = memory.ctypes.data, memory.size
    run_type = ctypes.CFUNCTYPE(
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_uint64,
        ctypes.c_uint64,
        ctypes.c_char_p,
        ctypes.c_size_t,
    )
    instance, entry = (ctypes.c_void_p * 2).from_address(engine.address)
    assert entry is not None
    message = ctypes.create_string_buffer(200)
    assert run_type(entry)(instance, address, size, work.descriptor, message, 200) == 0
    assert (memory == expected(work, SMALL)).all()
    memory[work.weights + 5] ^= 1
    assert run_type(entry)(instance, address, size, work.descriptor, message, 200) != 0
    assert b"weight CRC" in message.value
