"""What crosses between host and processor: counted in the report as the RTL and the runtime have it."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from models.compiled_models import Command

from elastix.compiler.crossings import Crossing, crossing_table
from elastix.compiler.manifest import load_manifest
from elastix.compiler.numbers.formats import Format, Geometry
from elastix.tools.session import Session

LAUNCHES = 2 * 7 + 1
GROUPS = 2 * 4 + 1
"""Of q, k and v; o; gate and up; down; and the head."""


def test_crossings_of_a_small_model(tiny: Path, tiny_model: Path, tmp_path: Path, elastix: Command) -> None:
    figures = elastix("compile", tiny_model, "-o", tmp_path / "out", "--bits", 5, "--max-context", 32)
    assert figures["crossings"] == GROUPS + 1, "one of them the embedding's row"
    assert figures["launches"] == LAUNCHES
    # Rows of 40 are two tiles of 64 bytes and a slot for the exponent; those of 72, three and a slot; heads have 10.
    assert figures["crossing_bytes_in"] == 64 * (2 * (3 + 3 + 3 + 4) + 3)
    results = 2 * (4 * 10 + 2 * 2 * 10 + 40 + 2 * 72 + 40) + 99
    (table,) = (layer for layer in load_manifest(tmp_path / "out").layers if layer.look_ups)
    block = Geometry(Format.parse(table.format), table.rows, table.columns, 256).block_beats * 256 // 8
    assert figures["crossing_bytes_out"] == 4 * results + block
    report = (tmp_path / "out" / "report.md").read_text()
    names = ", ".join(f"model.layers.*.self_attn.{each}_proj" for each in "qkv")
    assert f"| 2 | {names} | 3 | 192 | 320 |" in report
    assert "the host looks up rows" in report


@pytest.mark.parametrize("shape", [("--beat", 256), ("--beat", 64, "--channels", 2)])
def test_cycles_are_the_rtls(tiny_model: Path, tmp_path: Path, elastix: Command, shape: tuple[object, ...]) -> None:
    """Within 3 % behind the ideal memory, though most of a small layer's launch is what no weight takes."""
    out = tmp_path / "out"
    figures = elastix("compile", tiny_model, "-o", out, "--bits", 5, "--max-context", 32, *shape)
    with ExitStack() as stack:
        session = Session(out, "rtl", None, stack)
        session.use(session.chosen)
        session.step([1], 0)
        cycles = session.figures({})["cycles"]
    print(f"{figures['weight_cycles']} and {figures['other_cycles']} cycles, by the RTL {cycles}")
    assert figures["weight_cycles"] + figures["other_cycles"] == pytest.approx(cycles, rel=0.03)
    assert figures["other_cycles"] > 0.3 * cycles


def test_whole_steps_cross_nowhere(small_model: Path, tmp_path: Path, elastix: Command) -> None:
    figures = elastix("compile", small_model, "-o", tmp_path / "out", "--whole-step", "--max-context", 32)
    assert "crossings" not in figures and "launches" not in figures


def test_crossings_that_are_alike_stand_in_one_line() -> None:
    each = Crossing(("a.0.q", "a.0.k"), 2, 64, 128, 10, 20)
    other = Crossing(("a.1.q", "a.1.k"), 2, 64, 128, 10, 20)
    less = Crossing(("a.2.q", "a.2.k"), 2, 64, 128, 9, 20)
    assert crossing_table([each, other, less])[2:] == [
        "| 2 | a.*.q, a.*.k | 2 | 64 | 128 | 10 | 20 |",
        "| 1 | a.*.q, a.*.k | 2 | 64 | 128 | 9 | 20 |",
    ]
