"""The harness against a scripted master: data arrive, faults are delivered, each broken rule is an error."""

import re
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scripted_master import INTERFACE, Pins, Script, ScriptedMaster, acknowledge, ask, give, send, take

from elastix.compiler.errors import ElastixError
from elastix.runtime.memory_model import DDR3_1600_X16, IDEAL, MemoryModel
from elastix.runtime.simulate import Engine

MODELS = (IDEAL, DDR3_1600_X16, IDEAL.with_pressure(1), DDR3_1600_X16.with_pressure(2))


def launch(script: Script, memory: NDArray[np.uint8], model: MemoryModel = IDEAL) -> Engine:
    master = ScriptedMaster(script)
    engine = Engine(master.circuit(), INTERFACE, model, max_cycles=20_000)
    engine.run(memory, 0)
    return engine


def fresh(size: int = 16384) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, size, np.uint8)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_reads_and_writes_arrive(model: MemoryModel) -> None:
    memory = fresh()
    before = memory.copy()
    values: list[int] = []
    weights: list[int] = []
    answers: list[int] = []

    def script(pins: Pins) -> Iterator[None]:
        yield from ask(pins, "m_axi_io", 4096, 16)
        yield from ask(pins, "m_axi_io", 8192 - 8, 1)
        yield from take(pins, "m_axi_io", 17, values)
        yield from ask(pins, "m_axi_w0", 256, 4)
        yield from take(pins, "m_axi_w0", 4, weights)
        yield from ask(pins, "m_axi_io", 512, 3, "aw")
        yield from give(pins, values[:3], strobe=0b1010_0101)
        yield from acknowledge(pins, answers)

    launch(script, memory, model)
    assert values[:16] == before[4096:4224].view("<u8").tolist()
    assert values[16] == int(before[8184:8192].view("<u8")[0])
    assert weights == before[256:288].view("<u8").tolist()
    assert answers == [0]
    strobed = np.array([1, 0, 1, 0, 0, 1, 0, 1] * 3, bool)
    assert (memory[512:536][strobed] == before[4096:4120][strobed]).all()
    assert (memory[512:536][~strobed] == before[512:536][~strobed]).all()
    memory[512:536] = before[512:536]
    assert (memory == before).all()


def _unstable_address(pins: Pins) -> Iterator[None]:
    # The 33rd burst finds the slave full, so that valid has to wait.
    for index in range(IDEAL.outstanding):
        yield from ask(pins, "m_axi_io", index * 8, 1)
    pins["m_axi_io_arvalid"] = 1
    yield
    pins["m_axi_io_araddr"] = 64
    yield


def _fallen_valid(pins: Pins) -> Iterator[None]:
    for index in range(IDEAL.outstanding):
        yield from ask(pins, "m_axi_io", index * 8, 1)
    pins["m_axi_io_arvalid"] = 1
    yield
    pins["m_axi_io_arvalid"] = 0
    yield


def _unstable_data(pins: Pins) -> Iterator[None]:
    pins["m_axi_io_wvalid"] = 1
    yield
    pins["m_axi_io_wdata"] = 1
    yield


def _unstable_strobe(pins: Pins) -> Iterator[None]:
    pins["m_axi_io_wvalid"] = 1
    yield
    pins["m_axi_io_wstrb"] = 1
    yield


def _early_last(pins: Pins) -> Iterator[None]:
    yield from ask(pins, "m_axi_io", 0, 2, "aw")
    yield from give(pins, [1, 2], last=lambda index: index == 0)


def _late_last(pins: Pins) -> Iterator[None]:
    yield from ask(pins, "m_axi_io", 0, 2, "aw")
    yield from give(pins, [1, 2], last=lambda index: False)


def _answer_without_write(pins: Pins) -> Iterator[None]:
    for _ in range(8):  # until the answer to the start itself is over
        yield
    pins["s_axil_bvalid"] = 1
    yield
    yield


VIOLATIONS: dict[str, tuple[Script, str]] = {
    "4 KB": (lambda pins: ask(pins, "m_axi_io", 4096 - 8, 2), "m_axi_io_ar .*burst of 16 bytes at 0xff8 crosses 4 KB"),
    "4 KB write": (lambda pins: ask(pins, "m_axi_io", 4096 - 8, 2, "aw"), "m_axi_io_aw .*crosses 4 KB"),
    "length": (lambda pins: ask(pins, "m_axi_w0", 0, 17), "m_axi_w0_ar .*17 beats, at most 16"),
    "size": (lambda pins: ask(pins, "m_axi_w0", 0, 1, size=2), r"size 2, wanted 3 \(8 bytes\)"),
    "burst": (lambda pins: ask(pins, "m_axi_w0", 0, 1, burst=0), r"burst type 0, wanted 1 \(INCR\)"),
    "alignment": (lambda pins: ask(pins, "m_axi_w0", 4, 1), "0x4 is no multiple of the beat"),
    "address changes": (_unstable_address, "address or length changed while valid waited"),
    "valid falls": (_fallen_valid, "m_axi_io_ar .*valid fell before ready"),
    "data change": (_unstable_data, "m_axi_io_w .*data, strobes or last changed"),
    "strobes change": (_unstable_strobe, "m_axi_io_w .*data, strobes or last changed"),
    "early last": (_early_last, "last is 1 at beat 1 of 2"),
    "late last": (_late_last, "last is 0 at beat 2 of 2"),
    "register answer": (_answer_without_write, "s_axil .*bvalid without a complete write"),
}


@pytest.mark.parametrize("rule", VIOLATIONS)
def test_violations_are_errors(rule: str) -> None:
    script, message = VIOLATIONS[rule]
    with pytest.raises(ElastixError, match=f"AXI violation on .*{message}") as caught:
        launch(script, fresh())
    assert re.search(r"in cycle \d+:", str(caught.value))


@pytest.mark.parametrize("fault, response", [("slverr", 2), ("decerr", 3)])
def test_error_responses_come_at_their_beat(fault: str, response: int) -> None:
    memory = fresh()
    values: list[int] = []
    responses: list[int] = []
    answers: list[int] = []

    def script(pins: Pins) -> Iterator[None]:
        yield from ask(pins, "m_axi_io", 0, 4)
        yield from take(pins, "m_axi_io", 4, values, responses)
        yield from ask(pins, "m_axi_io", 64, 2, "aw")
        yield from give(pins, [7, 8])
        yield from acknowledge(pins, answers)
        yield from ask(pins, "m_axi_io", memory.size - 8, 1, "aw")
        yield from give(pins, [9])
        yield from acknowledge(pins, answers)

    before = memory.copy()
    with Engine(ScriptedMaster(script).circuit(), INTERFACE) as engine:
        engine.plant(17, fault)
        engine.plant(72, fault, write=True)
        engine.run(memory, 0)
    assert responses == [0, 0, response, 0]
    assert values[2] != int(before[16:24].view("<u8")[0])
    assert answers == [response, 0]
    assert memory[64] == 7
    assert (memory[72:80] == before[72:80]).all()


def test_addresses_beyond_the_memory_are_decode_errors() -> None:
    memory = fresh()
    responses: list[int] = []

    def script(pins: Pins) -> Iterator[None]:
        yield from ask(pins, "m_axi_w0", memory.size - 8, 1)
        yield from ask(pins, "m_axi_w0", memory.size, 1)
        yield from take(pins, "m_axi_w0", 2, [], responses)

    launch(script, memory)
    assert responses == [0, 3]


@pytest.mark.parametrize("fault", ["no_response", "no_accept"])
def test_a_slave_that_never_answers_ends_at_the_bound(fault: str) -> None:
    def script(pins: Pins) -> Iterator[None]:
        yield from ask(pins, "m_axi_w0", 0, 4)
        yield from take(pins, "m_axi_w0", 4, [])

    with Engine(ScriptedMaster(script).circuit(), INTERFACE, max_cycles=1000) as engine:
        engine.plant(24, fault)
        with pytest.raises(
            ElastixError, match=r"did not finish in 1000 cycles; cycle .*m_axi_w0 read: . bursts outstanding"
        ):
            engine.run(fresh(), 0)
        engine.clear_faults()
        engine.run(fresh(), 0)


def test_writes_wait_in_the_controller_for_an_idle_bus_or_a_full_queue() -> None:
    def script(writes: int, then_read: bool) -> Script:
        def play(pins: Pins) -> Iterator[None]:
            for index in range(writes):
                yield from ask(pins, "m_axi_io", 16 * index, 2, "aw")
                yield from give(pins, [1, 2])
                yield from acknowledge(pins, [])
            if then_read:
                for _ in range(200):
                    yield
                yield from ask(pins, "m_axi_w0", 0, 2)
                yield from take(pins, "m_axi_w0", 2, [])

        return play

    queue = DDR3_1600_X16.write_queue
    assert launch(script(queue - 1, False), fresh(), DDR3_1600_X16).dram["accesses"] == 0
    assert launch(script(queue, False), fresh(), DDR3_1600_X16).dram["accesses"] == queue
    assert launch(script(3, True), fresh(), DDR3_1600_X16).dram["accesses"] == 4


def test_the_same_seed_gives_the_same_cycles() -> None:
    def script(pins: Pins) -> Iterator[None]:
        yield from ask(pins, "m_axi_w0", 0, 16)
        yield from take(pins, "m_axi_w0", 16, [])
        yield from send(pins, "m_axi_io", "arvalid", "arready", araddr=0, arlen=0, arsize=3, arburst=1)

    cycles = [
        launch(script, fresh(), model).counters.pin_cycles
        for model in (MODELS[2], MODELS[2], IDEAL.with_pressure(3), IDEAL)
    ]
    assert cycles[0] == cycles[1]
    assert len(set(cycles)) == 3
    assert cycles[3] < min(cycles[:3])


def test_a_missing_port_is_named() -> None:
    circuit = ScriptedMaster(lambda pins: iter(())).circuit()
    del circuit.ports["m_axi_w0_rlast"]
    with pytest.raises(ElastixError, match="no port m_axi_w0_rlast"):
        Engine(circuit, INTERFACE)


def test_a_closed_engine_says_so() -> None:
    engine = Engine(ScriptedMaster(lambda pins: iter(())).circuit(), INTERFACE)
    engine.close()
    with pytest.raises(ElastixError, match="closed engine"):
        engine.run(fresh(), 0)
