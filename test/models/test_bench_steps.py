"""The benchmarks of whole decode steps, on a small model: what is counted, on one processor, with and without RTL."""

import argparse
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from models.compiled_models import compiled
from random_llama import random_llama

from elastix.compiler.errors import ElastixError
from elastix.tools.bench import bandwidth, decode

POSITION = "21"


def run(benchmark: ModuleType, *words: object) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    return benchmark.run(parser.parse_args([*map(str, words), "--position", POSITION, "--beat", "64"]))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_llama(tmp_path_factory.mktemp("llama"), max_position_embeddings=512)


def test_widths_and_plans_share_one_processor(model: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("default: 3\nlayers:\n  model.layers.0.mlp.*: 6\n")
    figures = run(decode, "--model", model, "--bits", 8, 3, "--plan", plan, "--vector-lanes", 2, "--check")
    assert [row["bits"] for row in figures["runs"]] == ["8", "3", str(plan)]
    eight, three, mixed = figures["runs"]
    assert eight["cycles_by_bytes"] == 1.0
    assert eight["bytes"] > mixed["bytes"] > three["bytes"]
    assert three["cycles_by_bytes"] == pytest.approx(
        three["cycles"] / eight["cycles"] / (three["bytes"] / eight["bytes"]), abs=1e-4
    )
    assert figures["worst_deviation_from_proportional"] == max(
        abs(round(row["cycles_by_bytes"] - 1, 4)) for row in figures["runs"]
    )
    assert all("equal in every bit" in row["kind"] for row in figures["runs"])
    assert len({row["cache_beats"] for row in figures["runs"]}) == 1
    with pytest.raises(ElastixError, match="no --bits and no --plan"):
        run(decode, "--model", model, "--bits")


def test_a_compiled_folder_is_run_as_it_is(model: Path, tmp_path: Path) -> None:
    folder = compiled(model, tmp_path / "out", "--beat", 64, "--vector-lanes", 2, "--bits", 3)
    (row,) = run(decode, "--folder", folder)["runs"]
    assert (row["beat"], row["vector_lanes"], row["cycles_by_bytes"]) == (64, 2, 1.0)
    assert row["weight_beats"] > row["cache_beats"] > 0


def test_every_cycle_of_a_step_is_accounted_for(model: Path) -> None:
    figures = run(bandwidth, "--step", "--model", model, "--bits", 4, "--memory", "ideal", "ddr4-2400-x32")
    assert "launches" not in figures
    for row in figures["steps"]["runs"]:
        data = row["weight_beats"] + row["cache_beats"]
        assert row["data_beats"] == data
        assert row["share_of_cycles"] == pytest.approx(data / row["cycles"], abs=1e-4)
        stalls = sum(row["stalls_of_channel_0"].values())
        assert stalls + data + row["constant_beats"] == pytest.approx(row["cycles"], rel=0.01)
        assert row["cycle_model"]["over_rtl"] == pytest.approx(1, abs=0.05)
    ideal, timed = figures["steps"]["runs"]
    assert "share_of_peak" not in ideal
    assert 0 < timed["share_of_peak"] < 1
    assert timed["cycles"] > ideal["cycles"]


def test_a_shape_on_several_channels_with_and_without_rtl(model: Path) -> None:
    """Random weights are those of no model, but engines agree on them."""
    words = ("--step", "--shape", model, "--layers", 1, "--bits", 4, "--channels", 2, "--memory", "ideal")
    (simulated,) = run(bandwidth, *words, "--check")["steps"]["runs"]
    (modelled,) = run(bandwidth, *words, "--model-only", "--per-layer")["steps"]["runs"]
    assert "every bit" in simulated["kind"] and "cycle model" in modelled["kind"]
    assert modelled["cycles"] == pytest.approx(simulated["cycles"], rel=0.1)
    assert modelled["cycles"] == simulated["cycle_model"]["cycles"]
    assert modelled["weight_beats"] >= simulated["weight_beats"]
    layer = modelled["one_layer_more"]
    assert 0 < layer["cycles"] < modelled["cycles"]
    assert layer["cache_beats"] == modelled["cache_beats"]  # embedding and head have no rows
    with pytest.raises(ElastixError, match="--per-layer"):
        run(bandwidth, "--step", "--model", model, "--per-layer")


def test_launches_are_as_they_were() -> None:
    words = ("--no-step", "--rows", 64, "--columns", 64, "--bits", 4, "--memory", "ddr4-2400-x32", "--launches", 1)
    figures = run(bandwidth, *words)
    assert "steps" not in figures
    assert figures["launches"]["worst_share_of_peak"] == figures["launches"]["runs"][0]["share_of_peak"]
