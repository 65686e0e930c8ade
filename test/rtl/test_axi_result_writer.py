"""Results of several channels and lanes, as bytes in memory: random arrival, page boundaries, errors, cancels."""

from functools import cache
from random import Random

import pytest
from axi_model import PAGE, SLVERR, Bench, Part, WriteSlave
from simulated import Simulated

from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.compiler.processor.result_writer import WINDOW_BLOCKS, result_writer

BEAT = 64
BYTES = BEAT // 8
UNTOUCHED = 0xEE


@cache
def simulated(lanes: int, channels: int, max_burst: int) -> Simulated:
    return Simulated(result_writer(ProcessorParameters(beat=BEAT, lanes=lanes, channels=channels, max_burst=max_burst)))


class Channel(Part):
    """A channel's engine: its blocks in order, of each the tokens in order."""

    def __init__(self, dut: Simulated, c: int, channels: int) -> None:
        self.dut, self.c, self.channels = dut, c, channels
        self.random, self.willing = Random(c), 1.0
        self.results: list[tuple[int, int, int]] = []
        self.offered = False

    def drive(self) -> None:
        self.offered = bool(self.results) and (self.offered or self.random.random() < self.willing)
        self.dut.set(**{f"y_valid_{self.c}": int(self.offered)})
        if self.offered:
            block, lane, data = self.results[0]
            last = int(len(self.results) == 1 or self.results[1][0] != block)
            result = {"block": block, "lane": lane, "last": last, "data": data}
            self.dut.set(**{f"y_{name}_{self.c}": value for name, value in result.items()})

    def sample(self) -> None:
        if self.offered and self.dut.get(f"y_ready_{self.c}"):
            self.results.pop(0)
            self.offered = False


class WriterBench(Bench):
    def __init__(self, lanes: int = 1, channels: int = 1, max_burst: int = 16, *, seed: int = 0) -> None:
        super().__init__(simulated(lanes, channels, max_burst))
        self.random = Random(seed)
        self.memory = bytearray([UNTOUCHED]) * (16 * PAGE)
        self.slave = WriteSlave(self.dut, self.memory, beat=BEAT, max_burst=min(max_burst, WINDOW_BLOCKS))
        self.channels = [Channel(self.dut, c, channels) for c in range(channels)]
        self.parts = [self.slave, *self.channels]
        self.dut.set(start=0, cancel=0, timeout=0, **{f"y_valid_{c}": 0 for c in range(channels)})
        self.dut.reset()

    def start(self, y: int, row_blocks: int, tokens: int) -> dict[int, int]:
        """Begin a run; returns the word that belongs at each address."""
        wanted = dict[int, int]()
        for channel in self.channels:
            blocks = range(channel.c, row_blocks, len(self.channels))
            places = [(i, block, m) for i, block in enumerate(blocks) for m in range(tokens)]
            channel.results = [(i, m, self.random.getrandbits(BEAT)) for i, _, m in places]
            channel.offered = False
            for (_, block, m), (_, _, data) in zip(places, channel.results, strict=True):
                wanted[y + (m * row_blocks + block) * BYTES] = data
        self.pulse("start", row_blocks=row_blocks, tokens=tokens, y_beat=y // BYTES)
        return wanted

    def until(self, name: str, limit: int = 20000) -> None:
        for _ in range(limit):
            self.cycle()
            if self.dut.get(name):
                return
        raise AssertionError(f"no {name}")

    def check(self, wanted: dict[int, int]) -> None:
        expected = bytearray([UNTOUCHED]) * len(self.memory)
        for address, data in wanted.items():
            expected[address : address + BYTES] = data.to_bytes(BYTES, "little")
        assert self.memory == expected


@pytest.mark.parametrize(
    "lanes,channels,max_burst", [(1, 1, 16), (1, 1, 1), (4, 1, 64), (1, 2, 16), (3, 3, 8), (2, 4, 16)]
)
@pytest.mark.parametrize("pressure", [0.0, 0.5])
def test_every_result_has_its_place(lanes: int, channels: int, max_burst: int, pressure: float) -> None:
    for seed, (row_blocks, tokens) in enumerate(((1, 1), (16, lanes), (17, 1), (100, lanes), (3, lanes))):
        bench = WriterBench(lanes, channels, max_burst, seed=seed)
        bench.slave.pressure, bench.slave.latency = pressure, (1, 50)[seed % 2]
        for channel in bench.channels:
            channel.willing = bench.random.choice((1.0, 0.3, 0.05))
        y = PAGE - bench.random.randrange(200) * BYTES
        wanted = bench.start(y, row_blocks, tokens)
        bench.until("finished")
        assert bench.slave.quiet and bench.dut.get("idle")
        bench.check(wanted)


def test_results_are_gathered_to_bursts() -> None:
    bench = WriterBench()
    bench.start(0, 40, 1)
    bench.until("finished")
    assert [count for _, count in bench.slave.bursts] == [16, 16, 8]


def test_several_bursts_are_under_way_at_once() -> None:
    bench = WriterBench()
    bench.slave.latency = 400
    bench.start(0, 160, 1)
    for _ in range(300):
        bench.cycle()
    assert len(bench.slave.answers) == 10
    bench.until("finished")


def test_an_error_response_is_a_fault_of_its_burst() -> None:
    bench = WriterBench()
    bench.slave.responses[32 * BYTES] = SLVERR
    bench.start(0, 100, 1)
    bench.until("fault")
    assert bench.dut.get("fault_address") == 32 * BYTES


@pytest.mark.parametrize("seed", range(20))
def test_a_cancelled_run_ends_its_burst_and_no_more(seed: int) -> None:
    bench = WriterBench(2, 1, seed=seed)
    bench.slave.pressure, bench.slave.latency = bench.random.choice((0.0, 0.6)), bench.random.choice((1, 60))
    wanted = bench.start(0, 64, 2)
    for _ in range(bench.random.randrange(120)):
        bench.cycle()
    bench.channels[0].results.clear()
    bench.channels[0].offered = False
    bench.pulse("cancel")
    before = bytes(bench.memory)
    begun, under_way = len(bench.slave.bursts) + bench.dut.get("awvalid"), len(bench.slave.words)
    if bench.random.random() < 0.5:  # else the next run begins while the old one is still owed
        bench.until("idle")
        assert bench.slave.quiet and len(bench.slave.bursts) == begun
        assert not bench.dut.get("finished")
    places = range(8 * PAGE, 8 * PAGE + 20 * BYTES, BYTES)
    after = bench.start(8 * PAGE, 20, 1)
    bench.until("finished")
    assert all(bytes(bench.memory[at : at + BYTES]) == after[at].to_bytes(BYTES, "little") for at in places)
    changed = [at for at in wanted if bench.memory[at : at + BYTES] != before[at : at + BYTES]]
    assert all(bytes(bench.memory[at : at + BYTES]) == wanted[at].to_bytes(BYTES, "little") for at in changed)
    # Only words already under way were written, and the one that waited: strobes are empty from then on.
    assert len(changed) <= under_way + 1


def test_responses_of_a_cancelled_run_are_awaited_but_not_looked_at() -> None:
    bench = WriterBench()
    bench.slave.silent = True
    bench.start(0, 16, 1)
    for _ in range(60):
        bench.cycle()
    assert len(bench.slave.answers) == 1
    bench.slave.answers[0] = (0, SLVERR)
    bench.pulse("cancel")
    wanted = bench.start(PAGE, 16, 1)
    for _ in range(60):
        bench.cycle()
        assert not bench.dut.get("fault")
    assert not bench.dut.get("finished")
    bench.slave.silent = False
    for _ in range(20):
        bench.cycle()
        assert not bench.dut.get("fault")
    assert bench.dut.get("finished")
    for address, data in wanted.items():
        assert bench.memory[address : address + BYTES] == data.to_bytes(BYTES, "little")


@pytest.mark.parametrize("what", ["silent", "deaf"])
def test_silence_is_noticed(what: str) -> None:
    bench = WriterBench()
    bench.dut.set(timeout=30)
    setattr(bench.slave, what, True)
    bench.start(3 * PAGE, 16, 1)
    bench.until("stuck", 100)
    assert bench.dut.get("fault_address") == 3 * PAGE


def test_waiting_for_results_is_no_silence() -> None:
    bench = WriterBench()
    bench.dut.set(timeout=5)
    bench.channels[0].willing = 0.02
    wanted = bench.start(0, 20, 1)
    while not bench.dut.get("finished"):
        bench.cycle()
        assert not bench.dut.get("stuck")
    bench.check(wanted)
