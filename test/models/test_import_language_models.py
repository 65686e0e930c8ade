"""Language models from the file to elx: nothing is left in torch, and the numbers are eager PyTorch's."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import elx_reference
import numpy as np
import pytest
import torch
from conftest import data_path
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPT2Config,
    Phi3Config,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.files import import_file
from elastix.compiler.importer.gguf_file import GgufFile
from elastix.compiler.importer.hugging_face import gguf_config
from elastix.compiler.importer.imported import Imported
from elastix.compiler.ir import run_passes
from elastix.passes import s1_clean, s2_fuse

SMALL: dict[str, Any] = dict(num_hidden_layers=2, vocab_size=96, max_position_embeddings=64, hidden_size=64)
HEADS: dict[str, Any] = dict(num_attention_heads=4, num_key_value_heads=2, intermediate_size=96)
CONFIGS = {
    "gpt2": lambda: GPT2Config(n_embd=64, n_layer=2, n_head=4, vocab_size=96, n_positions=64),
    "qwen2": lambda: Qwen2Config(**SMALL, **HEADS),
    "qwen3": lambda: Qwen3Config(**SMALL, **HEADS, head_dim=16),
    "phi3": lambda: Phi3Config(**SMALL, **HEADS, pad_token_id=0),
}


def fused(imported: Imported) -> set[str]:
    """Run the stages that make elx; returns the names of the ops there are then."""
    run_passes(imported.module, [*s1_clean.PASSES, *s2_fuse.PASSES])
    return {op.operation.name for op in imported.module.body.operations[0].regions[0].blocks[0].operations}


def assert_all_elx(names: set[str]) -> None:
    assert all(name.startswith("elx.") or name == "func.return" for name in names), names


class Decoder:
    """The imported step, run by the reference; weights come out of the store."""

    def __init__(self, imported: Imported) -> None:
        self.imported = imported
        function = imported.module.body.operations[0]
        names = [str(words["elx.name"]).strip('"') for words in function.attributes["arg_attrs"]]
        kinds = [str(words["elx.kind"]).strip('"') for words in function.attributes["arg_attrs"]]
        stored = [n for n, k in zip(names, kinds, strict=True) if k in ("weight", "buffer")]
        self.values = {name: imported.store.read(name) for name in stored}
        self.values |= {a.name: np.zeros(a.shape) for a in imported.of_kind("cache")}

    def step(self, token: int, position: int) -> np.ndarray:
        inputs = {"ids": np.array([[token]]), "positions": np.array([position])}
        outputs, caches = elx_reference.run(self.imported.module, self.values | inputs)
        self.values |= caches
        return outputs[0][0, 0]


def eager_logits(model: torch.nn.Module, ids: Sequence[int]) -> np.ndarray:
    with torch.no_grad():
        return model(torch.tensor([list(ids)])).logits[0].numpy()


def assert_same(logits: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("kind", CONFIGS)
def test_small_models_become_elx_and_compute_what_eager_does(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(7)
    config: PreTrainedConfig = CONFIGS[kind]()
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.3, 0.3)
    model.save_pretrained(tmp_path)
    imported = import_file(tmp_path, max_context=8)
    assert_all_elx(fused(imported))
    decoder = Decoder(imported)
    ids = [3, 90, 41, 7, 7]
    expected = eager_logits(model, ids)
    for position, token in enumerate(ids):
        assert_same(decoder.step(token, position), expected[position])


def test_stories260k_tells_the_reference_story() -> None:
    imported = import_file(data_path("stories260K"), max_context=64)
    assert_all_elx(fused(imported))
    decoder = Decoder(imported)
    reference = json.loads(data_path("golden.json").read_text())["stories260K"]["prompts"][0]
    token, ids = reference["prompt_ids"][0], []
    for position in range(20):
        logits = decoder.step(token, position)
        if position == 0:
            best = reference["last_prompt_logits_top8"]
            assert np.allclose(logits[[i for i, _ in best]], [v for _, v in best], atol=2e-3)
        token = int(logits.argmax())
        ids.append(token)
    assert ids == reference["greedy_ids"][:20]


@pytest.fixture(scope="module")
def smollm2_eager(smollm2_file: Path) -> torch.nn.Module:
    path = smollm2_file
    return AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def smollm2_imported(smollm2_file: Path) -> Imported:
    return import_file(smollm2_file, max_context=16)


@pytest.mark.slow
def test_smollm2_weights_are_those_that_transformers_loads(
    smollm2_eager: torch.nn.Module, smollm2_imported: Imported
) -> None:
    loaded = dict(smollm2_eager.named_parameters())
    store = smollm2_imported.store
    weights = [argument.name for argument in smollm2_imported.of_kind("weight")]
    assert set(weights) == set(loaded)
    for name in weights:
        assert store.read(name).tobytes() == loaded[name].detach().numpy().tobytes(), name


@pytest.mark.slow
def test_smollm2_becomes_elx_and_computes_what_eager_does(
    smollm2_eager: torch.nn.Module, smollm2_imported: Imported
) -> None:
    assert_all_elx(fused(smollm2_imported))
    decoder = Decoder(smollm2_imported)
    ids = [504, 3575, 282]
    expected = eager_logits(smollm2_eager, ids)
    for position, token in enumerate(ids):
        assert_same(decoder.step(token, position), expected[position])


@pytest.mark.slow
def test_the_configuration_of_a_gguf_file_is_what_transformers_reads(smollm2_file: Path) -> None:
    ours = gguf_config(GgufFile(smollm2_file)).to_dict()
    theirs = AutoConfig.from_pretrained(str(smollm2_file.parent), gguf_file=smollm2_file.name).to_dict()
    assert {**ours, "_name_or_path": ""} == {**theirs, "_name_or_path": ""}


def test_tied_weights_are_one_argument_and_lines_are_the_model_s() -> None:
    imported = import_file(data_path("stories260K"), max_context=64)
    names = [a.name for a in imported.arguments]
    assert "model.embed_tokens.weight" in names and "lm_head.weight" not in names
    assert len(imported.of_kind("cache")) == 10 and [a.name for a in imported.inputs] == ["ids", "positions"]
    assert "modeling_llama.py" in imported.module.operation.get_asm(enable_debug_info=True)


def test_context_longer_than_the_model_s() -> None:
    with pytest.raises(ElastixError, match=r"a context of 513 tokens; wanted: 1 to 512"):
        import_file(data_path("stories260K"), max_context=513)


def test_no_such_model(tmp_path: Path) -> None:
    with pytest.raises(ElastixError, match=r"no model at .*absent"):
        import_file(tmp_path / "absent")
    with pytest.raises(ElastixError, match=r"no config.json in"):
        import_file(tmp_path)
    (tmp_path / "net.txt").write_text("x")
    with pytest.raises(ElastixError, match=r"net.txt is no model"):
        import_file(tmp_path / "net.txt")


def test_weights_that_do_not_fit_the_configuration(tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_config(CONFIGS["qwen2"]())
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 128}))
    with pytest.raises(ElastixError, match=r"gate_proj.weight in .* has shape \(96, 64\); wanted: \(128, 64\)"):
        import_file(tmp_path, max_context=8)
