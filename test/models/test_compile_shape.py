"""Processor and program of a model from its configuration alone."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from models.compiled_models import compiled
from random_llama import random_llama

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.hugging_face import import_language_model
from elastix.compiler.options import CompileOptions
from elastix.runtime.step_device import StepDevice
from elastix.tools.bench import compile as bench
from elastix.tools.shapes import SHAPES, write_shape


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def shape(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder without weights."""
    return write_shape(str(model), tmp_path_factory.mktemp("shape"))


def test_all_but_the_weights_is_what_the_model_gives(model: Path, shape: Path, tmp_path: Path) -> None:
    options = ("--beat", 64, "--max-context", 32)
    whole = compiled(model, tmp_path / "whole", *options, "--whole-step")
    without = compiled(shape, tmp_path / "without", *options, "--no-weights")
    files = {path.relative_to(whole) for path in whole.rglob("*") if path.is_file()}
    there = {path.relative_to(without) for path in without.rglob("*") if path.is_file()}
    assert files - there == {Path("weights.bin")}
    for each in [Path("program.bin"), *(path for path in files if path.suffix == ".sv")]:
        assert (whole / each).read_bytes() == (without / each).read_bytes()
    with pytest.raises(ElastixError, match=r"weights\.bin"):
        StepDevice.load(without)


def test_values_are_refused(shape: Path) -> None:
    store = import_language_model(shape, weights=False).store
    name = "model.embed_tokens.weight"
    assert store.shape(name) == (99, 48)
    with pytest.raises(ElastixError, match="without weights"):
        store.read(name)
    with pytest.raises(ElastixError, match="no weight named nobody"):
        store.shape("nobody")


def test_launches_want_weights() -> None:
    with pytest.raises(ElastixError, match="--no-weights without --whole-step"):
        CompileOptions(weights=False)


def test_the_benchmark_compiles_a_shape(shape: Path) -> None:
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    figures: dict[str, Any] = bench.run(parser.parse_args(["--shape", str(shape), "--runs", "1", "--bits", "4"]))
    assert {"import", "s5_lower", "s6_hardware"} <= set(figures["seconds"])
    assert "weights" not in figures["seconds"]
    assert 0 < figures["seconds_after_import"] < figures["wall_seconds"]
    assert figures["peak_memory_bytes"] > 0
    assert figures["cpu_seconds"] > 0


def test_a_shape_is_a_name_or_a_file(tmp_path: Path) -> None:
    written = write_shape("llama-3.1-8b", tmp_path, num_hidden_layers=1)
    config = json.loads((written / "config.json").read_text())
    assert config == {**SHAPES["llama-3.1-8b"], "num_hidden_layers": 1}
    with pytest.raises(ElastixError, match=r"llama-3\.1-8b, or a config\.json"):
        write_shape("llama-9", tmp_path)
