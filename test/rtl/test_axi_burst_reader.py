"""burst_reader: the right beats in order, bursts by the rules, no more than there is room for, faults, cancels."""

from functools import cache
from random import Random

import pytest
from axi_model import DECERR, SLVERR, Bench, Part, ReadSlave
from simulated import Simulated

from elastix.compiler.processor.burst_reader import burst_reader, io_reader_shape, weight_reader_shape

BEAT = 64
BYTES = BEAT // 8


def word_at(address: int) -> int:
    return (address * 0x9E3779B97F4A7C15 + 0x1234567) % (1 << BEAT)


@cache
def simulated(max_burst: int, fifo_beats: int, io: bool = False) -> Simulated:
    shape = (io_reader_shape if io else weight_reader_shape)(BEAT, max_burst, fifo_beats)
    return Simulated(burst_reader(shape))


class Taker(Part):
    """Takes the stream, with pauses, and records it."""

    def __init__(self, bench: "ReaderBench") -> None:
        self.bench, self.random, self.pressure = bench, Random(3), 0.0
        self.words: list[tuple[int, int]] = []
        self.gaps = 0

    def drive(self) -> None:
        self.bench.dut.set(ready=int(self.random.random() >= self.pressure))

    def sample(self) -> None:
        dut, slave = self.bench.dut, self.bench.slave
        ready = dut.get("ready")
        if dut.get("valid") and ready:
            self.words.append((dut.get("data"), dut.get("last")))
        elif ready and self.words and not self.words[-1][1]:
            self.gaps += 1
        asked = sum(count for _, count in slave.bursts) - self.bench.cancelled_beats
        assert asked - len(self.words) <= self.bench.fifo_beats


class ReaderBench(Bench):
    def __init__(self, max_burst: int = 16, fifo_beats: int = 64, *, latency: int = 3, pressure: float = 0.0) -> None:
        super().__init__(simulated(max_burst, fifo_beats))
        self.fifo_beats, self.cancelled_beats = fifo_beats, 0
        self.slave = ReadSlave(self.dut, word_at, beat=BEAT, max_burst=max_burst, latency=latency)
        self.taker = Taker(self)
        self.slave.pressure = self.taker.pressure = pressure
        self.parts = [self.slave, self.taker]
        self.dut.set(start=0, cancel=0, timeout=0)
        self.dut.reset()

    def start(self, address: int, beats: int, blocks: int, block_beats: int) -> list[tuple[int, int]]:
        """Begin a request; returns what should come."""
        self.taker.words.clear()
        self.pulse("start", address=address // BYTES, beats=beats, blocks=blocks, block_beats=block_beats)
        count = beats + blocks * block_beats
        return [(word_at(address + i * BYTES), int(i == count - 1)) for i in range(count)]

    def until_idle(self, limit: int = 20000) -> None:
        """Until nothing is awaited and the FIFO is empty, whose words take three cycles to appear."""
        quiet = 0
        for _ in range(limit):
            self.cycle()
            quiet = quiet + 1 if self.dut.get("idle") and not self.dut.get("valid") else 0
            if quiet == 5:
                return
        raise AssertionError("the reader does not become idle")

    def until(self, name: str, limit: int = 2000) -> int:
        for cycle in range(limit):
            self.cycle()
            if self.dut.get(name):
                return cycle
        raise AssertionError(f"no {name}")


@pytest.mark.parametrize("max_burst,fifo_beats", [(1, 2), (16, 16), (16, 64), (256, 512)])
@pytest.mark.parametrize("pressure", [0.0, 0.5])
def test_reads_what_is_asked_for(max_burst: int, fifo_beats: int, pressure: float) -> None:
    random = Random(max_burst)
    bench = ReaderBench(max_burst, fifo_beats, pressure=pressure)
    for _ in range(6):
        bench.slave.latency, bench.slave.bursts = random.randrange(1, 40), []
        address = random.randrange(1 << 20) * BYTES
        wanted = bench.start(address, random.randrange(1, 3), random.randrange(40), random.randrange(3, 20))
        bench.until_idle()
        assert bench.taker.words == wanted
        at = address
        for start, count in bench.slave.bursts:
            assert start == at
            at += count * BYTES
        assert at == address + len(wanted) * BYTES


def test_bursts_are_as_long_as_they_may_be() -> None:
    bench = ReaderBench(16, 64)
    bench.start(3 * BYTES, 100, 0, 0)
    bench.until_idle()
    assert [count for _, count in bench.slave.bursts] == [13, 16, 16, 16, 16, 16, 7]


@pytest.mark.parametrize("max_burst,fifo_beats", [(16, 64), (16, 256), (64, 256)])
def test_the_stream_never_starves_while_the_fifo_covers_latency_and_burst(max_burst: int, fifo_beats: int) -> None:
    bench = ReaderBench(max_burst, fifo_beats, latency=fifo_beats - max_burst - 6)
    wanted = bench.start(0, 1, 200, 7)
    bench.until_idle()
    assert bench.taker.words == wanted
    assert bench.taker.gaps == 0


@pytest.mark.parametrize("seed", range(20))
def test_a_cancelled_request_leaves_nothing_behind(seed: int) -> None:
    random = Random(seed)
    bench = ReaderBench(16, 64, latency=random.choice((1, 30, 200)), pressure=random.choice((0.0, 0.5)))
    for _ in range(4):
        wanted = bench.start(random.randrange(1 << 16) * BYTES, 1, 30, 9)
        for _ in range(random.randrange(150)):
            bench.cycle()
        assert bench.taker.words == wanted[: len(bench.taker.words)]
        bench.pulse("cancel")
        bench.cycle()
        assert not bench.dut.get("valid")
        if random.random() < 0.7:  # else the next request begins while the old one is still owed
            bench.until_idle()
            assert not bench.slave.beats
        # What the slave was asked for counts no longer, but for a burst that it has not taken yet.
        pending = bench.dut.get("arlen") + 1 if bench.dut.get("arvalid") else 0
        bench.cancelled_beats = sum(count for _, count in bench.slave.bursts) + pending
        wanted = bench.start(random.randrange(1 << 16) * BYTES, 1, 5, 9)
        bench.until_idle()
        assert bench.taker.words == wanted
        bench.cancelled_beats += len(wanted)


@pytest.mark.parametrize("response", [SLVERR, DECERR, 1])
def test_a_response_other_than_okay_is_a_fault_of_its_burst(response: int) -> None:
    bench = ReaderBench(16, 64)
    bench.slave.responses[0x2000 + 37 * BYTES] = response
    bench.start(0x2000, 100, 0, 0)
    bench.until("fault")
    assert bench.dut.get("fault_address") == 0x2000 + 32 * BYTES
    bench.pulse("cancel")
    bench.until_idle()
    bench.cancelled_beats = sum(count for _, count in bench.slave.bursts)
    bench.slave.responses.clear()
    wanted = bench.start(0x5000, 10, 0, 0)
    bench.until_idle()
    assert bench.taker.words == wanted


@pytest.mark.parametrize("beat", [5, 15, 99])
def test_a_misplaced_last_is_a_fault(beat: int) -> None:
    bench = ReaderBench(16, 64)
    bench.slave.misplaced_last.add(beat * BYTES)
    bench.start(0, 100, 0, 0)
    bench.until("fault")
    assert bench.dut.get("fault_address") == beat // 16 * 16 * BYTES


def test_silence_is_noticed_after_the_timeout_and_only_then() -> None:
    bench = ReaderBench(16, 64, latency=40)
    bench.dut.set(timeout=50)
    wanted = bench.start(0, 200, 0, 0)
    while len(bench.taker.words) < len(wanted):
        bench.cycle()
        assert not bench.dut.get("stuck")
    assert bench.taker.words == wanted

    bench.slave.silent_from = 0x1000 + 20 * BYTES
    bench.cancelled_beats += 200
    bench.start(0x1000, 100, 0, 0)
    while bench.slave.delivered < 200 + 20:
        bench.cycle()
        assert not bench.dut.get("stuck")
    assert 50 <= bench.until("stuck") <= 54
    assert bench.dut.get("fault_address") == 0x1000 + 16 * BYTES
    assert 50 <= bench.until("stuck") <= 54

    # Late beats go nowhere, and the next request waits for them.
    bench.pulse("cancel")
    asked = sum(count for _, count in bench.slave.bursts)
    bench.cancelled_beats = asked
    wanted = bench.start(0x3000, 50, 0, 0)
    for _ in range(20):
        bench.cycle()
    assert sum(count for _, count in bench.slave.bursts) == asked
    bench.slave.silent_from = None
    bench.until_idle()
    assert bench.taker.words == wanted


def test_a_deaf_slave_is_noticed_and_the_address_stays() -> None:
    bench = ReaderBench(16, 64)
    bench.dut.set(timeout=20)
    bench.slave.deaf = True
    bench.start(0x4000, 30, 0, 0)
    bench.until("stuck")
    assert bench.dut.get("fault_address") == 0x4000
    bench.pulse("cancel")
    for _ in range(30):
        bench.cycle()
    assert bench.dut.get("arvalid") and bench.dut.get("araddr") == 0x4000
    bench.slave.deaf = False
    bench.cancelled_beats = 16
    wanted = bench.start(0x8000, 30, 0, 0)
    bench.until_idle()
    assert bench.taker.words == wanted


def test_the_io_reader_hands_beats_on_at_once() -> None:
    dut = simulated(16, 16, io=True)
    bench = Bench(dut)
    slave = ReadSlave(dut, word_at, beat=BEAT, max_burst=16, latency=100)
    bench.parts = [slave]
    dut.set(start=0, cancel=0, timeout=0)
    dut.reset()
    bench.pulse("start", address=0x100, beats=0, blocks=3, block_beats=21)
    words = list[int]()
    for _ in range(2000):
        slave.drive()
        bench.dut.settle()
        if dut.get("valid"):
            words.append(dut.get("data"))
        slave.sample()
        dut.step()
    assert words == [word_at((0x100 + i) * BYTES) for i in range(63)]
    assert dut.get("idle")
