"""The area benchmark: the pin harness keeps the module whole, and engine and processor stay within their budgets."""

import argparse

import pytest

from elastix.compiler.circuit import Module
from elastix.compiler.errors import ElastixError
from elastix.tools.bench import area
from elastix.tools.synthesis import pin_harness


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    area.add_arguments(parser)
    return parser.parse_args(words)


def test_pin_harness_reaches_every_port() -> None:
    m = Module("adder")
    a, b = m.input("a", 3), m.input("b", 3)
    m.output("sum", m.register("total", a.zext(4) + b.zext(4)))
    harness = pin_harness(m)
    assert (harness.inputs, harness.outputs) == ({"serial_in": 1}, {"serial_out": 1})
    assert harness.text("verilog").count("seq.compreg name") == 6 + 1 + 1  # inputs, the sum as seen, one gathering xor


@pytest.mark.parametrize("change", ["lanes", "vector_lanes=many", "speed=3"])
def test_a_parameter_that_no_step_processor_has_is_refused(change: str) -> None:
    with pytest.raises(ElastixError, match=r"NAME=NUMBER, of .*vector_lanes"):
        area.run(options("--step", change))


def test_a_feature_that_no_step_processor_has_is_refused() -> None:
    with pytest.raises(ElastixError, match="features has turbo"):
        area.run(options("--step", "features=rotate+turbo"))


@pytest.mark.slow
def test_a_small_engine_counts() -> None:
    pytest.importorskip("pyosys", reason="pyosys is not installed")
    figures = area.run(options("--beat", "64", "--activation-bits", "8", "--max-tiles", "16", "--no-route"))
    assert figures["parameters"]["beat"] == 64
    for family in ("ecp5", "ultrascale_plus"):
        # Two rows and the converter: two multipliers each; activations and headers in block RAM.
        assert figures[family]["multipliers"] == 6
        assert figures[family]["block_rams"] > 0
        assert 500 < figures[family]["luts"] < 3000
    for name, both in figures["ecp5_modelled"].items():
        assert both["found"] == figures["ecp5"][name]
        assert both["of_found"] == pytest.approx(1, abs=0.25), name


@pytest.mark.slow
def test_the_engine_of_the_readme_keeps_its_budget() -> None:
    """At most 10,000 cells on ECP5: a carry takes two, a LUT RAM of 16 × 4 four and two more for its write port."""
    pytest.importorskip("pyosys", reason="pyosys is not installed")
    figures = area.run(options("--no-route"))["ecp5"]
    assert figures["luts"] + 2 * figures["carries"] + 6 * figures["lut_rams"] <= 10_000


@pytest.mark.slow
def test_the_processor_of_stories260k_keeps_its_budget() -> None:
    """At most 30,000 cells on ECP5, counted as above; its own matrix engine, vector engine and all the rest."""
    pytest.importorskip("pyosys", reason="pyosys is not installed")
    figures = area.run(options("--step", "--no-route"))["ecp5"]
    assert figures["luts"] + 2 * figures["carries"] + 6 * figures["lut_rams"] <= 30_000
