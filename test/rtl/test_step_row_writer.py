"""Rows and logits as bytes in memory: random arrival and responses, strobes, errors, cancels."""

from collections import deque
from functools import cache
from random import Random

import pytest
from axi_model import PAGE, SLVERR, Bench, Part, WriteSlave
from simulated import Simulated

from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.row_writer import SOURCES, row_writer

BEAT = 128
BYTES = BEAT // 8
UNTOUCHED = 0xEE


@cache
def simulated() -> Simulated:
    return Simulated(row_writer(StepParameters(beat=BEAT)))


class Source(Part):
    """Beats in order, (beat address, data, strobe), each offered until it is taken."""

    def __init__(self, dut: Simulated, name: str) -> None:
        self.dut, self.name, self.random, self.pressure = dut, name, Random(name), 0.4
        self.beats, self.offered = deque[tuple[int, int, int]](), False

    def drive(self) -> None:
        self.offered = bool(self.beats) and (self.offered or self.random.random() >= self.pressure)
        self.dut.set(**{f"{self.name}_valid": int(self.offered)})
        if self.offered:
            beat, data, strobe = self.beats[0]
            self.dut.set(**{f"{self.name}_beat": beat, f"{self.name}_data": data, f"{self.name}_strobe": strobe})

    def sample(self) -> None:
        if self.offered and self.dut.get(f"{self.name}_ready"):
            self.beats.popleft()
            self.offered = False


class WriterBench(Bench):
    def __init__(self, pressure: float = 0.3) -> None:
        super().__init__(simulated())
        self.memory = bytearray([UNTOUCHED]) * (4 * PAGE)
        self.slave = WriteSlave(self.dut, self.memory, beat=BEAT, max_burst=1)
        self.slave.pressure = pressure
        self.sources = [Source(self.dut, name) for name in SOURCES]
        self.parts = [self.slave, *self.sources]
        self.dut.set(cancel=0, timeout=0, rows_pending=0, **{f"{name}_valid": 0 for name in SOURCES})
        self.dut.reset()
        self.random = Random(5)

    def give(self, count: int) -> dict[int, int]:
        """`count` beats of each source, the rows in the lower half of memory; returns every byte that they write."""
        wanted = dict[int, int]()
        for number, source in enumerate(self.sources):
            for _ in range(count):
                beat = self.random.randrange(2 * PAGE // BYTES) + number * 2 * PAGE // BYTES
                data, strobe = self.random.getrandbits(BEAT), self.random.getrandbits(BYTES)
                source.beats.append((beat, data, strobe))
                for byte in range(BYTES):
                    if strobe >> byte & 1:
                        wanted[beat * BYTES + byte] = data >> 8 * byte & 255
        return wanted

    def until(self, name: str, limit: int = 20000) -> None:
        for _ in range(limit):
            self.cycle()
            if self.dut.get(name):
                return
        raise AssertionError(f"no {name}")

    def until_given(self) -> None:
        while any(source.beats for source in self.sources):
            self.cycle()

    def check(self, wanted: dict[int, int]) -> None:
        assert self.memory == bytes(wanted.get(at, UNTOUCHED) for at in range(len(self.memory)))


@pytest.mark.parametrize("pressure", [0.0, 0.3, 0.8])
def test_every_strobed_byte_is_written_and_no_other(pressure: float) -> None:
    bench = WriterBench(pressure)
    wanted = bench.give(60)
    bench.until_given()
    bench.until("written")
    assert bench.slave.quiet
    bench.check(wanted)


def test_written_waits_for_responses_and_for_rows_to_come() -> None:
    bench = WriterBench(0.0)
    bench.cycle()
    assert bench.dut.get("written") and bench.dut.get("idle")
    bench.cycle(rows_pending=1)
    assert not bench.dut.get("written") and bench.dut.get("idle")
    bench.dut.set(rows_pending=0)
    bench.slave.silent = True
    bench.give(3)
    bench.until_given()
    for _ in range(100):
        bench.cycle()
        assert not bench.dut.get("written") and not bench.dut.get("idle")
    bench.slave.silent = False
    bench.until("written")


def test_a_wrong_response_is_told_with_its_address() -> None:
    bench = WriterBench()
    bench.give(10)
    beat = bench.sources[1].beats[4][0]
    bench.slave.responses[beat * BYTES] = SLVERR
    bench.until("fault")
    assert bench.dut.get("fault_address") == beat * BYTES


def test_a_slave_that_does_not_answer_is_told() -> None:
    bench = WriterBench(0.0)
    bench.dut.set(timeout=50)
    bench.slave.silent = True
    bench.give(1)
    bench.until("stuck", 300)


@pytest.mark.parametrize("cycles", range(2, 22))
def test_cancel_ends_what_has_begun_and_forgets_the_rest(cycles: int) -> None:
    bench = WriterBench(0.3)
    first = bench.give(8)
    for _ in range(cycles):
        bench.cycle()
    for source in bench.sources:
        source.beats.clear()
        source.offered = False
    bench.pulse("cancel")
    bench.until("idle")
    for _ in range(20):
        bench.cycle()
    assert bench.slave.quiet and bench.dut.get("written")
    for at, byte in enumerate(bench.memory):
        assert byte in (UNTOUCHED, first.get(at, UNTOUCHED)), f"byte {at:#x}"
    bench.memory[:] = bytes([UNTOUCHED]) * len(bench.memory)
    wanted = bench.give(8)
    bench.until_given()
    bench.until("written")
    bench.check(wanted)
