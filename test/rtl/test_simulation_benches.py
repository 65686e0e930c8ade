"""What the benches state about the processor, held to the project's targets."""

import argparse
from typing import Any

import pytest

from elastix.tools.bench import bandwidth, bits, simulate


def figures(bench: Any, *options: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    return bench.run(parser.parse_args(options))


def test_cycles_follow_bits() -> None:
    result = figures(bits)
    assert [row["bits"] for row in result["bits"]] == list(range(1, 9))
    assert result["worst_deviation_from_proportional"] <= 0.05
    for row in result["bits"]:
        assert row["beats_share_of_busy"] >= (0.95 if row["bits"] == 1 else 0.97)
        assert row["beats_share_of_busy_at_pins"] >= (0.95 if row["bits"] == 1 else 0.97)


def test_a_layer_gets_the_memorys_peak() -> None:
    result = figures(bandwidth, "--bits", "1", "3")
    assert len(result["runs"]) == 8
    for row in result["runs"]:
        assert 0.93 <= row["share_of_peak"] <= 1
        assert row["peak_gb_per_s"] <= min(row["pins_gb_per_s"], row["port_gb_per_s"])


def test_two_channels_read_twice_as_fast() -> None:
    one, two = (figures(bandwidth, "--bits", "4", "--memory", "hbm2-channel", "--channels", c)["runs"][0] for c in "12")
    assert two["gb_per_s"] == pytest.approx(2 * one["gb_per_s"], rel=0.03)
    assert two["share_of_peak"] >= 0.93


def test_the_simulator_is_fast_enough_to_be_of_use() -> None:
    # A machine under load is slower than the 300 kHz that the bench shows on an idle one: a factor is caught, not a
    # percentage.
    result = figures(simulate, "--no-verilator", "--launches", "3")
    assert result["khz_range"]["rtl"][1] > 100
