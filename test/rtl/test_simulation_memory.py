"""The memory model against clocks counted by hand."""

from dataclasses import replace
from itertools import pairwise

import pytest

from elastix.compiler.errors import ElastixError
from elastix.runtime import _runtime
from elastix.runtime.memory_model import (
    DDR3_1600_X16,
    DDR4_2400_X32,
    DDR4_2400_X64,
    HBM2_CHANNEL,
    IDEAL,
    PRESETS,
    Dram,
    MemoryModel,
    memory_model,
)

DDR3 = DDR3_1600_X16.dram
assert DDR3 is not None
NO_REFRESH = replace(DDR3, t_refi=0.0)
# DDR3-1600K in clocks of 1.25 ns
CL, CWL, RCD, RP, RAS, RRD, FAW, RTP, WR, WTR, RFC, REFI, BURST = 11, 8, 11, 11, 28, 6, 32, 6, 12, 6, 208, 6240, 4
ROW, BANKS = 2048, 8


def trace(dram: Dram, *accesses: tuple[int, int, bool]) -> tuple[list[int], dict[str, int]]:
    return _runtime.dram_trace(MemoryModel("test", dram=dram).parameters(), list(accesses))


def read(address: int, arrival: int = 0) -> tuple[int, int, bool]:
    return arrival, address, False


def write(address: int, arrival: int = 0) -> tuple[int, int, bool]:
    return arrival, address, True


def test_clocks_are_rounded_as_jedec_does() -> None:
    p = DDR3_1600_X16.parameters()
    assert [
        p[name]
        for name in ("nCL", "nCWL", "nRCD", "nRP", "nRAS", "nRRD", "nFAW", "nRTP", "nWR", "nWTR", "nRFC", "nREFI")
    ] == [CL, CWL, RCD, RP, RAS, RRD, FAW, RTP, WR, WTR, RFC, REFI]
    p = DDR4_2400_X64.parameters()
    assert (p["nRCD"], p["nRAS"], p["nFAW"], p["nCCD_S"], p["nCCD_L"], p["nRFC"]) == (17, 39, 26, 4, 6, 420)


def test_a_first_read_activates_and_hits_follow_on_the_bus() -> None:
    ends, counts = trace(NO_REFRESH, read(0), read(16), read(32))
    first = RCD + CL + BURST
    assert ends == [first, first + BURST, first + 2 * BURST]
    assert counts == {"accesses": 3, "row_hits": 2, "row_misses": 1, "refreshes": 0}


def test_a_row_conflict_waits_for_precharge_and_activate() -> None:
    ends, counts = trace(NO_REFRESH, read(0), read(ROW * BANKS))
    assert ends[1] == RAS + RP + RCD + CL + BURST
    assert counts["row_misses"] == 2


def test_another_bank_is_activated_meanwhile() -> None:
    ends, _ = trace(NO_REFRESH, read(0), read(ROW))
    assert ends == [RCD + CL + BURST, RRD + RCD + CL + BURST]


def test_four_activates_fill_a_window() -> None:
    ends, _ = trace(NO_REFRESH, *(read(ROW * bank, arrival=1) for bank in range(5)))
    activates = [end - RCD - CL - BURST for end in ends]
    assert activates == [1, 1 + RRD, 1 + 2 * RRD, 1 + 3 * RRD, 1 + FAW]


def test_the_bus_turns_round() -> None:
    ends, _ = trace(NO_REFRESH, write(0), read(16), write(32))
    assert ends[0] == RCD + CWL + BURST
    assert ends[1] == ends[0] + WTR + CL + BURST
    read_command = ends[1] - CL - BURST
    assert ends[2] == read_command + CL + BURST + 2 - CWL + CWL + BURST


def test_a_written_row_recovers_before_precharge() -> None:
    ends, _ = trace(NO_REFRESH, write(0, 100), read(ROW * BANKS))
    assert ends[1] == ends[0] + WR + RP + RCD + CL + BURST


def test_a_refresh_closes_rows_and_takes_its_time() -> None:
    ends, counts = trace(DDR3, read(0), read(16, REFI))
    assert ends[1] == REFI + RP + RFC + RCD + CL + BURST
    assert counts == {"accesses": 2, "row_hits": 0, "row_misses": 2, "refreshes": 1}
    ends, counts = trace(DDR3, read(0), read(16, 3 * REFI + RP + RFC))
    assert ends[1] == 3 * REFI + RP + RFC + RCD + CL + BURST
    assert counts["refreshes"] == 3


def test_bank_groups_alternate() -> None:
    ddr4 = DDR4_2400_X64.dram
    assert ddr4 is not None
    ends, _ = trace(replace(ddr4, t_refi=0.0), read(0), read(64), read(128), read(192), read(256))
    # Four groups, a row each: activates every tRRD = 4 clocks, as long as an access takes on the bus.
    assert [b - a for a, b in pairwise(ends)] == [4, 4, 4, 4]
    one_group = replace(ddr4, t_refi=0.0, bank_groups=1, banks_per_group=16)
    ends, _ = trace(one_group, read(0), read(64), read(128))
    assert [b - a for a, b in pairwise(ends)] == [6, 6]


@pytest.mark.parametrize("model", PRESETS.values(), ids=lambda model: model.name)
@pytest.mark.parametrize("core_hz", [150_000_000, 300_000_000, 450_000_000])
def test_peak_is_what_refresh_and_the_port_leave(model: MemoryModel, core_hz: int) -> None:
    port = 32 * core_hz
    peak = model.at(core_hz).peak(256)
    if model.dram is None:
        assert peak == port
        return
    d = model.dram
    # Per refresh interval the bus loses the refresh itself, the precharge before it and the activate and command after
    # it.
    lost = (d.t_rfc + d.t_rp + d.t_rcd + d.t_rtp + d.t_ras) / d.t_refi
    upper, lower = d.pin_rate * (1 - d.t_rfc / d.t_refi), d.pin_rate * (1 - lost)
    assert peak <= min(port, upper * 1.001)
    assert peak >= min(port, lower) * (1 if lower > port * 1.05 else 0.97)


def test_peak_without_refresh_is_the_pin_rate() -> None:
    model = replace(DDR3_1600_X16, dram=NO_REFRESH)
    assert model.peak(256) == pytest.approx(model.pin_rate, rel=1e-4)


def test_peak_with_one_burst_at_a_time_pays_every_latency() -> None:
    # 4 KB a burst on the ideal memory: 16 cycles to its first beat, 128 beats.
    model = replace(IDEAL, outstanding=1)
    assert model.peak(256) == pytest.approx(32 * model.core_hz * 128 / (128 + 16), rel=0.01)


def test_presets_and_refusals() -> None:
    assert memory_model("hbm2-channel") is HBM2_CHANNEL
    assert DDR4_2400_X32.pin_rate == 9.6e9
    with pytest.raises(ElastixError, match="no memory model 'ddr9'"):
        memory_model("ddr9")
    with pytest.raises(ElastixError, match="pressure of 100 %"):
        IDEAL.with_pressure(1, 100)
    with pytest.raises(ElastixError, match="time left to read"):
        replace(DDR3, t_refi=500.0)
    with pytest.raises(ElastixError, match="multiple of the access"):
        replace(DDR3, row_bytes=100)
