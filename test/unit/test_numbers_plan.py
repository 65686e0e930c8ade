"""Precision plans: what they mean, and each mistake's one sentence with its line."""

from pathlib import Path

import pytest

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.plan import ROTATE, default_format, load_plan, uniform
from elastix.compiler.options import ROTATIONS

NAMES = ["model.embed_tokens.weight"] + [
    f"model.layers.{i}.mlp.{part}_proj.weight" for i in range(3) for part in ("up", "down")
]


def plan_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_last_line_that_matches_wins(tmp_path: Path) -> None:
    text = """
default: 6
layers:
  "*.mlp.*": 4b g64 s6 half_step
  model.layers.1.*: {bits: 3, group: 128}
  model.layers.1.mlp.up_proj: {bits: 2, scale: s8}
"""
    plan = load_plan(plan_file(tmp_path, text))
    plan.check(NAMES)
    assert plan.format_of("model.embed_tokens.weight") == default_format(6)
    assert plan.format_of("model.layers.0.mlp.up_proj.weight") == Format(4, 64, "s6", "half_step")
    assert plan.format_of("model.layers.1.mlp.down_proj.weight").group == 128
    assert plan.format_of("model.layers.1.mlp.up_proj.weight") == Format(2, default_format(2).group, "s8", "half_step")


def test_uniform() -> None:
    assert all(uniform(bits).format_of("x") == default_format(bits) for bits in range(1, 9))
    with pytest.raises(ElastixError, match="weights of 9 bits; wanted: 1 to 8 bits"):
        uniform(9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "plan.yaml: an empty plan; wanted: default: and layers:"),
        ("default: 9", "plan.yaml:1: weights of 9 bits; wanted: 1 to 8 bits"),
        ("\ndefault: -1", "plan.yaml:2: weights of -1 bits; wanted: 1 to 8 bits"),
        (
            "defualt: 3",
            "plan.yaml:1: unknown key 'defualt'; wanted: default or layers or rotate; did you mean 'default'?",
        ),
        ("default: [1", "plan.yaml:1: expected ',' or ']', but got '<stream end>'; wanted: a YAML plan"),
        ("layers:\n  a: 4\n  a: 5", "plan.yaml:3: 'a' stands twice; wanted: each key once"),
        ("default: {bits: 4, scale: s7}", "plan.yaml:1: scale is 's7'; wanted: s8 or s6 or s8c8"),
        (
            "default: {bits: 4, zero: halfstep}",
            "plan.yaml:1: zero is 'halfstep'; wanted: symmetric or half_step or asymmetric; did you mean 'half_step'?",
        ),
        ("default: 4b g63 s6 half_step", "plan.yaml:1: a group of 63 columns; wanted: a multiple of 32 from 32 to 256"),
        ("layers:\n  a:\n    group: 64", "plan.yaml:3: a format without bits; wanted: {bits: 4, …}"),
        (
            "default: {bits: 4, colour: 1}",
            "plan.yaml:1: unknown key 'colour'; "
            "wanted: bits or group or scale or zero or activation_bits or error or kl or why",
        ),
        ("default: {bits: four}", "plan.yaml:1: bits is 'four'; wanted: a whole number"),
        ("layers: 4", "plan.yaml:1: layers is no mapping; wanted: layer: format"),
        ("- 3", "plan.yaml:1: the plan is no mapping; wanted: default: and layers:"),
        ("default: true", "plan.yaml:1: weight format 'true'; wanted: a format such as '4b g64 s6 half_step'"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ElastixError) as error:
        load_plan(plan_file(tmp_path, text))
    assert str(error.value) == f"{tmp_path}/{message}"


def test_a_layer_that_is_not_there(tmp_path: Path) -> None:
    plan = load_plan(plan_file(tmp_path, "default: 4\nlayers:\n  model.layer.1.mlp.up_proj: 4\n"))
    with pytest.raises(ElastixError) as error:
        plan.check(NAMES)
    assert str(error.value) == (
        f"{tmp_path}/plan.yaml:3: no layer of the model matches 'model.layer.1.mlp.up_proj'; "
        "wanted: one of its 7 layers; did you mean 'model.layers.1.mlp.up_proj'?"
    )


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ElastixError, match=r"cannot read the plan .*none.yaml: No such file or directory"):
        load_plan(tmp_path / "none.yaml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ElastixError, match="binary: it is not UTF-8 text"):
        load_plan(tmp_path / "binary")


def test_a_stored_name_means_all_views_of_it_and_a_view_can_be_named_alone(tmp_path: Path) -> None:
    names = ["w.weight.T@{H64}.T", "e.weight@{H64}", "e.weight*{n.weight}@{H64}", "c.weight.T[0:4]", "c.weight.T[4:8]"]
    path = tmp_path / "plan.yaml"
    path.write_text("layers: {w: 3, e: 4, 'e.weight*{n.weight}@{H64}': 5, c.weight: 6, 'c.weight.T[4:8]': 7}")
    plan = load_plan(path)
    plan.check(names)
    assert [plan.format_of(name).bits for name in names] == [3, 4, 5, 6, 7]


def test_activation_bits_notes_and_the_rotation(tmp_path: Path) -> None:
    layers = "{a: {bits: 3, kl: 0.1, why: 'hard: it is'}, b: 5}"
    text = f"rotate: values\ndefault: {{bits: 4, activation_bits: 9}}\nlayers: {layers}"
    plan = load_plan(plan_file(tmp_path, text))
    assert plan.rotate == "values" and plan.folder is None
    assert [plan.line_of(name).activation_bits for name in ("a.weight", "b.weight", "c.weight")] == [None, None, 9]
    assert tuple(ROTATIONS) == ROTATE
