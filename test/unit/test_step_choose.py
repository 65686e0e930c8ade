"""A processor for a board, or one that is there already: what is chosen, and what is refused."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from random_llama import random_llama

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.files import import_file
from elastix.compiler.importer.imported import Imported
from elastix.compiler.ir import ModuleOp
from elastix.compiler.options import CompileOptions
from elastix.compiler.processor.step import top
from elastix.compiler.processor.step.instructions import Opcode
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.stages import Stages
from elastix.compiler.step.area import area, block_rams, cells_of
from elastix.compiler.step.choose import _Areas, _dealt, best
from elastix.compiler.step.choose_board import choose
from elastix.compiler.step.compile import LoweredStep, lower_step_of
from elastix.compiler.step.nearest import Draft
from elastix.compiler.step.parts import pays
from elastix.compiler.step.repetition import with_row_blocks
from elastix.compiler.step.reuse import check_fits, read_processor

BOARD = "ecp5-85k-ddr3"
FEATURES = ("rotate", "embed", "attention", "arg_max")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    return import_file(random_llama(tmp_path_factory.mktemp("llama")), 40)


def lowered(imported: Imported, **options: Any) -> LoweredStep:
    copied = cast(ModuleOp, imported.module.operation.clone().opview)
    chosen = CompileOptions(whole_step=True, bits=4, max_context=40, **options)
    return lower_step_of(replace(imported, module=copied), chosen, Stages())


@pytest.fixture(scope="module")
def draft(imported: Imported) -> Draft:
    return lowered(imported).draft(CompileOptions())


def test_the_fastest_that_fits_is_chosen_and_the_smallest_if_wanted(draft: Draft) -> None:
    fast, small = (choose(draft, BOARD, objective, {}) for objective in ("tokens-per-second", "area"))
    fitting = [each for each in fast.found if not each.lacks]
    assert 0 < len(fitting) < len(fast.found)
    assert fast.chosen in fitting
    assert fast.chosen.tokens_per_second >= 0.99 * max(each.tokens_per_second for each in fitting)
    assert small.chosen.luts == min(each.luts for each in fitting) < fast.chosen.luts
    assert small.chosen.tokens_per_second < fast.chosen.tokens_per_second
    assert fast.rows()[0]["chosen"]
    assert len(fast.rows()) > 4


def test_what_the_user_says_stays(draft: Draft) -> None:
    found = choose(draft, "u55c", "tokens-per-second", {"beat": 128, "channels": 4}).found
    assert {(each.parameters.beat, each.parameters.channels) for each in found} == {(128, 4)}
    found = choose(draft, BOARD, "area", {"attention_lanes": 16}).found
    assert {each.parameters.attention_lanes for each in found} == {16}
    assert {each.parameters.beat for each in found} == {128, 256, 512}
    with pytest.raises(ElastixError, match="attention_lanes = 3; wanted: 1, 2, 4, 8"):
        choose(draft, BOARD, "area", {"attention_lanes": 3})
    for option in ("channels", "attention_channels"):
        with pytest.raises(ElastixError, match=f"--{option.replace('_', '-')} 2 on ecp5.*; wanted: at most 1"):
            choose(draft, BOARD, "area", {option: 2})


def test_sixteen_vector_lanes_are_for_many_channels_and_long_heads(draft: Draft) -> None:
    longer = replace(draft, parameters=replace(draft.parameters, head_dim=16))
    for heads, channels, wanted in ((longer, 8, {2, 4, 8, 16}), (longer, 4, {1, 2, 4, 8}), (draft, 8, {2, 4, 8})):
        found = choose(heads, "u55c", "tokens-per-second", {"beat": 512, "channels": channels, "fifo_beats": 256}).found
        assert {each.parameters.vector_lanes for each in found} == wanted


def test_caches_on_several_channels_stay_there(imported: Imported) -> None:
    step = lowered(imported, board="u280", attention_channels=4, beat=128, fixed=("attention_channels", "beat"))
    assert step.choice is not None
    assert {each.parameters.attention_channels for each in step.choice.found} == {4}
    assert {each.parameters.channels for each in step.choice.found} == {4, 8, 16, 32}
    assert (step.parameters.attention_channels, step.parameters.channels) == (4, step.choice.chosen.parameters.channels)


def test_caches_lie_on_all_channels_where_they_matter(draft: Draft) -> None:
    """Long ones do; one row beside thousands of beats of weights does not; between the two both are looked at."""
    short = replace(draft, parameters=replace(draft.parameters, max_context=1))
    long = replace(draft, parameters=replace(draft.parameters, max_context=4096))
    for model, wanted in ((short, {1}), (long, {8})):
        fixed = {"beat": 256, "channels": 8, "vector_lanes": 2, "fifo_beats": 256, "attention_lanes": 8}
        found = choose(model, "u280", "tokens-per-second", fixed).found
        assert {each.parameters.attention_channels for each in found} == wanted
    assert _dealt(4, 0.02) == (1, 4)


def test_weights_in_parts_count_where_they_pay(draft: Draft) -> None:
    """A program twice as long stands for the one in parts."""
    longer = replace(draft, parameters=replace(draft.parameters, max_context=400))
    twice = replace(longer, in_parts=[*draft.program[:-1], *draft.program])
    fixed = {"beat": 256, "channels": 8, "fifo_beats": 256, "attention_lanes": 8, "attention_channels": 1}
    one, other = (
        {each.parameters: each.estimate.cycles for each in choose(some, "u280", "area", fixed).found}
        for some in (longer, twice)
    )
    assert one.keys() == other.keys()
    slower = {p for p in one if other[p] > 1.1 * one[p]}
    assert slower == {p for p in one if pays(p)}
    assert 0 < len(slower) < len(one)


def test_areas_of_caches_on_channels_are_those_of_the_circuit(draft: Draft) -> None:
    """Four of them, where the model of areas builds two."""
    p = replace(draft.parameters, channels=4, attention_channels=4, vector_lanes=2)
    found, wanted = _Areas(draft.parameters).of(p), cells_of(top.build(p))
    assert found.luts == pytest.approx(wanted.luts, rel=0.05)
    assert found.registers == pytest.approx(wanted.registers, rel=0.05)
    assert found.multipliers == pytest.approx(wanted.multipliers, rel=0.01)


def test_a_choice_is_compiled(imported: Imported) -> None:
    step = lowered(imported, board=BOARD, objective="area")
    assert step.choice is not None
    chosen = step.choice.chosen.parameters
    names = ("beat", "channels", "vector_lanes", "attention_lanes", "fifo_beats")
    assert all(getattr(step.parameters, name) == getattr(chosen, name) for name in names)


def test_a_program_for_another_beat_is_the_one_that_is_compiled_for_it(imported: Imported, draft: Draft) -> None:
    other = lowered(imported, beat=64)
    retold = with_row_blocks(draft.program, replace(draft.parameters, beat=64))
    blocks = [
        [each.values["row_blocks"] for each in program if each.opcode is Opcode.LINEAR]
        for program in (retold, other.program)
    ]
    assert blocks[0] == blocks[1]


@pytest.mark.parametrize("kind", ["manifest.json", "parameters.yaml"])
def test_a_processor_that_is_there_is_used_again(imported: Imported, tmp_path: Path, kind: str) -> None:
    """Its parameters stay, though the model needs less."""
    there = replace(lowered(imported, beat=64).parameters, max_tiles=64, vector_elements=4096)
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(there).items()}
    path = tmp_path / kind
    path.write_text(yaml.safe_dump({"step_processor": values} if kind == "manifest.json" else values))
    assert read_processor(path) == there
    assert lowered(imported, processor=path).parameters == there


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"head_dim": 16}, "heads of 8 values"),
        ({"max_context": 64}, "caches of 40 rows"),
        ({"max_tiles": 1}, "rows of 3 tiles"),
        ({"activations": ()}, "silu"),
        ({"activation_bits": 9}, "activations of 11 bits"),
    ],
)
def test_a_model_that_does_not_fit_a_processor_is_refused(draft: Draft, changed: dict[str, Any], found: str) -> None:
    with pytest.raises(ElastixError, match=found):
        check_fits(draft.parameters, replace(draft.parameters, **changed), Path("there.yaml"))


@pytest.mark.parametrize(
    ("text", "found"),
    [("beat: [", "is not YAML"), ("bits: 3", "with bits"), ("beat: wide", "beat = 'wide'"), ("", "no parameters")],
)
def test_a_file_without_a_processor_is_refused(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "processor.yaml"
    path.write_text(text)
    with pytest.raises(ElastixError, match=found):
        read_processor(path)


def test_boards_and_processors_go_with_whole_steps_alone() -> None:
    for options, found in (
        ({"board": BOARD}, "--board without"),
        ({"whole_step": True, "board": "kv26"}, "did you mean 'kv260'"),
        ({"whole_step": True, "board": BOARD, "processor": Path("x")}, "one of them"),
        ({"whole_step": True, "objective": "joy"}, "--objective joy"),
        ({"whole_step": True, "attention_channels": 2}, "--attention-channels 2 with --channels 1"),
        ({"whole_step": True, "attention_channels": 3, "channels": 4}, "a power of two"),
    ):
        with pytest.raises(ElastixError, match=found):
            CompileOptions(**cast(Any, options))


def test_areas_are_near_those_of_yosys() -> None:
    """The processor of stories260K, and matrix and vector engines of other shapes: none of them was fitted as a whole.

    Counted with synth_ecp5 of Yosys 0.70: LUT4, CCU2C, registers, DP16KD.
    """
    from elastix.compiler.processor.matrix_engine import matrix_engine
    from elastix.compiler.processor.parameters import ProcessorParameters
    from elastix.compiler.processor.step.vector_engine import vector_engine

    whole = StepParameters(
        beat=128,
        vector_lanes=2,
        max_tiles=6,
        vector_elements=3520,
        constant_elements=96,
        max_context=512,
        head_dim=8,
        kv_heads=4,
        group=2,
        attention_lanes=8,
        features=FEATURES,
    )
    vector = StepParameters(vector_lanes=4, vector_elements=2048, constant_elements=512, features=FEATURES)
    for cells, luts, carries, registers, rams in (
        (area(whole), 17_317, 3_958, 26_632, 100),
        (cells_of(matrix_engine(ProcessorParameters(beat=256))), 5_115, 1_800, 8_771, 23),
        (cells_of(vector_engine(vector)), 9_480, 1_665, 17_245, 37),
    ):
        assert cells.luts == pytest.approx(luts, rel=0.15)
        assert cells.carries == pytest.approx(carries, rel=0.15)
        assert cells.registers == pytest.approx(registers, rel=0.10)
        assert cells.block_rams == pytest.approx(rams, rel=0.15)


def test_areas_grow_with_what_there_is(draft: Draft) -> None:
    sizes = [cells_of(top.build(replace(draft.parameters, vector_lanes=lanes))).luts for lanes in (1, 2, 4)]
    assert sizes == sorted(set(sizes))
    assert block_rams(512, 36) == 1
    assert block_rams(1760, 32) == 4
    assert best([], "area") is None
