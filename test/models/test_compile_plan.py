"""Compiling with a plan folder: its codes to the bit, an edited one's lines anew, and none of another model's."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models.compiled_models import Command, compiled
from numpy.typing import NDArray
from transformers import LlamaConfig, LlamaForCausalLM

from elastix.compiler.importer.hugging_face import open_weights
from elastix.compiler.manifest import Layer, load_manifest
from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.numbers.pack import QuantizedRows, pack_layer
from elastix.compiler.numbers.quantize import quantize
from elastix.compiler.precision.plan_folder import PlanContent, write_plan
from elastix.compiler.precision.planned_layer import PlannedLayer
from elastix.compiler.program_runner import Program
from elastix.tools.cli import main

FORMATS = (Format(4, 32, "s8c8", "asymmetric"), Format(3, 64, "s6", "half_step"), Format(6, 64, "s8c8", "asymmetric"))
DOWN = "model.layers.1.mlp.down_proj"
Rows = dict[str, QuantizedRows]


def planned(model: Path, out: Path, folder: Path, **changes: Any) -> Rows:
    """A plan folder for a compiled model, its codes such as no rounding would choose."""
    store = open_weights(model)
    names = list(dict.fromkeys(layer.weight for layer in load_manifest(out).layers))
    rows: Rows = {}
    for index, name in enumerate(names):
        found = quantize(store.read(name), FORMATS[index % 3]).rows
        rows[name] = replace(
            found, codes=found.codes ^ (np.arange(found.codes.size) % 7 == 0).reshape(found.codes.shape)
        )
    layers = tuple(
        PlannedLayer(name, each.format, each.rows, each.columns, 0, 0.1, 0.01) for name, each in rows.items()
    )
    write_plan(folder, PlanContent(layers, **changes), rows.__getitem__, store)
    return rows


def segment(out: Path, layer: Layer, beat: int = 256) -> bytes:
    geometry = Geometry(Format.parse(layer.format), layer.rows, layer.columns, beat)
    return (out / "weights.bin").read_bytes()[layer.address : layer.address + geometry.segment_bytes()]


def is_planned(out: Path, layer: Layer, rows: Rows) -> bool:
    found = rows[layer.weight]
    return segment(out, layer) == pack_layer(found, Geometry(found.format, found.rows, found.columns, 256))[0]


def logits(out: Path) -> NDArray[np.float32]:
    program = Program.load(out)
    outputs = program.run({"ids": np.array([[7]]), "positions": np.array([0])})
    return next(iter(outputs.values())).reshape(-1)


@pytest.fixture(scope="module")
def plan(tiny_model: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    folder = tmp_path_factory.mktemp("planned") / "plan"
    return folder, planned(tiny_model, tiny, folder)


@pytest.mark.parametrize("given", ["", "plan.yaml"])
def test_the_plans_codes_to_the_bit(
    plan: tuple[Path, Rows], tiny_model: Path, tmp_path: Path, elastix: Command, given: str
) -> None:
    folder, rows = plan
    out = tmp_path / "out"
    figures = elastix("compile", tiny_model, "-o", out, "--precision", folder / given, "--max-context", 32)
    layers = load_manifest(out).layers
    assert figures["codes_planned"] == len(layers) and figures["not_as_planned"] == []
    assert all(layer.codes == "rounded by the plan" and is_planned(out, layer, rows) for layer in layers)
    # The codes that were turned over show in the error.
    assert all(layer.error is not None and layer.error > 1e-4 for layer in layers)


def edited(folder: Path, copy: Path, before: str, after: str) -> Path:
    shutil.copytree(folder, copy)
    text = (copy / "plan.yaml").read_text()
    assert before in text
    (copy / "plan.yaml").write_text(text.replace(before, after, 1))
    return copy


def line_of(folder: Path, name: str) -> str:
    return next(line for line in (folder / "plan.yaml").read_text().splitlines() if line.strip().startswith(name))


def test_an_edited_line_is_rounded_anew_and_named(
    plan: tuple[Path, Rows], tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, rows = plan
    line = line_of(folder, DOWN)
    copy = edited(folder, tmp_path / "plan", line, re.sub(r"bits: \d", "bits: 7", line))
    out = tmp_path / "out"
    assert main(["compile", str(tiny_model), "-o", str(out), "--precision", str(copy), "--max-context", "32"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"1 layers not in the format that {copy} has them in, rounded anew: {DOWN}.weight"
    for layer in load_manifest(out).layers:
        if layer.weight == f"{DOWN}.weight":
            assert layer.format.startswith("7b")
            assert layer.codes == f"rounded: the plan's weights have it in {rows[layer.weight].format}"
            w = quantize(open_weights(tiny_model).read(layer.weight), Format.parse(layer.format)).rows
            assert is_planned(out, layer, {layer.weight: w})
        else:
            assert is_planned(out, layer, rows)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("bits:", "bit:", "unknown key 'bit'; wanted: bits or group or"),
        ("bits: 3", "bits: 9", "weights of 9 bits; wanted: 1 to 8 bits"),
        ("group: 64", "group: 60", "a group of 60 columns; wanted: a multiple of 32 from 32 to 256"),
        ("half_step", "halfstep", "zero is 'halfstep'; wanted: .*; did you mean 'half_step'?"),
        ("model.layers.0.", "model.layer.0.", "no layer of the model matches 'model.layer.0.*did you mean"),
        ("bits: 4", "activation_bits: 13, bits: 4", "activations of 13 bits; wanted: 8 to 12 bits"),
        ("bits: 4", "activation_bits: 12, bits: 4", "activations of 12 bits; wanted: at most 11, as the processor has"),
        ("rotate: none", "rotate: rsidual", "rotate is 'rsidual'; wanted: .*; did you mean 'residual'?"),
    ],
)
def test_a_typo_is_one_error_with_its_line(
    plan: tuple[Path, Rows],
    tiny_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    before: str,
    after: str,
    message: str,
) -> None:
    copy = edited(plan[0], tmp_path / "plan", before, after)
    number = 1 + next(i for i, line in enumerate((copy / "plan.yaml").read_text().splitlines()) if after in line)
    assert main(["compile", str(tiny_model), "-o", str(tmp_path / "out"), "--precision", str(copy)]) == 1
    error = capsys.readouterr().err.splitlines()
    assert re.fullmatch(rf"(elastix: )?(error: )?{re.escape(str(copy))}/plan.yaml:{number}: {message}.*", error[-1]), (
        error
    )
    assert not (tmp_path / "out").exists()


def model_of(folder: Path, **changes: Any) -> Path:
    torch.manual_seed(1)
    sizes = dict(hidden_size=40, intermediate_size=72, num_hidden_layers=2, vocab_size=99)
    config = LlamaConfig(
        **{**sizes, **changes},
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=10,
        max_position_embeddings=64,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "was rounded from other weights: model.layers.0.self_attn.q_proj.weight"),
        ({"intermediate_size": 80}, r"is of shape \[80, 40\] in the model, and of shape \[72, 40\] in that of"),
        ({"num_hidden_layers": 3}, r"the model has a matrix model.layers.2\..*, and that of .* has none"),
        ({"num_hidden_layers": 1}, r"plan.yaml:\d+: no layer of the model matches 'model.layers.1\."),
    ],
)
def test_a_plan_of_another_model_is_refused(
    plan: tuple[Path, Rows], tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], message: str
) -> None:
    model = model_of(tmp_path / "model", **changes)
    assert main(["compile", str(model), "-o", str(tmp_path / "out"), "--precision", str(plan[0])]) == 1
    assert re.search(message, capsys.readouterr().err.splitlines()[-1])
    assert not (tmp_path / "out").exists()


def test_without_its_weights_a_plan_is_its_formats(plan: tuple[Path, Rows], tiny_model: Path, tmp_path: Path) -> None:
    folder, rows = plan
    shutil.copy(folder / "plan.yaml", tmp_path / "alone.yaml")
    out = compiled(tiny_model, tmp_path / "out", "--precision", tmp_path / "alone.yaml", "--max-context", 32)
    layers = load_manifest(out).layers
    assert all(layer.codes == "rounded: the file has no codes" for layer in layers)
    assert all(layer.format == str(rows[layer.weight].format) for layer in layers)
    assert not any(is_planned(out, layer, rows) for layer in layers)


def test_fewer_activation_bits_for_one_layer(plan: tuple[Path, Rows], tiny_model: Path, tmp_path: Path) -> None:
    line = line_of(plan[0], DOWN)
    few = edited(plan[0], tmp_path / "few", line, line.replace("bits:", "activation_bits: 8, bits:", 1))
    outs = [
        compiled(tiny_model, tmp_path / f"out{i}", "--precision", folder, "--max-context", 32)
        for i, folder in enumerate((plan[0], few))
    ]
    hosts = [(out / "host" / "step.mlir").read_text() for out in outs]
    uploads = [re.findall(r"llvm.call @elastix_quantize", host) for host in hosts]
    assert len(uploads[0]) == len(uploads[1]) > 0
    assert [(out / "weights.bin").read_bytes() == (outs[0] / "weights.bin").read_bytes() for out in outs] == [
        True,
        True,
    ]
    wide, narrow = (logits(out) for out in outs)
    assert 0 < np.abs(wide - narrow).max() < 0.1 * np.abs(wide).max()


def test_a_rotated_plan_says_so_itself(
    tiny_model: Path, tmp_path: Path, elastix: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    rotated = compiled(tiny_model, tmp_path / "rotated", "--rotate", "residual", "--max-context", 32)
    rows = planned(tiny_model, rotated, tmp_path / "plan", rotate="residual")
    assert any("@{H40}" in name for name in rows)
    out = tmp_path / "out"
    figures = elastix("compile", tiny_model, "-o", out, "--precision", tmp_path / "plan", "--max-context", 32)
    assert figures["codes_planned"] == len(load_manifest(out).layers)
    assert all(is_planned(out, layer, rows) for layer in load_manifest(out).layers)
    words = ["compile", tiny_model, "-o", tmp_path / "no", "--precision", tmp_path / "plan", "--rotate", "values"]
    assert main([str(word) for word in words]) == 1
    assert "--rotate values with the plan" in capsys.readouterr().err
