"""The area benchmark: the pin harness keeps the module whole, and the engine stays within its budget."""

import argparse

import pytest

from elastix.compiler.circuit import Module
from elastix.tools.bench import area


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    area.add_arguments(parser)
    return parser.parse_args(words)


def test_pin_harness_reaches_every_port() -> None:
    m = Module("adder")
    a, b = m.input("a", 3), m.input("b", 3)
    m.output("sum", m.register("total", a.zext(4) + b.zext(4)))
    harness = area.pin_harness(m)
    assert (harness.inputs, harness.outputs) == ({"serial_in": 1}, {"serial_out": 1})
    assert harness.text("verilog").count("seq.compreg name") == 6 + 1 + 1  # inputs, the sum as seen, one gathering xor


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


@pytest.mark.slow
def test_the_engine_of_the_readme_keeps_its_budget() -> None:
    """At most 10,000 cells on ECP5: a carry takes two, a LUT RAM of 16 × 4 four and two more for its write port."""
    pytest.importorskip("pyosys", reason="pyosys is not installed")
    figures = area.run(options("--no-route"))["ecp5"]
    assert figures["luts"] + 2 * figures["carries"] + 6 * figures["lut_rams"] <= 10_000
