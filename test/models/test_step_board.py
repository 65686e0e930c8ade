"""A model too large for a board: the message names the resource and amounts, and what it proposes does fit."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from random_llama import random_llama

from elastix.compiler import boards
from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.files import import_file
from elastix.compiler.options import CompileOptions
from elastix.compiler.stages import Stages
from elastix.compiler.step.compile import LoweredStep, lower_step_of
from elastix.tools.cli import main

Said = pytest.CaptureFixture[str]
BOARD = "ecp5-85k-ddr3"
FIXED = ("beat", "channels", "vector_lanes", "attention_lanes")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small, but with positions for long caches."""
    return random_llama(tmp_path_factory.mktemp("long"), max_position_embeddings=1 << 16)


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With layers of many pages, so that a bit less shows."""
    sizes = {"hidden_size": 192, "intermediate_size": 384, "num_key_value_heads": 3, "head_dim": 32}
    return random_llama(tmp_path_factory.mktemp("wide"), max_position_embeddings=2048, **sizes)


def words_of(options: dict[str, object]) -> list[str]:
    return [str(word) for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]


def said(capsys: Said, model: Path, tmp_path: Path, **options: object) -> str:
    """The error of `elastix compile --whole-step`, which leaves nothing behind."""
    out = tmp_path / "out"
    capsys.readouterr()
    assert main(["compile", str(model), "-o", str(out), "--whole-step", "--json", *words_of(options)]) == 1
    streams = capsys.readouterr()
    assert streams.out == ""
    assert list(tmp_path.iterdir()) == []
    (line,) = [each for each in streams.err.splitlines() if each.startswith("error: ")]
    return line.removeprefix("error: ")


def ways_in(message: str) -> list[dict[str, str]]:
    """What the last part of a message proposes, as options."""
    ways = message.rsplit("; ", 1)[1].split(" or ")
    return [{name.replace("-", "_"): value for name, value in re.findall(r"--([a-z-]+) ([\w-]+)", way)} for way in ways]


def lowered(model: Path, **options: Any) -> LoweredStep:
    """What the command line would compile, as far as to know that it fits; raises ElastixError else."""
    values = {name: int(value) if str(value).isdigit() else value for name, value in options.items()}
    fixed = tuple(name for name in FIXED if name in values)
    chosen = CompileOptions(whole_step=True, objective="area", fixed=fixed, **values)
    return lower_step_of(import_file(model, chosen.max_context), chosen, Stages())


def small_board(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    monkeypatch.setitem(boards.BOARDS, BOARD, replace(boards.board(BOARD), **changed))


def test_weights_and_caches_beyond_the_memory(
    wide_model: Path, tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page less than it takes, and a long cache: fewer bits, a shorter cache and another board are proposed."""
    options: dict[str, Any] = {"board": BOARD, "max_context": 256, "bits": 6, "beat": 64}
    size = lowered(wide_model, **options).manifest().memory.size
    small_board(monkeypatch, memory_bytes=size - 4096)
    message = said(capsys, wide_model, tmp_path, **options)
    assert re.match(rf"a model of [\d.]+ MB, weights [\d.]+ and caches [\d.]+, on {BOARD}; wanted: at most ", message)
    ways = ways_in(message)
    assert [list(way) for way in ways] == [["bits"], ["max_context"], ["board"]]
    for way in ways:
        assert lowered(wide_model, **{**options, **way}).manifest().memory.size <= (
            size if "board" in way else size - 4096
        )


def test_fewer_bits_and_a_shorter_cache_where_one_is_not_enough(
    wide_model: Path, tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"board": BOARD, "max_context": 1024, "bits": 8, "beat": 64}
    least = lowered(wide_model, **{**options, "max_context": 256, "bits": 2}).manifest().memory.size
    small_board(monkeypatch, memory_bytes=least)
    both = ways_in(said(capsys, wide_model, tmp_path, **options))[0]
    assert list(both) == ["bits", "max_context"]
    assert lowered(wide_model, **{**options, **both}).manifest().memory.size <= least


def test_a_plan_of_fewer_bits(wide_model: Path, tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--bits` and a plan exclude each other."""
    plan = tmp_path / "plan.yaml"
    plan.write_text("default: 8\nlayers:\n  model.layers.*.mlp.down_proj: 6\n")
    options: dict[str, Any] = {"board": BOARD, "max_context": 64, "beat": 64}
    step = lowered(wide_model, plan=plan, **options)
    small_board(monkeypatch, memory_bytes=step.manifest().memory.size // 2)
    (tmp_path / "there").mkdir()
    message = said(capsys, wide_model, tmp_path / "there", precision=plan, **options)
    (found,) = re.findall(r"; a plan of elastix quantize --target-bits ([\d.]+) or ", message)
    assert 3 < float(found) < step.memory.image.bits_per_weight / 2
    assert "--bits " not in message


def test_a_board_with_too_few_luts(model: Path, tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    small_board(monkeypatch, luts=20_000)
    message = said(capsys, model, tmp_path, board=BOARD, max_context=64)
    assert re.match(rf"[\d,]+ LUTs on {BOARD}, for the smallest processor for this model \(--beat 64 ", message)
    assert "wanted: at most 16,000 LUTs; 80 % of the board's LUTs are taken at most; " in message
    (way,) = ways_in(message)
    assert list(way) == ["board"]
    assert lowered(model, max_context=64, **way).choice is not None


@pytest.mark.parametrize(
    ("resource", "options"),
    [
        ("multipliers", {"beat": 512, "channels": 1, "vector_lanes": 8, "max_context": 64}),
        ("block RAM bits", {"max_context": 1 << 15}),
        ("LUTs", {"beat": 256, "lanes": 8, "max_context": 64}),
        ("block RAM bits", {"beat": 512, "lanes": 8, "vector_lanes": 8, "max_context": 1 << 15}),
    ],
)
def test_what_is_proposed_fits(
    model: Path, tmp_path: Path, capsys: Said, resource: str, options: dict[str, Any]
) -> None:
    """Whatever the user has fixed: smaller values of those options, alone or together, or a shorter cache."""
    message = said(capsys, model, tmp_path, board=BOARD, **options)
    assert resource in message.split(f" on {BOARD}", 1)[0]
    ways = ways_in(message)
    assert ways and all(set(way) <= {*options, "board"} for way in ways)
    assert resource != "block RAM bits" or any("max_context" in way for way in ways)
    for way in ways:
        found = lowered(model, **{"board": BOARD, **options, **way})
        assert found.choice is not None and not found.choice.chosen.lacks
        ((name, value), *others) = way.items()
        if name != "board" and not others and 2 * int(value) < options[name]:
            with pytest.raises(ElastixError, match=f" on {BOARD}"):  # it is the nearest, too
                lowered(model, **{"board": BOARD, **options, name: 2 * int(value)})


@pytest.mark.parametrize(
    ("lanes", "rows", "ways"), [(1, 1 << 18, ["max_context"]), (2, 160_000, ["max_context", "lanes"])]
)
def test_a_cache_whose_scores_no_address_reaches(
    tmp_path: Path, capsys: Said, lanes: int, rows: int, ways: list[str]
) -> None:
    """Without a board, too: vector memory has addresses of 20 bits."""
    model = random_llama(tmp_path / "model", max_position_embeddings=1 << 18)
    (tmp_path / "there").mkdir()
    message = said(capsys, model, tmp_path / "there", lanes=lanes, max_context=rows)
    assert re.match(r"a program that needs [\d,]+ elements of vector memory; wanted: at most 1,048,576; ", message)
    found = ways_in(message)
    assert [list(way) for way in found] == [[name] for name in ways]
    for way in found:
        lowered(model, **{"lanes": lanes, "max_context": rows, **way})


def test_channels_that_are_no_power_of_two(model: Path) -> None:
    """Caches lie on as many of them as can hold them."""
    step = lowered(model, board="u280", channels=3, beat=64, vector_lanes=2, max_context=4096)
    assert step.parameters.channels == 3 and step.parameters.attention_channels in (1, 2)
