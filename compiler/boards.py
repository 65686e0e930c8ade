"""Boards by name: what they have for a processor and what bounds tokens per second. Nothing here was measured.

Figures are published ones unless a field says otherwise; clocks are assumptions, each with what it rests on.
"""

import difflib
from dataclasses import dataclass, replace
from typing import Final, Literal

from elastix.compiler.errors import ElastixError

Family = Literal["ecp5", "gowin", "ultrascale+"]
Evidence = Literal["assumed", "post-route"]


@dataclass(frozen=True)
class Board:
    """luts: of four inputs, of six in the family ultrascale+; multipliers: of at least 18 × 18 bits; block_ram_bits;
    channels: of memory, each with channel_rate bytes a second at its pins and its own port; latency: of a read, ns,
    controller included (assumed); memory_bytes: of all channels. core_hz: the processor's clock; evidence: what that
    rests on, clock_note in words. source: where the rest is published."""

    family: Family
    luts: int
    registers: int
    multipliers: int
    block_ram_bits: int
    channels: int
    channel_rate: float
    latency: float
    memory_bytes: int
    core_hz: int
    evidence: Evidence
    clock_note: str
    source: str

    @property
    def bandwidth(self) -> float:
        """Of all memory channels together, bytes a second, raw pin rate."""
        return self.channels * self.channel_rate


_KIB, _GIB = 1 << 10, 1 << 30
_HBM_CLOCK: Final = "below what published language model engines run at on this family (225 to 400 MHz)"

_U280: Final = Board(
    family="ultrascale+",
    luts=1_303_680,
    registers=2_607_360,
    multipliers=9_024,
    block_ram_bits=2_016 * 36 * _KIB + 960 * 288 * _KIB,
    channels=32,
    channel_rate=14.375e9,
    latency=200.0,
    memory_bytes=8 * _GIB,
    core_hz=225_000_000,
    evidence="assumed",
    clock_note=_HBM_CLOCK,
    source="AMD DS963: two HBM2 stacks; UG1393: 32 pseudo channels of 14.375 GB/s",
)

BOARDS: Final = {
    "ecp5-85k-ddr3": Board(
        family="ecp5",
        luts=83_640,
        registers=83_640,
        multipliers=156,
        block_ram_bits=208 * 18 * _KIB,
        channels=1,
        channel_rate=1.6e9,
        latency=150.0,
        memory_bytes=_GIB // 2,
        core_hz=80_000_000,
        evidence="assumed",
        clock_note="what small step processors are made to reach after place and route; the aim is 100 MHz",
        source="Lattice FPGA-DS-02012 (LFE5UM-85); DDR3-800 x16, 800 MT/s × 2 bytes, as on OrangeCrab and "
        "Colorlight-style boards, one device of 4 Gb",
    ),
    "gw2a-18": Board(
        family="gowin",
        luts=20_736,
        registers=15_552,
        multipliers=48,
        block_ram_bits=46 * 18 * _KIB,
        channels=1,
        channel_rate=1.6e9,
        latency=150.0,
        memory_bytes=_GIB // 8,
        core_hz=50_000_000,
        evidence="assumed",
        clock_note="slower than ECP5's, not tried",
        source="Gowin DS102 (GW2A-18); Sipeed Tang Primer 20K: 1 Gb of DDR3 x16 at 800 MT/s",
    ),
    "gw5a-138": Board(
        family="gowin",
        luts=138_240,
        registers=138_240,
        multipliers=298,
        block_ram_bits=340 * 18 * _KIB,
        channels=1,
        channel_rate=3.2e9,
        latency=150.0,
        memory_bytes=_GIB,
        core_hz=80_000_000,
        evidence="assumed",
        clock_note="as ECP5's, not tried",
        source="Gowin DS1103 (GW5AST-138); Sipeed Tang Mega 138K: 8 Gb of DDR3 x32, taken at 800 MT/s",
    ),
    "kv260": Board(
        family="ultrascale+",
        luts=117_120,
        registers=234_240,
        multipliers=1_248,
        block_ram_bits=144 * 36 * _KIB + 64 * 288 * _KIB,
        channels=1,
        channel_rate=19.2e9,
        latency=150.0,
        memory_bytes=4 * _GIB,
        core_hz=250_000_000,
        evidence="assumed",
        clock_note="below what published language model engines run at on this board (300 MHz)",
        source="AMD DS987 (Kria K26): DDR4-2400, 64 bits, 144 block RAMs, 64 UltraRAMs",
    ),
    "u280": _U280,
    "u55c": replace(
        _U280, memory_bytes=16 * _GIB, source="AMD DS978: two HBM2 stacks; UG1393: 32 pseudo channels of 14.375 GB/s"
    ),
    "v80": Board(
        family="ultrascale+",
        luts=2_574_208,
        registers=5_148_416,
        multipliers=10_848,
        block_ram_bits=3_741 * 36 * _KIB + 1_925 * 288 * _KIB,
        channels=32,
        channel_rate=25.6e9,
        latency=200.0,
        memory_bytes=32 * _GIB,
        core_hz=300_000_000,
        evidence="assumed",
        clock_note="not tried; Versal is newer than UltraScale+",
        source="AMD DS1013: two HBM2e stacks, 819 GB/s, taken as 32 channels",
    ),
}
USABLE: Final = 0.93
"""Share of the pin rate that the weight stream is assumed to get: what boards in publications reach (93 to 94 %)."""


def board(name: str) -> Board:
    """A board; raises ElastixError that lists them for a name that is none's."""
    if name in BOARDS:
        return BOARDS[name]
    close = difflib.get_close_matches(name, BOARDS, 1)
    raise ElastixError(f"board {name!r}", wanted=" or ".join(BOARDS), do=f"did you mean {close[0]!r}?" if close else "")


def bytes_for(tokens_per_second: float, name: str) -> int:
    """Bytes that a token may move on a board at a speed, were the memory all that bounds it."""
    if not tokens_per_second > 0:
        raise ElastixError(f"{tokens_per_second} tokens a second", wanted="more than 0")
    return int(board(name).bandwidth * USABLE / tokens_per_second)
