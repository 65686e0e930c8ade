"""The AXI4-Lite slave: registers of README.md."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum

from elastix.compiler.circuit import Module, Signal, concat, mux, select
from elastix.compiler.processor.axi import ADDRESS_BITS, OKAY
from elastix.compiler.processor.counters import COUNTERS
from elastix.compiler.processor.fault_monitor import ErrorBit
from elastix.compiler.processor.parameters import ProcessorParameters

ID = 0x31584C45
VERSION = 2
TIMEOUT_AT_RESET = 65536
REGISTER_BITS = 8


class Offset(IntEnum):
    """Byte offsets of the registers."""

    ID = 0x00
    VERSION = 0x04
    PARAMETERS = 0x08
    CONTROL = 0x0C
    STATUS = 0x10
    DESCRIPTOR = 0x14
    DESCRIPTOR_HIGH = 0x18
    ERROR = 0x1C
    ERROR_ADDRESS = 0x20
    ERROR_ADDRESS_HIGH = 0x24
    TIMEOUT = 0x28
    MAX_TILES = 0x2C
    COUNTERS = 0x40


@dataclass(frozen=True)
class Extension:
    """Registers beside those of every processor, by offset. settings: written and read, given out as port <name> and
    kept by a soft reset; shown: read from port <name>; constants: read."""

    version: int = VERSION
    settings: Mapping[int, str] = field(default_factory=dict[int, str])
    shown: Mapping[int, str] = field(default_factory=dict[int, str])
    constants: Mapping[int, int] = field(default_factory=dict[int, int])


PLAIN = Extension()


@dataclass(frozen=True)
class _Write:
    """A register write: in the cycle `now`, at `address`; `data` with the strobed bytes set in `mask`."""

    now: Signal
    address: Signal
    data: Signal
    mask: Signal

    def to(self, offset: int) -> Signal:
        return self.now & (self.address == offset)

    def merged(self, old: Signal) -> Signal:
        mask = self.mask[0 : old.width]
        return (self.data[0 : old.width] & mask) | (old & ~mask)

    def bits(self, offset: Offset) -> Signal:
        """Data bits written as 1 to this register now."""
        return mux(self.to(offset), self.data & self.mask, 0)


def control_registers(p: ProcessorParameters, extension: Extension = PLAIN) -> Module:
    """The registers, an AXI4-Lite slave.

    s_axil_*: every access is answered OKAY; offsets without a register read 0 and ignore writes.

    `start`, `soft_reset`, `freeze` are pulses. `started` and `ended` (pulses) frame a run; `clear` (pulse) ends a soft
    reset. `kinds` sets ERROR bits, the first of those that stop with `address`; `overflow` sets its bit.
    """
    m = Module("control_registers", control_registers.__doc__, asdict(p))
    busy, resetting = m.input("busy"), m.input("resetting")
    started, ended, clear = m.input("started"), m.input("ended"), m.input("clear")
    kinds, overflow, address = m.input("kinds", len(ErrorBit)), m.input("overflow"), m.input("address", ADDRESS_BITS)
    counts = {name: m.input(f"count_{name}", 32) for name in COUNTERS}
    write = _write_channel(m)

    control = m.named("control", write.bits(Offset.CONTROL))
    m.output("start", m.register("start_q", control[0], reset=0))
    m.output("soft_reset", m.register("soft_reset_q", control[1], reset=0))
    enable, pending = m.state("interrupt_enable", 1, reset=0), m.state("interrupt_pending", 1, reset=0)
    enable.next(~clear & control[2], enable=clear | write.to(Offset.CONTROL))
    pending.next(~clear & (ended | (pending & ~control[3])))
    m.output("irq", m.register("irq_q", enable & pending & ~clear, reset=0))
    done = m.state("done", 1, reset=0)
    done.next(~clear & ~started & (done | ended))

    low, high = m.state("descriptor_low", 32, reset=0), m.state("descriptor_high", ADDRESS_BITS - 32, reset=0)
    low.next(write.merged(low), enable=write.to(Offset.DESCRIPTOR))
    high.next(write.merged(high), enable=write.to(Offset.DESCRIPTOR_HIGH))
    m.output("descriptor", concat(high, low))
    timeout = m.state("timeout_q", 32, reset=TIMEOUT_AT_RESET)
    timeout.next(write.merged(timeout), enable=write.to(Offset.TIMEOUT))
    m.output("timeout", timeout)

    error = m.state("error", len(ErrorBit), reset=0)
    acknowledged = write.bits(Offset.ERROR)[0 : len(ErrorBit)]
    overflowed = overflow.zext(len(ErrorBit)) << ErrorBit.OVERFLOW
    error.next(mux(clear, 0, (error & ~acknowledged) | kinds | overflowed))
    stopping = m.named("stopped", (error & ~(1 << ErrorBit.OVERFLOW) & ((1 << len(ErrorBit)) - 1)).any())
    error_address = m.register(
        "error_address", mux(clear, 0, address), enable=clear | (kinds.any() & ~stopping), reset=0
    )

    status = concat(pending, resetting, stopping, done, busy)
    parameters = p.beat | p.activation_bits << 10 | p.lanes << 16 | p.channels << 20
    registers: dict[int, Signal] = {
        Offset.ID: m.constant(ID, 32),
        Offset.VERSION: m.constant(extension.version, 32),
        Offset.PARAMETERS: m.constant(parameters, 32),
        Offset.STATUS: status,
        Offset.DESCRIPTOR: low,
        Offset.DESCRIPTOR_HIGH: high,
        Offset.ERROR: error,
        Offset.ERROR_ADDRESS: error_address[0:32],
        Offset.ERROR_ADDRESS_HIGH: error_address[32:ADDRESS_BITS],
        Offset.TIMEOUT: timeout,
        Offset.MAX_TILES: m.constant(p.max_tiles, 32),
    }
    registers |= {Offset.COUNTERS + 4 * i: counts[name] for i, name in enumerate(COUNTERS)}
    registers |= {offset: m.constant(value, 32) for offset, value in extension.constants.items()}
    registers |= {offset: m.input(name, 32) for offset, name in extension.shown.items()}
    for offset, name in extension.settings.items():
        setting = m.state(f"{name}_q", 32, reset=0)
        registers[offset] = setting.next(write.merged(setting), enable=write.to(offset))
        m.output(name, setting)
    _read_channel(m, registers)
    return m


def _write_channel(m: Module) -> _Write:
    """Address and data are taken as they come; the write is done when both are there and the last is answered."""
    aw_valid, aw_address = m.input("s_axil_awvalid"), m.input("s_axil_awaddr", REGISTER_BITS)
    w_valid, w_data, w_strobe = m.input("s_axil_wvalid"), m.input("s_axil_wdata", 32), m.input("s_axil_wstrb", 4)
    b_ready = m.input("s_axil_bready")
    has_address, has_data = m.state("has_address", 1, reset=0), m.state("has_data", 1, reset=0)
    answer = m.state("b_valid", 1, reset=0)
    now = m.named("write_now", has_address & has_data & ~answer)
    has_address.next(~now & (has_address | aw_valid))
    has_data.next(~now & (has_data | w_valid))
    answer.next(now | (answer & ~b_ready))
    address = m.register("write_address", aw_address, enable=~has_address)
    data = m.register("write_data", w_data, enable=~has_data)
    strobe = m.register("write_strobe", w_strobe, enable=~has_data)
    m.output("s_axil_awready", ~has_address)
    m.output("s_axil_wready", ~has_data)
    m.output("s_axil_bvalid", answer)
    m.output("s_axil_bresp", m.constant(OKAY, 2))
    return _Write(now, address, data, concat(*(strobe[i].replicate(8) for i in reversed(range(4)))))


def _read_channel(m: Module, registers: dict[int, Signal]) -> None:
    """One read at a time: address, a cycle later the data. Gives `freeze` out when CYCLES is read."""
    valid, address, ready = m.input("s_axil_arvalid"), m.input("s_axil_araddr", REGISTER_BITS), m.input("s_axil_rready")
    answer = m.state("r_valid", 1, reset=0)
    taken = m.named("read_now", valid & ~answer)
    answer.next(taken | (answer & ~ready))
    words = [registers.get(4 * index, m.constant(0, 32)).zext(32) for index in range(max(registers) // 4 + 1)]
    exists = m.named("exists", ~address[0:2].any() & (address <= max(registers)))
    value = mux(exists, select(address[2:REGISTER_BITS], words), 0)
    m.output("freeze", taken & (address == Offset.COUNTERS))
    m.output("s_axil_arready", ~answer)
    m.output("s_axil_rvalid", answer)
    m.output("s_axil_rdata", m.register("read_data", value, enable=taken))
    m.output("s_axil_rresp", m.constant(OKAY, 2))
