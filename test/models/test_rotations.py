"""Rotations change every weight and no result: the compiled graph, and the same model rotated in torch."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import data_path
from models.test_import_language_models import Decoder
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.files import import_file
from elastix.compiler.importer.imported import Imported
from elastix.compiler.ir import PassFailed, run_passes
from elastix.compiler.options import ROTATIONS, CompileOptions
from elastix.compiler.pipeline import compile_module, passes_of
from elastix.compiler.rotation import rotate_model, views
from elastix.passes import s1_clean, s2_fuse

SIZES: dict[str, Any] = dict(
    num_hidden_layers=2,
    vocab_size=96,
    max_position_embeddings=64,
    hidden_size=72,
    intermediate_size=40,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=12,
)
CONFIGS: dict[str, Callable[[], PreTrainedConfig]] = {
    "llama": lambda: LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True, tie_word_embeddings=False),
    "tied": lambda: LlamaConfig(**SIZES, tie_word_embeddings=True),
    "qwen2": lambda: Qwen2Config(**SIZES),
    "qwen3": lambda: Qwen3Config(**SIZES),
    "gpt2": lambda: GPT2Config(n_embd=72, n_layer=2, n_head=6, vocab_size=96, n_positions=64),
}
IDS = [3, 90, 41, 7, 7, 12]
CHOICES = [choice for choice in ROTATIONS if choice != "none"]
LLAMAS = [("tied", choice) for choice in CHOICES] + [(kind, "all") for kind in ("llama", "qwen2", "qwen3")]


def random_model(kind: str) -> Any:
    """Weights, norms and biases of a size that each of them matters."""
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_config(CONFIGS[kind]()).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            norm = "norm" in name or ".ln_" in name
            parameter.uniform_(*((0.3, 1.7) if norm and name.endswith("weight") else (-0.3, 0.3)))
    return model


def rotated(path: Path, rotate: str) -> Imported:
    """The imported step with the rotations of a choice, its weights not yet rounded."""
    imported = import_file(path, max_context=16)
    passes = [
        each for each in passes_of("s3_precision", CompileOptions(rotate=rotate)) if each.name in ROTATIONS[rotate]
    ]
    assert [each.name for each in passes] == list(ROTATIONS[rotate])
    run_passes(imported.module, [*s1_clean.PASSES, *s2_fuse.PASSES, *passes])
    return imported


def decoded(decoder: Decoder) -> np.ndarray:
    return np.stack([decoder.step(token, position) for position, token in enumerate(IDS)])


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(("kind", "rotate"), LLAMAS)
def test_the_compiled_graph_computes_what_it_did_and_torch_has_its_weights(
    kind: str, rotate: str, tmp_path: Path
) -> None:
    model = random_model(kind)
    model.save_pretrained(tmp_path)
    imported = rotated(tmp_path, rotate)
    before, after = Decoder(rotated(tmp_path, "none")), Decoder(imported)
    in_graph = {name for name in after.values if "{" in name}
    assert_same(decoded(after), decoded(before))
    named = rotate_model(model, rotate)
    parameters = dict(model.named_parameters())
    assert set(named.values()) == in_graph
    for name, view in named.items():
        assert imported.store.read(view).tobytes() == parameters[name].detach().numpy().tobytes(), view


def test_layer_norms_are_folded_and_not_rotated(tmp_path: Path) -> None:
    random_model("gpt2").save_pretrained(tmp_path)
    before, after = Decoder(rotated(tmp_path, "none")), Decoder(rotated(tmp_path, "norms"))
    assert_same(decoded(after), decoded(before))
    assert not any(".ln_1." in name or ".ln_2." in name for name in after.values if "{" not in name)
    with pytest.raises(PassFailed, match=r"'elx.layer_norm' op reads the residual stream"):
        rotated(tmp_path, "residual")


@pytest.mark.parametrize(("kind", "rotate"), LLAMAS)
def test_the_rotated_model_in_torch_computes_what_it_did(kind: str, rotate: str) -> None:
    model = random_model(kind)
    turned = copy.deepcopy(model)
    named = rotate_model(turned, rotate)
    assert views(model, rotate) == named and views(model, "none") == {}
    with torch.no_grad():
        expected, found = model(torch.tensor([IDS])).logits, turned(torch.tensor([IDS])).logits
    assert float((found - expected).abs().max()) <= 1e-4 * float(expected.abs().max())
    if "rotate-residual" in ROTATIONS[rotate]:
        ours, theirs = model.model.embed_tokens.weight, turned.model.embed_tokens.weight
        assert not torch.allclose(ours, theirs, atol=1e-2)
        assert torch.allclose(ours.norm(dim=1), theirs.norm(dim=1), rtol=1e-6)


@pytest.mark.parametrize("rotate", ["residual", "all"])
def test_stories260k_computes_what_it_did(rotate: str) -> None:
    path = data_path("stories260K")
    assert_same(decoded(Decoder(rotated(path, rotate))), decoded(Decoder(rotated(path, "none"))))


def test_a_rotated_model_compiles_to_the_emulator(tmp_path: Path) -> None:
    model = random_model("tied")
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = model(torch.tensor([IDS])).logits[0].numpy()
    off: dict[str, float] = {}
    for rotate in ("none", "all"):
        program = compile_module(import_file(tmp_path, max_context=16), CompileOptions(rotate=rotate))
        steps = [program(ids=np.array([[token]]), positions=np.array([i])) for i, token in enumerate(IDS)]
        logits = np.stack([np.asarray(step["logits"])[0, 0] for step in steps])
        off[rotate] = float(np.sqrt(((logits - expected) ** 2).mean() / (expected**2).mean()))
    assert max(off.values()) < 0.05 and off["all"] != off["none"]


def test_models_that_are_no_llama_are_refused() -> None:
    with pytest.raises(ElastixError, match=r"a GPT2LMHeadModel without model.embed_tokens.weight"):
        rotate_model(random_model("gpt2"), "norms")
    model = random_model("llama")
    model.model.layers[1].post_norm = torch.nn.LayerNorm(72)
    with pytest.raises(ElastixError, match=r"a LlamaForCausalLM with model.layers.1.post_norm.weight"):
        rotate_model(model, "norms")
    with pytest.raises(ElastixError, match=r"rotate='some'; wanted: none or norms or residual or values or all"):
        rotate_model(model, "some")
    with pytest.raises(ElastixError, match=r"model.embed_tokens.weight of torch.bfloat16"):
        rotate_model(random_model("tied").bfloat16(), "norms")


def test_a_norm_that_adds_one_to_its_weight_is_refused() -> None:
    model = random_model("tied")

    class GemmaLike(torch.nn.Module):
        def __init__(self, weight: torch.nn.Parameter) -> None:
            super().__init__()
            self.weight = weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / x.square().mean(-1, keepdim=True).sqrt() * (1 + self.weight)

    model.model.norm = GemmaLike(model.model.norm.weight)
    before = model.lm_head.weight.clone()
    with pytest.raises(ElastixError, match=r"model.norm.weight of a GemmaLike; wanted: an RMS norm times its weight"):
        rotate_model(model, "residual")
    assert torch.equal(model.lm_head.weight, before)
