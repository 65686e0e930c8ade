"""AXI4 slaves in a few lines of Python, for tests of single modules; they check the protocol while they serve."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from simulated import Simulated

PAGE = 4096
OKAY, SLVERR, DECERR = 0, 2, 3


@dataclass
class Bench:
    """Clocks a module; each part is driven before, and sampled just before, the clock edge."""

    dut: Simulated
    parts: list["Part"] = field(default_factory=list["Part"])

    def cycle(self, **inputs: int) -> None:
        self.dut.set(**inputs)
        for part in self.parts:
            part.drive()
        self.dut.settle()
        for part in self.parts:
            part.sample()
        self.dut.step()

    def pulse(self, *names: str, **inputs: int) -> None:
        """One cycle with these inputs at 1, which fall after it; others keep their values."""
        self.cycle(**inputs, **dict.fromkeys(names, 1))
        self.dut.set(**dict.fromkeys(names, 0))


class Part:
    def drive(self) -> None: ...

    def sample(self) -> None: ...


class Stable:
    """Valid, once high, stays with its payload until ready."""

    def __init__(self, dut: Simulated, valid: str, ready: str, payload: tuple[str, ...]) -> None:
        self.dut, self.valid, self.ready, self.payload = dut, valid, ready, payload
        self.waiting: tuple[int, ...] | None = None

    def handshake(self) -> bool:
        """Checks the rule for this cycle; whether it is a transfer."""
        valid, ready = self.dut.get(self.valid), self.dut.get(self.ready)
        now = tuple(self.dut.get(name) for name in self.payload)
        if self.waiting is not None:
            assert valid, f"{self.valid} fell before {self.ready}"
            assert now == self.waiting, f"payload of {self.valid} changed while it waited"
        self.waiting = now if valid and not ready else None
        return bool(valid and ready)


def check_burst(address: int, beats: int, size: int, kind: int, beat_bytes: int, max_burst: int) -> None:
    assert kind == 1 and 1 << size == beat_bytes and address % beat_bytes == 0
    assert beats <= max_burst
    assert address // PAGE == (address + beats * beat_bytes - 1) // PAGE, f"{beats} beats at {address:#x} cross 4 KB"


@dataclass
class Beat:
    due: int
    address: int
    response: int
    last: int


class ReadSlave(Part):
    """data(address) is what memory holds; a handshake is held back in `pressure` of the cycles."""

    def __init__(
        self, dut: Simulated, data: Callable[[int], int], *, beat: int, max_burst: int, latency: int = 3
    ) -> None:
        self.dut, self.data, self.beat_bytes, self.max_burst, self.latency = dut, data, beat // 8, max_burst, latency
        self.channel = Stable(dut, "arvalid", "arready", ("araddr", "arlen"))
        self.random, self.pressure = Random(1), 0.0
        self.beats: deque[Beat] = deque()
        self.bursts: list[tuple[int, int]] = []
        self.responses: dict[int, int] = {}
        self.misplaced_last: set[int] = set()
        self.silent_from: int | None = None
        self.deaf = False
        self.now, self.presented, self.delivered = 0, False, 0

    def drive(self) -> None:
        hold = self.random.random() < self.pressure
        if not self.presented and self.beats and self.beats[0].due <= self.now and not hold:
            beat = self.beats[0]
            if self.silent_from is None or beat.address < self.silent_from:
                last = beat.last ^ (beat.address in self.misplaced_last)
                self.dut.set(rdata=self.data(beat.address), rresp=beat.response, rlast=last)
                self.presented = True
        self.dut.set(rvalid=int(self.presented), arready=int(not self.deaf and self.random.random() >= self.pressure))

    def sample(self) -> None:
        if self.presented and self.dut.get("rready"):
            self.beats.popleft()
            self.delivered += 1
            self.presented = False
        if self.channel.handshake():
            address, count = self.dut.get("araddr"), self.dut.get("arlen") + 1
            check_burst(
                address, count, self.dut.get("arsize"), self.dut.get("arburst"), self.beat_bytes, self.max_burst
            )
            self.bursts.append((address, count))
            for i in range(count):
                at = address + i * self.beat_bytes
                self.beats.append(Beat(self.now + self.latency, at, self.responses.get(at, OKAY), int(i == count - 1)))
        self.now += 1


class WriteSlave(Part):
    """Writes strobed bytes into `memory`; AW, W and B each at their own pace."""

    def __init__(self, dut: Simulated, memory: bytearray, *, beat: int, max_burst: int, latency: int = 3) -> None:
        self.dut, self.memory, self.beat_bytes, self.max_burst, self.latency = (
            dut,
            memory,
            beat // 8,
            max_burst,
            latency,
        )
        self.address_channel = Stable(dut, "awvalid", "awready", ("awaddr", "awlen"))
        self.data_channel = Stable(dut, "wvalid", "wready", ("wdata", "wstrb", "wlast"))
        self.random, self.pressure = Random(2), 0.0
        self.addresses: deque[tuple[int, int]] = deque()
        self.words: deque[tuple[int, int, int]] = deque()
        self.answers: deque[tuple[int, int]] = deque()
        self.bursts: list[tuple[int, int]] = []
        self.responses: dict[int, int] = {}
        self.silent = self.deaf = False
        self.now, self.presented = 0, False

    @property
    def quiet(self) -> bool:
        """Nothing is under way."""
        return not (self.addresses or self.words or self.answers)

    def drive(self) -> None:
        def ready() -> int:
            return int(not self.deaf and self.random.random() >= self.pressure)

        if not self.presented and self.answers and self.answers[0][0] <= self.now and not self.silent and ready():
            self.dut.set(bresp=self.answers[0][1])
            self.presented = True
        self.dut.set(bvalid=int(self.presented), awready=ready(), wready=ready())

    def sample(self) -> None:
        if self.presented and self.dut.get("bready"):
            self.answers.popleft()
            self.presented = False
        if self.address_channel.handshake():
            address, count = self.dut.get("awaddr"), self.dut.get("awlen") + 1
            check_burst(
                address, count, self.dut.get("awsize"), self.dut.get("awburst"), self.beat_bytes, self.max_burst
            )
            self.bursts.append((address, count))
            self.addresses.append((address, count))
        if self.data_channel.handshake():
            self.words.append((self.dut.get("wdata"), self.dut.get("wstrb"), self.dut.get("wlast")))
        while self.addresses and len(self.words) >= self.addresses[0][1]:
            self._complete(*self.addresses.popleft())
        self.now += 1

    def _complete(self, address: int, count: int) -> None:
        for i in range(count):
            word, strobes, last = self.words.popleft()
            assert last == (i == count - 1), f"WLAST at beat {i + 1} of {count}"
            for byte in range(self.beat_bytes):
                if strobes >> byte & 1:
                    self.memory[address + i * self.beat_bytes + byte] = word >> 8 * byte & 255
        self.answers.append((self.now + self.latency, self.responses.get(address, OKAY)))
