"""The AXI4-Lite slave: each register as README.md says, whatever the order of address and data."""

from collections.abc import Callable
from functools import cache
from random import Random

import pytest
from simulated import Simulated

from elastix.compiler.processor.control_registers import ID, Offset, control_registers
from elastix.compiler.processor.counters import COUNTERS, counters
from elastix.compiler.processor.parameters import ProcessorParameters

INPUTS = ("busy", "resetting", "started", "ended", "clear", "kinds", "overflow", "address")


@cache
def simulated() -> Simulated:
    return Simulated(
        control_registers(ProcessorParameters(beat=128, activation_bits=9, lanes=3, channels=2, max_tiles=77))
    )


class Host:
    """Accesses registers; each channel at a random pace."""

    def __init__(self, seed: int = 0) -> None:
        self.dut, self.random = simulated(), Random(seed)
        self.pulses: list[str] = []
        self.dut.set(**dict.fromkeys(("s_axil_awvalid", "s_axil_wvalid", "s_axil_arvalid", *INPUTS), 0))
        self.dut.set(s_axil_bready=0, s_axil_rready=0, **{f"count_{name}": 7 * i for i, name in enumerate(COUNTERS)})
        self.dut.reset()

    def cycle(self, **inputs: int) -> None:
        self.dut.set(**inputs)
        self.dut.settle()
        self.pulses += [name for name in ("start", "soft_reset", "freeze") if self.dut.get(name)]
        self.dut.step()
        self.dut.set(**dict.fromkeys(inputs, 0))

    def until(self, done: Callable[[], bool]) -> None:
        for _ in range(100):
            if done():
                return
            self.cycle()
        raise AssertionError("no handshake in 100 cycles")

    def write(self, offset: int, value: int, strobe: int = 15) -> None:
        dut = self.dut
        dut.set(s_axil_awaddr=offset, s_axil_wdata=value, s_axil_wstrb=strobe)
        channels = ["aw", "w"]
        self.random.shuffle(channels)
        for name in channels:
            dut.set(**{f"s_axil_{name}valid": 1})
            self.until(lambda name=name: bool(dut.get(f"s_axil_{name}ready")))
            self.cycle()
            dut.set(**{f"s_axil_{name}valid": 0})
            for _ in range(self.random.randrange(3)):
                self.cycle()
        self.until(lambda: bool(dut.get("s_axil_bvalid")))
        for _ in range(self.random.randrange(3)):
            self.cycle()
            assert dut.get("s_axil_bvalid")
        assert dut.get("s_axil_bresp") == 0
        self.cycle(s_axil_bready=1)
        assert not dut.get("s_axil_bvalid")

    def read(self, offset: int) -> int:
        dut = self.dut
        dut.set(s_axil_araddr=offset, s_axil_arvalid=1)
        self.until(lambda: bool(dut.get("s_axil_arready")))
        self.cycle()
        dut.set(s_axil_arvalid=0, s_axil_araddr=self.random.randrange(256))
        self.until(lambda: bool(dut.get("s_axil_rvalid")))
        value = dut.get("s_axil_rdata")
        for _ in range(self.random.randrange(3)):
            self.cycle()
            assert dut.get("s_axil_rvalid") and dut.get("s_axil_rdata") == value
        assert dut.get("s_axil_rresp") == 0
        self.cycle(s_axil_rready=1)
        return value


def test_constants() -> None:
    host = Host()
    assert host.read(Offset.ID) == ID == int.from_bytes(b"ELX1", "little")
    assert host.read(Offset.VERSION) == 2
    assert host.read(Offset.PARAMETERS) == 128 | 9 << 10 | 3 << 16 | 2 << 20
    assert host.read(Offset.MAX_TILES) == 77
    assert host.read(Offset.TIMEOUT) == 65536
    for offset in (Offset.CONTROL, 0x30, 0x58, 0xFC, 0x01, 0x41):
        assert host.read(offset) == 0


@pytest.mark.parametrize("seed", range(5))
def test_descriptor_and_timeout_keep_the_strobed_bytes(seed: int) -> None:
    host, random = Host(seed), Random(seed)
    held = {Offset.DESCRIPTOR: 0, Offset.DESCRIPTOR_HIGH: 0, Offset.TIMEOUT: 65536}
    for _ in range(30):
        offset, value, strobe = random.choice(list(held)), random.getrandbits(32), random.randrange(16)
        host.write(offset, value, strobe)
        mask = sum(0xFF << 8 * i for i in range(4) if strobe >> i & 1)
        kept = 0xFF if offset is Offset.DESCRIPTOR_HIGH else 0xFFFFFFFF
        held[offset] = ((held[offset] & ~mask) | (value & mask)) & kept
        assert {which: host.read(which) for which in held} == held
    assert host.dut.get("descriptor") == held[Offset.DESCRIPTOR] | held[Offset.DESCRIPTOR_HIGH] << 32
    assert host.dut.get("timeout") == held[Offset.TIMEOUT]
    assert host.pulses == []


def test_control_bits_are_pulses() -> None:
    host = Host()
    host.write(Offset.CONTROL, 1)
    host.write(Offset.CONTROL, 2)
    host.write(Offset.CONTROL, 3, strobe=14)
    assert host.pulses == ["start", "soft_reset"]


def test_interrupt() -> None:
    host = Host()
    host.write(Offset.CONTROL, 4)
    host.cycle(ended=1)
    host.cycle()
    assert host.dut.get("irq") and host.read(Offset.STATUS) == 0b10010
    host.write(Offset.CONTROL, 8)
    assert not host.dut.get("irq") and host.read(Offset.STATUS) == 0b00010
    host.cycle(ended=1)
    assert host.read(Offset.STATUS) == 0b10010
    assert not host.dut.get("irq")  # the acknowledging write has cleared the enable
    host.write(Offset.CONTROL, 4)
    assert host.dut.get("irq")
    host.cycle(started=1)
    assert host.read(Offset.STATUS) == 0b10000
    host.dut.set(busy=1, resetting=1)
    assert host.read(Offset.STATUS) == 0b11001


def test_errors_stick_and_the_first_address_stays() -> None:
    host = Host()
    host.cycle(overflow=1, address=0x1)
    assert host.read(Offset.STATUS) == 0  # overflow stops nothing
    host.cycle(kinds=0b000100, address=0xAB_1234_5678)
    host.cycle(kinds=0b001001, address=0x9999)
    assert host.read(Offset.ERROR) == 0b011101
    assert host.read(Offset.ERROR_ADDRESS) == 0x12345678 and host.read(Offset.ERROR_ADDRESS_HIGH) == 0xAB
    assert host.read(Offset.STATUS) == 0b00100
    host.write(Offset.ERROR, 0b010100)
    assert host.read(Offset.ERROR) == 0b001001
    assert host.read(Offset.ERROR_ADDRESS) == 0x12345678
    host.write(Offset.ERROR, 0b111111)
    assert host.read(Offset.ERROR) == 0 and host.read(Offset.STATUS) == 0
    host.cycle(kinds=0b000010, address=0x77)
    assert host.read(Offset.ERROR_ADDRESS) == 0x77


def test_soft_reset_clears_all_but_descriptor_and_timeout() -> None:
    host = Host()
    host.write(Offset.DESCRIPTOR, 0x40)
    host.write(Offset.TIMEOUT, 99)
    host.write(Offset.CONTROL, 4)
    host.cycle(ended=1, kinds=1, address=5, overflow=1)
    host.cycle(clear=1)
    assert [host.read(offset) for offset in (Offset.STATUS, Offset.ERROR, Offset.ERROR_ADDRESS)] == [0, 0, 0]
    assert not host.dut.get("irq")
    assert host.read(Offset.DESCRIPTOR) == 0x40 and host.read(Offset.TIMEOUT) == 99
    host.cycle(ended=1)
    host.cycle()
    assert not host.dut.get("irq")


def test_counters_are_read_in_their_places() -> None:
    host = Host()
    assert [host.read(Offset.COUNTERS + 4 * i) for i in range(6)] == [0, 7, 14, 21, 28, 35]
    assert host.pulses == ["freeze"]


def test_counting() -> None:
    dut = Simulated(counters(ProcessorParameters(channels=3)))
    names = ("start", "clear", "running", "freeze", "written", "stall_load", "taken", "wanted", "last", "stall_output")
    dut.set(**dict.fromkeys(names, 0))
    dut.reset()

    def cycle(**inputs: int) -> None:
        dut.set(**inputs)
        dut.step()
        dut.set(**dict.fromkeys(inputs, 0))

    def frozen() -> list[int]:
        return [dut.get(f"count_{name}") for name in COUNTERS]

    for _ in range(2):
        cycle(start=1)
        cycle(running=1, stall_load=1, wanted=0b111)  # nothing begun: wanting is no stall
        cycle(running=1, taken=0b101)
        cycle(running=1, taken=0b001, wanted=0b110)  # channel 1 has not begun
        cycle(running=1, taken=0b100, last=0b100, stall_output=0b011)
        cycle(running=1, wanted=0b101)  # channel 2 has ended
        cycle()  # events are counted a cycle later
        cycle(running=1, freeze=1, taken=0b010)
        assert frozen() == [5, 4, 4, 2, 2, 1]
        cycle(running=1)
        cycle(running=1, written=1)
        cycle(taken=0b111, wanted=0b111, stall_load=1)
        assert frozen() == [8, 4, 4, 2, 2, 1]  # cycles goes on, the copies stay
        cycle(freeze=1)
        assert frozen() == [8, 6, 5, 2, 2, 1]
