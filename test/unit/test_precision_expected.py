"""What a plan expects of a text: exact where one layer is rounded, and near what is found where all are."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig

from elastix.compiler.errors import ElastixError
from elastix.compiler.precision.expected import Expectation, LayerErrors
from elastix.compiler.precision.measure import measured, work
from elastix.compiler.precision.sites import Site
from elastix.compiler.precision.streamed_logits import block_by_block
from elastix.compiler.precision.streamed_model import StreamedModel

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module", params=["tied", "untied"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose tokens 0 to 47 have a direction that the others lack: another kind of text."""
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
    model: Any = AutoModelForCausalLM.from_config(config).float()
    model.model.embed_tokens.weight.data[:48, 0] += 0.05
    found = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(str(found))
    return found


def ids(low: int, high: int, seed: int) -> Tensor:
    return torch.randint(low, high, (3, 20), generator=torch.Generator().manual_seed(seed))


def read(model: StreamedModel, name: str) -> Tensor:
    return torch.from_numpy(model.store.read(name).copy())


def test_errors_are_those_of_the_outputs(folder: Path) -> None:
    """Rows are a sample, here every one: errors and energies against the whole model's layer."""
    model, text = StreamedModel(folder), ids(0, 96, 1)
    name = "model.layers.1.mlp.down_proj.weight"
    change = torch.randn(64, 172, generator=torch.Generator().manual_seed(2)) * 0.01
    errors = LayerErrors(lambda each: read(model, each) + (change if each == name else 0))
    with block_by_block(model, text.tolist(), errors.within) as logits:
        logits.rows(0, 0, 20)
    whole: Any = AutoModelForCausalLM.from_pretrained(str(folder))
    seen: list[Tensor] = []
    layer = whole.model.layers[1].mlp.down_proj
    layer.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    with torch.no_grad():
        whole(text)
    assert errors.errors[name] == pytest.approx(float((seen[0] @ change.T).square().sum()), rel=1e-3)
    assert errors.energy(name) == pytest.approx(
        float((seen[0] @ layer.weight.detach().T).square().sum() / 60), rel=1e-3
    )
    assert {each for each, error in errors.errors.items() if error > 0} == {name}
    assert errors.summed({name: 2.0}) == pytest.approx(2 * errors.errors[name] / 60)
    with pytest.raises(ElastixError, match="no layer other in the model"):
        errors.summed({"other": 1.0})


def test_another_kind_of_text_is_expected_to_cost_what_it_does(folder: Path) -> None:
    """The error is largest where only the other kind of text has inputs, as that of rows fitted to held-out text is."""
    model, generator = StreamedModel(folder), torch.Generator().manual_seed(3)
    name = "model.layers.0.mlp.gate_proj.weight"
    change = torch.randn(172, 64, generator=generator) * 0.01
    change[:, 0] *= 4

    def rounded(site: Site) -> Tensor:
        return read(model, site.name) + (change if site.name == name else 0)

    done: list[float] = []
    held_out = measured(model, ids(48, 96, 4), rounded, activation_bits=12, progress=done.append)
    assert sum(done) == work(model, ids(48, 96, 4))
    other = measured(model, ids(0, 48, 5), rounded, activation_bits=12, progress=done.append)
    costs = {name: held_out.kl / held_out.errors.summed({name: 1.0})}
    expectation = Expectation(costs, held_out.kl, held_out.kl, held_out.errors.summed(costs))
    assert expectation.kl(held_out.errors) == pytest.approx(held_out.kl)
    missed, missed_without = (abs(each / other.kl - 1) for each in (expectation.kl(other.errors), held_out.kl))
    assert missed < 0.15 and missed_without > 0.25


def test_what_layers_do_not_explain_stays_as_it_was() -> None:
    errors = LayerErrors(lambda _name: torch.zeros(0), errors={"a": 40.0}, energies={"a": 1.0}, tokens={"a": 10})
    assert Expectation({"a": 0.5}, measured=3.0, alone=1.0, summed=1.0).kl(errors) == pytest.approx(2 + 2)
    assert Expectation({"a": 0.5}, measured=1.0, alone=1.5, summed=4.0).kl(errors) == pytest.approx(0.5)
    assert Expectation({}, measured=1.0, alone=0.5, summed=0.0).kl(errors) == 1.0


def test_a_report_that_does_not_say_is_none(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    assert Expectation.of_report(file) is None
    layers = [{"name": "a", "cost": 0.5}, {"name": "table", "cost": 0.0}]
    file.write_text(json.dumps({"layers": layers, "kl_expected": 0.1}))
    assert Expectation.of_report(file) is None
    file.write_text(
        json.dumps({"layers": layers, "kl_expected": 0.1, "kl_of_layers_alone": 0.3, "kl_of_layers_held_out": 0.2})
    )
    assert Expectation.of_report(file) == Expectation({"a": 0.5}, 0.1, 0.3, 0.2)
    file.write_text("{")
    with pytest.raises(ElastixError, match=r"report\.json: .*wanted: a report as `elastix quantize` wrote it"):
        Expectation.of_report(file)
