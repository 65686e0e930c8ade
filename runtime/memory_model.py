"""Timing of the memory behind the processor's AXI ports, as data; runtime/sim/memory.cpp carries it out.

Times are in nanoseconds as the data sheets give them and become memory clocks as JEDEC rounds them (JESD79-4 section
13.5: up, after taking off 2.6 % of a clock). Sources of the presets' figures stand beside them.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

from elastix.compiler.errors import ElastixError
from elastix.runtime import _runtime


@dataclass(frozen=True)
class Dram:
    """One DRAM channel. Consecutive addresses run through: one access, the bank groups, the columns of a row, the
    banks, the rows.

    clock_hz: memory clock, two transfers each; bus_bits: width of the data pins; burst_length: transfers of one access;
    bank_groups × banks_per_group banks, each with one open row of row_bytes. All t… in ns:
    t_cl, t_cwl: read, write command to data; t_rcd: activate to column; t_rp: precharge; t_ras: activate to precharge;
    t_rrd: activate to activate of another bank; t_faw: window of four activates; t_ccd_l: column to column within a
    bank group (across groups the bus alone decides); t_rtp: read to precharge; t_wr: end of write data to precharge;
    t_wtr: end of write data to read; t_rfc: a refresh of all banks; t_refi: from one refresh to the next, 0 for none.
    """

    clock_hz: int
    bus_bits: int
    burst_length: int
    bank_groups: int
    banks_per_group: int
    row_bytes: int
    t_cl: float
    t_cwl: float
    t_rcd: float
    t_rp: float
    t_ras: float
    t_rrd: float
    t_faw: float
    t_ccd_l: float
    t_rtp: float
    t_wr: float
    t_wtr: float
    t_rfc: float
    t_refi: float

    def __post_init__(self) -> None:
        if (
            min(self.clock_hz, self.bus_bits, self.burst_length, self.bank_groups, self.banks_per_group, self.row_bytes)
            < 1
        ):
            raise ElastixError("a DRAM with a count or rate below 1", wanted="positive ones")
        if self.row_bytes % self.access_bytes:
            raise ElastixError(
                f"rows of {self.row_bytes} bytes", wanted=f"a multiple of the access, {self.access_bytes}"
            )
        if self.t_refi and self.t_refi < 2 * (self.t_rfc + self.t_rp + self.t_rcd):
            raise ElastixError(f"a refresh of {self.t_rfc} ns every {self.t_refi} ns", wanted="time left to read")

    @property
    def access_bytes(self) -> int:
        """Bytes of one column access."""
        return self.bus_bits * self.burst_length // 8

    @property
    def pin_rate(self) -> float:
        """Bytes per second that the data pins can carry."""
        return self.clock_hz * 2 * self.bus_bits / 8

    def clocks(self, nanoseconds: float) -> int:
        """Memory clocks, rounded as JEDEC does."""
        return max(0, math.ceil(nanoseconds * self.clock_hz / 1e9 - 0.026))


@dataclass(frozen=True)
class MemoryModel:
    """What a burst on a port of the processor waits for.

    name: for messages and reports; core_hz: the processor's clock; dram: the channel's timing, None for the ideal
    memory, which answers `latency` core cycles after a request and then streams a beat a cycle; latency: core cycles of
    interconnect and controller (added to the DRAM's own); outstanding: bursts a port may have under way; write_queue:
    accesses the controller collects before it turns the bus round to write them, unless the bus is idle (64 as in
    gem5's DRAMInterface.write_buffer_size); shared: m_axi_io and m_axi_w0 share one DRAM channel (every other port has
    its own); pressure: percent of the cycles in which a handshake, register accesses included, is held back at random
    by `seed`, which changes timing and no bit.
    """

    name: str
    core_hz: int = 300_000_000
    dram: Dram | None = None
    latency: int = 16
    outstanding: int = 32
    write_queue: int = 64
    shared: bool = False
    pressure: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.core_hz, self.outstanding, self.latency, self.write_queue) < 1:
            raise ElastixError(
                f"memory model {self.name}: clock {self.core_hz} Hz, {self.outstanding} bursts, "
                f"latency {self.latency}, write queue {self.write_queue}",
                wanted="each at least 1",
            )
        if self.pressure not in range(100):
            raise ElastixError(f"memory model {self.name}: pressure of {self.pressure} %", wanted="0 to 99")

    def at(self, core_hz: int) -> "MemoryModel":
        """The same memory beside a processor with another clock."""
        return replace(self, core_hz=core_hz)

    def with_pressure(self, seed: int, percent: int = 30) -> "MemoryModel":
        """The same memory with random hold-ups."""
        return replace(self, name=f"{self.name}+{percent}%", seed=seed, pressure=percent)

    @property
    def pin_rate(self) -> float:
        """Bytes per second at the DRAM's pins; infinite for the ideal memory."""
        return self.dram.pin_rate if self.dram else math.inf

    def peak(self, beat_bits: int, beats: int = 1 << 18) -> float:
        """Bytes per second of an infinite sequential read through a port of `beat_bits`: this model, run alone.

        A master that always has the next 4 KB burst ready and takes every beat at once; `beats` counted after a
        warm-up.
        """
        share = _runtime.sequential_read_peak(self.parameters(), beat_bits // 8, beats)
        return share * beat_bits / 8 * self.core_hz

    def parameters(self) -> dict[str, int]:
        """The fields of the C++ struct MemoryParameters, times in memory clocks."""
        common = {name: getattr(self, name) for name in ("core_hz", "latency", "outstanding", "write_queue")}
        d = self.dram
        if d is None:
            return {name: 0 for name in _DRAM_FIELDS} | common | {"ideal": 1}
        times = {name: d.clocks(getattr(d, field)) for name, field in _TIMES.items()}
        access_clocks = d.burst_length // 2
        return {
            **common,
            **times,
            "ideal": 0,
            "memory_hz": d.clock_hz,
            "access_bytes": d.access_bytes,
            "access_clocks": access_clocks,
            "bank_groups": d.bank_groups,
            "banks_per_group": d.banks_per_group,
            "row_bytes": d.row_bytes,
            "nCCD_S": access_clocks,
            "nCCD_L": max(access_clocks, times["nCCD_L"]),
        }


_TIMES: Final = {
    "nCL": "t_cl",
    "nCWL": "t_cwl",
    "nRCD": "t_rcd",
    "nRP": "t_rp",
    "nRAS": "t_ras",
    "nRRD": "t_rrd",
    "nFAW": "t_faw",
    "nCCD_L": "t_ccd_l",
    "nRTP": "t_rtp",
    "nWR": "t_wr",
    "nWTR": "t_wtr",
    "nRFC": "t_rfc",
    "nREFI": "t_refi",
}
_DRAM_FIELDS: Final = (
    *_TIMES,
    "memory_hz",
    "access_bytes",
    "access_clocks",
    "bank_groups",
    "banks_per_group",
    "row_bytes",
    "nCCD_S",
)

IDEAL: Final = MemoryModel("ideal")

# DDR3-1600K (11-11-11), one 4 Gb x16 device: JESD79-3F tables 65 to 68 (2 KB page: tRRD 7.5 ns, tFAW 40 ns; tRFC 260
# ns).
DDR3_1600_X16: Final = MemoryModel(
    "ddr3-1600-x16",
    dram=Dram(
        clock_hz=800_000_000,
        bus_bits=16,
        burst_length=8,
        bank_groups=1,
        banks_per_group=8,
        row_bytes=2048,
        t_cl=13.75,
        t_cwl=10.0,
        t_rcd=13.75,
        t_rp=13.75,
        t_ras=35.0,
        t_rrd=7.5,
        t_faw=40.0,
        t_ccd_l=5.0,
        t_rtp=7.5,
        t_wr=15.0,
        t_wtr=7.5,
        t_rfc=260.0,
        t_refi=7800.0,
    ),
    shared=True,
)


def _ddr4_2400(bus_bits: int) -> Dram:
    # DDR4-2400U (17-17-17), 8 Gb x8 devices: JESD79-4C speed bins and section 13 (1 KB page: tRRD_S 3.3 ns but 4
    # clocks, tFAW 21 ns, tCCD_L 5 ns but 6 clocks, tWTR_L 7.5 ns; tRFC1 350 ns).
    return Dram(
        clock_hz=1_200_000_000,
        bus_bits=bus_bits,
        burst_length=8,
        bank_groups=4,
        banks_per_group=4,
        row_bytes=1024 * bus_bits // 8,
        t_cl=14.16,
        t_cwl=10.0,
        t_rcd=14.16,
        t_rp=14.16,
        t_ras=32.0,
        t_rrd=3.3,
        t_faw=21.0,
        t_ccd_l=5.0,
        t_rtp=7.5,
        t_wr=15.0,
        t_wtr=7.5,
        t_rfc=350.0,
        t_refi=7800.0,
    )


DDR4_2400_X32: Final = MemoryModel("ddr4-2400-x32", dram=_ddr4_2400(32), shared=True)
DDR4_2400_X64: Final = MemoryModel("ddr4-2400-x64", dram=_ddr4_2400(64), shared=True)

# One pseudo channel of HBM2 at 2 Gb/s a pin: organisation and command rules of JESD235; timings are not in the open
# standard's text and follow gem5's HBM_2000_4H_1x64 (src/mem/DRAMInterface.py), which names vendors' figures as its
# source.
HBM2_CHANNEL: Final = MemoryModel(
    "hbm2-channel",
    dram=Dram(
        clock_hz=1_000_000_000,
        bus_bits=64,
        burst_length=4,
        bank_groups=4,
        banks_per_group=4,
        row_bytes=1024,
        t_cl=18.0,
        t_cwl=7.0,
        t_rcd=12.0,
        t_rp=14.0,
        t_ras=28.0,
        t_rrd=4.0,
        t_faw=16.0,
        t_ccd_l=3.0,
        t_rtp=5.0,
        t_wr=14.0,
        t_wtr=9.0,
        t_rfc=220.0,
        t_refi=3900.0,
    ),
    latency=32,
)

PRESETS: Final = {model.name: model for model in (IDEAL, DDR3_1600_X16, DDR4_2400_X32, DDR4_2400_X64, HBM2_CHANNEL)}
"""Every named memory model."""


def memory_model(name: str) -> MemoryModel:
    """The preset of that name; raises ElastixError for another."""
    if name not in PRESETS:
        raise ElastixError(f"no memory model {name!r}", wanted=" or ".join(PRESETS))
    return PRESETS[name]
