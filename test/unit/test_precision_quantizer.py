"""Choosing formats for a small random model: sizes that were asked for, the same plan each time, nothing done twice."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.quantize import dequantize, quantize
from elastix.compiler.precision import quantizer as module
from elastix.compiler.precision.expected import Expectation
from elastix.compiler.precision.feedback import round_in_order
from elastix.compiler.precision.measure import measured
from elastix.compiler.precision.plan_folder import REPORT_FILE, PlanContent, write_plan
from elastix.compiler.precision.planning import figures, planned
from elastix.compiler.precision.quantizer import Quantizer, Target
from elastix.compiler.precision.sensitivity import sensitivities
from elastix.compiler.precision.sites import Site
from elastix.compiler.precision.streamed_model import StreamedModel
from elastix.compiler.stages import Stages

pytestmark = pytest.mark.usefixtures("one_thread")

FORMATS = tuple(Format.parse(f"{bits}b g64 s8c8 asymmetric") for bits in (2, 3, 4, 6))


@pytest.fixture(scope="module", params=["tied", "untied"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=96,
        hidden_size=64,
        intermediate_size=172,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=request.param == "tied",
    )
    found = tmp_path_factory.mktemp(request.param)
    AutoModelForCausalLM.from_config(config).float().save_pretrained(str(found))
    return found


def ids(windows: int, seed: int) -> Tensor:
    return torch.randint(0, 96, (windows, 24), generator=torch.Generator().manual_seed(seed))


def quantizer(folder: Path, work: Path) -> Quantizer:
    return Quantizer(StreamedModel(folder), ids(6, 1), ids(2, 2), work, Stages(), threads=1, formats=FORMATS)


def prepared(folder: Path, work: Path) -> Quantizer:
    found = quantizer(folder, work)
    found.prepare()
    return found


@pytest.mark.parametrize("bits", [4.0, 5.0])
def test_a_size_that_is_wanted_is_kept_and_used(folder: Path, tmp_path: Path, bits: float):
    work = prepared(folder, tmp_path)
    found = work.quantize(Target(bits=bits))
    assert bits - 0.3 < found.bits_per_weight <= bits
    assert found.bytes == sum(layer.bytes for layer in found.layers)
    assert {layer.site.name for layer in found.layers} == {site.name for site in work.model.sites}
    for layer in found.layers:
        assert work.rows.rows(layer.site.name).format == layer.format


def test_more_bytes_cost_less_divergence(folder: Path, tmp_path: Path):
    work = prepared(folder, tmp_path)
    small, large = (work.quantize(Target(bits=bits)).expected for bits in (3.5, 6.0))
    assert large < small / 3


def test_the_choice_beats_one_format_of_its_size(folder: Path, tmp_path: Path):
    work = prepared(folder, tmp_path)
    single = work.uniform(FORMATS[1])
    assert work.quantize(Target(bytes=single.bytes)).summed <= single.summed


def test_a_wanted_divergence_is_met_on_held_out_text(folder: Path, tmp_path: Path):
    work = prepared(folder, tmp_path)
    wanted = work.uniform(FORMATS[2]).expected
    assert work.quantize(Target(kl=wanted)).expected <= wanted


def test_the_plan_on_disk_expects_of_held_out_text_what_was_measured_there(folder: Path, tmp_path: Path):
    work = prepared(folder, tmp_path / "work")
    found = work.quantize(Target(bits=4.0))
    content = PlanContent(planned(found), figures=figures(found))
    write_plan(tmp_path / "plan", content, work.rows.rows, work.model.store)
    known = Expectation.of_report(tmp_path / "plan" / REPORT_FILE)
    assert known is not None and len(known.costs) >= len(work.streamed) - 2  # some cost nothing
    again = measured(work.model, work.held_out, work.rows.values, activation_bits=11, progress=lambda _: None)
    assert known.kl(again.errors) == pytest.approx(found.expected, rel=1e-6)


def test_the_same_plan_each_time(folder: Path, tmp_path: Path):
    plans = [prepared(folder, tmp_path / name).quantize(Target(bits=4.0)) for name in "ab"]
    assert plans[0].layers == plans[1].layers
    assert plans[0].expected == plans[1].expected


def test_a_stopped_run_goes_on(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    begun = quantizer(folder, tmp_path)
    errors, done = module.relative_errors, list[object]()

    def stops(*arguments: object, **keywords: object) -> list[float]:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(arguments)
        return errors(*arguments, **keywords)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(module, "relative_errors", stops)
    with pytest.raises(KeyboardInterrupt):
        begun.prepare()
    monkeypatch.setattr(module, "relative_errors", lambda *a, **k: done.append(a) or errors(*a, **k))
    resumed = prepared(folder, tmp_path)
    assert len(done) == len(resumed.streamed)
    monkeypatch.undo()
    assert resumed.errors == prepared(folder, tmp_path / "anew").errors


def test_a_target_out_of_reach_names_the_nearest(folder: Path, tmp_path: Path):
    with pytest.raises(ElastixError, match=r"1\.000 bits a weight or less; wanted: at least [23]\.\d+, the nearest"):
        prepared(folder, tmp_path).quantize(Target(bits=1.0))


def test_with_text_enough_layers_make_up_for_those_before(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    texts = ids(200, 4)
    plans: list[float] = []
    for enough in (False, True):
        monkeypatch.setattr(module, "has_enough", lambda _model, _tokens, enough=enough: enough)
        work = quantizer(folder, tmp_path / str(enough))
        work.windows = texts
        work.prepare()
        plans.append(work.uniform(FORMATS[1]).expected)
    assert plans[1] < 0.95 * plans[0]


def test_without_error_nothing_is_made_up_for(folder: Path):
    model = StreamedModel(folder)
    hidden = [model.embed(ids(6, 5))]
    for index in range(model.blocks):
        with model.block(index) as block, torch.no_grad():
            hidden.append(block(hidden[-1]))
    seen: list[str] = []

    def unchanged(site: Site, _second: Tensor, corrected: Tensor) -> Tensor:
        seen.append(site.name)
        torch.testing.assert_close(corrected, torch.eye(site.columns, dtype=torch.float64), atol=1e-4, rtol=0)
        return torch.from_numpy(model.store.read(site.name).copy())

    round_in_order(model, lambda index: hidden[index], hidden[0], unchanged)
    assert set(seen) == {site.name for site in model.sites if site.block >= 0}


def test_the_shares_are_those_of_one_layer_rounded(folder: Path):
    model = StreamedModel(folder)
    form = Format.parse("3b g64 s8 symmetric")

    def rounded(site: Site) -> Tensor:
        return torch.from_numpy(dequantize(quantize(model.store.read(site.name), form).rows))

    found = sensitivities(model, ids(2, 3), rounded, progress=lambda _: None)
    assert found.keys() == {site.name for site in model.sites}
    whole = AutoModelForCausalLM.from_pretrained(str(folder)).float()
    with torch.no_grad():
        reference = torch.log_softmax(whole(ids(2, 3)).logits, -1)
        for site in model.sites[::3]:
            weight = whole.get_parameter(site.name)
            before = weight.data
            weight.data = rounded(site)
            logits = torch.log_softmax(whole(ids(2, 3)).logits, -1)
            weight.data = before
            kl = float((reference.exp() * (reference - logits)).sum(-1).mean())
            assert found[site.name] == pytest.approx(kl, rel=1e-3, abs=1e-7)


def test_weights_that_are_no_numbers_are_named(folder: Path, tmp_path: Path):
    model = AutoModelForCausalLM.from_pretrained(str(folder)).float()
    model.model.layers[1].mlp.up_proj.weight.data[3, 5] = float("nan")
    model.save_pretrained(str(tmp_path / "model"))
    with pytest.raises(ElastixError, match=r"layers\.1\.mlp\.up_proj\.weight.*NaN"):
        prepared(tmp_path / "model", tmp_path / "work")
