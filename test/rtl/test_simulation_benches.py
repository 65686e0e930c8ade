"""What the benches state about the processor, held to the project's targets."""

import argparse
from typing import Any

import pytest

from elastix.compiler.errors import ElastixError
from elastix.runtime.device import Memory
from elastix.runtime.simulate import ArcEngine, Counters
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
    result = figures(bandwidth, "--no-step", "--bits", "1", "3")["launches"]
    assert len(result["runs"]) == 8
    for row in result["runs"]:
        assert 0.93 <= row["share_of_peak"] <= 1
        assert row["peak_gb_per_s"] <= min(row["pins_gb_per_s"], row["port_gb_per_s"])


def test_two_channels_read_twice_as_fast() -> None:
    words = ("--no-step", "--bits", "4", "--memory", "hbm2-channel", "--channels")
    one, two = (figures(bandwidth, *words, channels)["launches"]["runs"][0] for channels in "12")
    assert two["gb_per_s"] == pytest.approx(2 * one["gb_per_s"], rel=0.03)
    assert two["share_of_peak"] >= 0.93


def test_both_simulators_are_timed_in_turn() -> None:
    """The bench itself raises where results or cycles of the two differ."""
    result = figures(simulate, "--rows", "64", "--columns", "64", "--launches", "3")
    assert set(result["khz_median"]) == set(result["khz_range"]) == {"rtl", "verilator"}
    assert len(result["ratio_rtl_to_verilator"]["each"]) == 3
    assert result["cycles_a_launch"] > 0


def test_an_engine_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(ArcEngine):
        def run(self, memory: Memory, descriptor: int) -> Counters:
            counters = super().run(memory, descriptor)
            memory[-1] ^= 1
            return counters

    monkeypatch.setattr(simulate, "VerilatorEngine", Wrong)
    with pytest.raises(ElastixError, match="that differ"):
        figures(simulate, "--rows", "64", "--columns", "64", "--launches", "2")
