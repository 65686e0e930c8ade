"""Plan folders: what is written comes back, is compiled to the bit, can be edited, and serves no other model."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import load_file

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.block_codes import NoCodes
from elastix.compiler.importer.store import ArrayStore
from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.numbers.pack import QuantizedRows
from elastix.compiler.numbers.plan import load_plan
from elastix.compiler.numbers.quantize import quantize
from elastix.compiler.precision.allocate import Point
from elastix.compiler.precision.curve_picture import Curve
from elastix.compiler.precision.plan_folder import PlanContent, write_plan
from elastix.compiler.precision.plan_weights import PlanWeights, weights_of
from elastix.compiler.precision.planned_layer import PlannedLayer
from elastix.compiler.precision.summary import print_summary

FORMATS = [
    Format(3, 64, "s8c8", "asymmetric"),
    Format(4, 32, "s8c8", "asymmetric"),
    Format(5, 96, "s8", "half_step"),
    Format(2, 32, "s6", "half_step"),
    Format(8, 64, "s8", "symmetric"),
]
CURVE = Curve((Point(1000, 0.5), Point(1500, 0.1), Point(2500, 1e-3)), Point(1600, 0.08), 4000, measured=0.09)
Rows = dict[str, QuantizedRows]


def layer(name: str, rows: QuantizedRows, **changes: object) -> PlannedLayer:
    size = Geometry(rows.format, rows.rows, rows.columns, 256).stream_bytes
    return replace(PlannedLayer(name, rows.format, rows.rows, rows.columns, size, 0.01, 2e-4), **changes)


def small_plan(folder: Path, **changes: object) -> tuple[Path, Rows, ArrayStore]:
    """A plan of five layers with awkward names, in five formats."""
    random = np.random.default_rng(0)
    names = ["m.layers.0.q.weight", "m.layers.1.q.weight", "e.weight*{n.weight}@{H64}", "e.weight", "c.weight.T[0:40]"]
    arrays = {name: random.standard_normal((40, 64)).astype(np.float32) for name in names}
    rows = {name: quantize(w, form).rows for (name, w), form in zip(arrays.items(), FORMATS, strict=True)}
    layers = tuple(layer(name, each, why='kept: "as it is", ü') for name, each in rows.items())
    content = replace(PlanContent(layers, heading=("made for a test",), figures={"kl": 0.5}, curve=CURVE), **changes)
    store = ArrayStore(arrays)
    write_plan(folder / "plan", content, rows.__getitem__, store)
    return folder / "plan", rows, store


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    folder, rows, _ = small_plan(tmp_path, rotate="residual")
    plan = load_plan(folder)
    plan.check(list(rows))
    weights = weights_of(plan)
    assert weights is not None and plan.rotate == "residual"
    for name, wanted in rows.items():
        assert plan.format_of(name) == wanted.format
        found = weights.rows(name, wanted.format)
        assert isinstance(found, QuantizedRows)
        for part in ("codes", "scales", "rowscale", "zeros"):
            np.testing.assert_array_equal(getattr(found, part), getattr(wanted, part))
    other = weights.rows("e.weight", Format(4))
    assert isinstance(other, NoCodes) and other.reason == "the plan's weights have it in 2b g32 s6 half_step"
    assert len(load_file(folder / "weights.safetensors")) == 5 * 4 + 2
    report = json.loads((folder / "report.json").read_text())
    assert report["kl"] == 0.5 and [each["name"] for each in report["layers"]] == list(rows)


def test_the_plan_reads_well(tmp_path: Path) -> None:
    folder, _, _ = small_plan(tmp_path)
    assert (folder / "plan.yaml").read_text().splitlines()[:5] == [
        "# made for a test",
        "default: 8",
        "rotate: none",
        "layers:",
        "  m.layers.0.q:                {bits: 3, group: 64, scale: s8c8, zero: asymmetric, "
        'error: 1.00e-02, kl: 2.00e-04, why: "kept: \\"as it is\\", ü"}',
    ]


def test_the_same_bytes_each_time_and_whole_or_not_there(tmp_path: Path) -> None:
    first, rows, store = small_plan(tmp_path)
    (tmp_path / "again").mkdir()
    second, _, _ = small_plan(tmp_path / "again")
    for file in ("plan.yaml", "weights.safetensors", "report.json", "curve.svg", "bits.svg"):
        assert (first / file).read_bytes() == (second / file).read_bytes()
    with pytest.raises(ElastixError, match="exists; wanted: a folder that is not there yet"):
        small_plan(tmp_path)
    wrong = PlanContent(tuple(layer(name, each, format=Format(7)) for name, each in rows.items()))
    with pytest.raises(ElastixError, match=r"m.layers.0.q.weight rounded to \[40, 64\] in 3b .*; wanted: .* in 7b"):
        write_plan(tmp_path / "new", wrong, rows.__getitem__, store)
    assert not (tmp_path / "new").exists()


def test_a_torn_file_is_one_error(tmp_path: Path) -> None:
    folder, _, _ = small_plan(tmp_path)
    file = folder / "weights.safetensors"
    whole = file.read_bytes()
    for torn in (whole[:-9], whole[:100], b"", whole.replace(b'"version":"1"', b'"version":"9"')):
        file.write_bytes(torn)
        with pytest.raises(
            ElastixError, match=r"weights.safetensors holds no rounded weights: .*quantize the model again"
        ):
            PlanWeights(folder)


def test_pictures_show_every_layer_and_the_chosen_point(tmp_path: Path) -> None:
    folder, rows, _ = small_plan(tmp_path)
    bits, curve = (ElementTree.parse(folder / name).getroot() for name in ("bits.svg", "curve.svg"))
    hints = [each.text or "" for each in bits.iter("{http://www.w3.org/2000/svg}title")]
    for name, each in rows.items():
        assert any(hint.startswith(f"{name}\n{each.format}\n") for hint in hints)
    texts = [each.text for each in curve.iter("{http://www.w3.org/2000/svg}text")]
    assert "chosen: 3.200 bits a weight, 0.0 MB a token, KL 0.0800 predicted, measured 0.0900" in texts
    lines = printed([layer(name, each) for name, each in rows.items()])
    assert re.search(r"q +│ ▃▄ +│ s8c8 asymmetric g32, g64", lines)
    assert lines.count("◆") == 2 and "0.01 ┤" in lines


def printed(content: list[PlannedLayer]) -> str:
    console = Console(width=120, file=io.StringIO())
    print_summary(content, CURVE, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
