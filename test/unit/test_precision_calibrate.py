"""Streaming a model block by block: transformers' own logits, the whole model's moments, whatever was interrupted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Gemma2Config, GPT2Config, LlamaConfig, OPTConfig, Qwen2Config

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.hugging_face import import_language_model
from elastix.compiler.options import ROTATIONS
from elastix.compiler.precision import calibrate as passes
from elastix.compiler.precision.calibrate import SecondMoments, calibrate, work
from elastix.compiler.precision.calibration import hidden_file, moments_file
from elastix.compiler.precision.streamed_model import StreamedModel
from elastix.compiler.precision.text import read_text, token_windows

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, Any] = {
    "vocab_size": 90,
    "hidden_size": 64,
    "intermediate_size": 172,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ENDS: dict[str, Any] = {"vocab_size": 90, "bos_token_id": 1, "eos_token_id": 2}
CONFIGS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaConfig(**SMALL, tie_word_embeddings=False),
    "llama tied": lambda: LlamaConfig(**SMALL, tie_word_embeddings=True),
    "qwen2": lambda: Qwen2Config(**SMALL),
    "gpt2": lambda: GPT2Config(**ENDS, n_embd=64, n_layer=2, n_head=4),
    # Every second block has another mask; embeddings are scaled, logits bent.
    "gemma2": lambda: Gemma2Config(**SMALL, head_dim=16, sliding_window=4),
    # The embedding is narrower than the hidden state.
    "opt": lambda: OPTConfig(
        **ENDS, hidden_size=64, ffn_dim=128, num_hidden_layers=2, num_attention_heads=4, word_embed_proj_dim=32
    ),
}


def saved(folder: Path, kind: str) -> nn.Module:
    """A model with random weights, in `folder` too."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[kind]()).float().eval()
    for parameter in model.parameters():
        parameter.data = torch.randn_like(parameter) * 0.2 + (parameter.dim() == 1)
    model.save_pretrained(str(folder))
    return model


def text(windows: int = 5, length: int = 11) -> Tensor:
    return torch.randint(0, 90, (windows, length), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def logits(model: StreamedModel, ids: Tensor) -> Tensor:
    """Part after part."""
    hidden = model.embed(ids)
    for index in range(model.blocks):
        with model.block(index) as block:
            hidden = block(hidden)
    with model.head() as head:
        return head(hidden)


@pytest.mark.parametrize("kind", CONFIGS)
def test_logits_are_transformers_own(tmp_path: Path, kind: str) -> None:
    model, ids = saved(tmp_path, kind), text()
    with torch.no_grad():
        wanted = model(input_ids=ids, use_cache=False).logits
    torch.testing.assert_close(logits(StreamedModel(tmp_path), ids), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rotate", ROTATIONS)
@pytest.mark.parametrize("kind", ["llama tied", "qwen2"])
def test_rotated_models_compute_the_same(tmp_path: Path, kind: str, rotate: str) -> None:
    model, ids = saved(tmp_path, kind), text()
    with torch.no_grad():
        wanted = model(input_ids=ids, use_cache=False).logits
    streamed = StreamedModel(tmp_path, rotate=rotate)
    torch.testing.assert_close(logits(streamed, ids), wanted, rtol=0, atol=1e-4)
    assert streamed.tied == (kind == "llama tied" and rotate in ("none", "values"))


@pytest.mark.parametrize("kind", ["llama", "llama tied", "gpt2"])
def test_sites_are_named_as_compiling_names_them(tmp_path: Path, kind: str) -> None:
    saved(tmp_path, kind)
    model = StreamedModel(tmp_path)
    for site in model.sites:
        assert model.store.shape(site.name) == (site.rows, site.columns)
    tensors = {site.name.removesuffix(".T") for site in model.sites}
    matrices = {a.name for a in import_language_model(tmp_path).arguments if a.kind == "weight" and len(a.shape) == 2}
    assert matrices - tensors == ({"transformer.wpe.weight"} if kind == "gpt2" else set())
    assert tensors <= matrices
    assert [site.block for site in model.sites] == sorted(site.block for site in model.sites)


def test_sites_that_read_one_tensor_share_its_source(tmp_path: Path) -> None:
    saved(tmp_path, "llama")
    sources: dict[str, list[str]] = {}
    for site in StreamedModel(tmp_path).sites:
        if site.block in (1, 3):
            sources.setdefault(site.source, []).append(site.name.rpartition(".layers.")[2])
    assert list(sources.values()) == [
        [f"1.self_attn.{each}_proj.weight" for each in "qkv"],
        ["1.self_attn.o_proj.weight"],
        ["1.mlp.gate_proj.weight", "1.mlp.up_proj.weight"],
        ["1.mlp.down_proj.weight"],
        ["lm_head.weight"],
    ]


def test_a_block_is_freed_behind_and_its_weights_may_be_replaced(tmp_path: Path) -> None:
    saved(tmp_path, "llama")
    model = StreamedModel(tmp_path)
    site, hidden = model.sites[1], model.embed(text())
    with model.block(0) as block, torch.no_grad():
        before, layer = block(hidden), block.linear(site.name)
        layer.weight.data = layer.weight.data.round()
        assert not torch.equal(block(hidden), before)
    assert layer.weight.is_meta
    with model.block(0) as block, torch.no_grad():
        assert torch.equal(block(hidden), before)


def inputs(model: nn.Module, layers: list[str], ids: Tensor) -> dict[str, Tensor]:
    """What each linear layer of the whole model reads, [tokens, K]."""
    found: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[..., None]:
        return lambda _module, given: found.update({name: given[0].reshape(-1, given[0].shape[-1]).double()})

    hooks = [model.get_submodule(name).register_forward_pre_hook(hook(name)) for name in layers]
    with torch.no_grad():
        model(input_ids=ids, use_cache=False)
    for each in hooks:
        each.remove()
    return found


@pytest.mark.parametrize("kind", ["llama", "llama tied", "gemma2"])
def test_moments_are_those_of_the_whole_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    model, ids = saved(tmp_path / "model", kind), text()
    monkeypatch.setattr(passes, "TOKENS_AT_ONCE", 24)  # batches of two windows, and one of one
    streamed = StreamedModel(tmp_path / "model")
    done: list[float] = []
    found = calibrate(streamed, ids, folder=tmp_path / "work", progress=done.append)
    assert sum(done) == work(streamed, ids)
    assert found.tokens == ids.numel()
    sources = {site.source for site in streamed.sites if site.source}
    layers = {source: source.removesuffix(".weight").replace("model.embed_tokens", "lm_head") for source in sources}
    wanted = inputs(model, list(layers.values()), ids)
    for source, layer in layers.items():
        close(found.moments(source), wanted[layer].T @ wanted[layer])
    for block in range(streamed.blocks + 1):
        assert found.hidden(block).shape == (5, 11, 64)


def close(found: Any, wanted: Tensor) -> None:
    """To 10⁻⁵ of the largest."""
    largest = float(wanted.abs().max())
    assert largest > 0
    np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=1e-5 * largest)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("after", [0, 1, 7, 15, 17, 19])
def test_an_interrupted_calibration_goes_on_to_the_same_bits(tmp_path: Path, after: int) -> None:
    saved(tmp_path / "model", "llama")
    model, ids = StreamedModel(tmp_path / "model"), text()
    calibrate(model, ids, folder=tmp_path / "whole")
    done = 0.0

    def stop(amount: float) -> None:
        nonlocal done
        done += amount
        if done > after:
            raise Stopped

    with pytest.raises(Stopped):
        calibrate(model, ids, folder=tmp_path / "work", progress=stop)
    finished = {file: file.stat().st_mtime_ns for file in (tmp_path / "work").glob("[hm]*.[ns]*")}
    calibrate(model, ids, folder=tmp_path / "work")
    assert {file: file.stat().st_mtime_ns for file in finished} == finished
    names = sorted(file.name for file in (tmp_path / "whole").iterdir())
    assert names == sorted(file.name for file in (tmp_path / "work").iterdir())
    for name in names:
        assert (tmp_path / "work" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_another_text_begins_anew_and_the_same_does_nothing(tmp_path: Path) -> None:
    saved(tmp_path / "model", "llama")
    model, folder = StreamedModel(tmp_path / "model"), tmp_path / "work"
    first = calibrate(model, text(), folder=folder).moments(model.sites[-1].source)
    times = [file.stat().st_mtime_ns for file in sorted(folder.iterdir())]
    again = calibrate(model, text(), folder=folder).moments(model.sites[-1].source)
    assert times == [file.stat().st_mtime_ns for file in sorted(folder.iterdir())]
    assert np.array_equal(first, again)
    other = calibrate(model, text(6), folder=folder)
    assert other.hidden(0).shape[0] == 6
    assert not np.array_equal(first, other.moments(model.sites[-1].source))
    (folder / "notes.txt").write_text("mine")
    calibrate(model, text(), folder=folder)
    assert (folder / "notes.txt").exists()
    assert hidden_file(folder, 0).exists() and moments_file(folder, 3).exists()


def test_second_moments_are_symmetric_in_every_bit() -> None:
    x = torch.randn(100, 700, generator=torch.Generator().manual_seed(0))
    moments = SecondMoments(700)
    moments.add(x[:60])
    moments.add(x[60:])
    found = moments.full()
    assert torch.equal(found, found.T)
    close(found.numpy(), x.double().T @ x.double())


@pytest.mark.parametrize("where", ["model.layers.1.mlp.up_proj.weight", "model.embed_tokens.weight", "lm_head.weight"])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, where: str) -> None:
    model = saved(tmp_path / "model", "llama")
    model.get_parameter(where).data[3, 5] = float("nan")
    model.save_pretrained(str(tmp_path / "model"))  # type: ignore[operator]
    with pytest.raises(ElastixError, match=f"{where} in .* has 1 values that are NaN or infinite"):
        calibrate(StreamedModel(tmp_path / "model"), text(), folder=tmp_path / "work")


def test_what_does_not_fit_the_model_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "model", "gpt2")
    model, folder = StreamedModel(tmp_path / "model"), tmp_path / "work"
    with pytest.raises(ElastixError, match="token 90; wanted: 0 to 89"):
        calibrate(model, text() + 1, folder=folder)
    with pytest.raises(ElastixError, match=r"windows of shape \[0, 5\]"):
        calibrate(model, torch.zeros(0, 5, dtype=torch.int64), folder=folder)
    with pytest.raises(ElastixError, match="windows of 1025 tokens; wanted: at most 1024"):
        calibrate(model, torch.zeros(1, 1025, dtype=torch.int64), folder=folder)
    with pytest.raises(ElastixError, match="GPT2LMHeadModel"):
        StreamedModel(tmp_path / "model", rotate="residual")
    with pytest.raises(ElastixError, match="no layer x in the calibration"):
        calibrate(model, text(), folder=folder).moments("x")


def test_read_text_says_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    with pytest.raises(ElastixError, match="no text at "):
        read_text(file)
    file.write_bytes(b" \n")
    with pytest.raises(ElastixError, match="is empty"):
        read_text(file)
    for start in (b"", b"\xef\xbb\xbf"):
        file.write_bytes(start + "né".encode() + b"e\xe9 ")
        with pytest.raises(ElastixError, match=f"has the byte 0xE9 at offset {len(start) + 4}, which is not UTF-8"):
            read_text(file)
        file.write_bytes(start + "né".encode())
        assert read_text(file) == "né"


def tokenizer(folder: Path) -> Path:
    """A tokenizer of words: `a` to `z` are 0 … 25."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {chr(97 + i): i for i in range(26)} | {"<s>": 26, "?": 27}
    inner = Tokenizer(models.WordLevel(words, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", unk_token="?").save_pretrained(str(folder))
    return folder


def test_windows_of_tokens(tmp_path: Path) -> None:
    model, words = tokenizer(tmp_path), "a b c d\n\ne f g h\ni"
    assert token_windows(model, words, window=3, count=2).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert token_windows(model, words, window=3, count=2, offset=3).tolist() == [[3, 4, 5], [6, 7, 8]]
    assert token_windows(model, words, window=3, count=2, bos=True).tolist() == [[26, 0, 1], [26, 2, 3]]
    assert token_windows(model, words, window=3, count=2, lines=True).tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ElastixError, match="a text of 9 tokens; wanted: 10: 2 windows of 3 from token 4 on"):
        token_windows(model, words, window=3, count=2, offset=4)
    with pytest.raises(ElastixError, match="0 windows"):
        token_windows(model, words, window=3, count=0)


def test_a_long_text_of_long_words_has_all_its_tokens(tmp_path: Path) -> None:
    model = tokenizer(tmp_path)
    long = "z" * 5000 + " " + " ".join("abc" * 200)
    assert token_windows(model, long, window=2, count=1).tolist() == [[27, 0]]


def test_a_model_without_a_tokenizer(tmp_path: Path) -> None:
    saved(tmp_path, "llama")
    with pytest.raises(ElastixError, match="no tokenizer in"):
        token_windows(tmp_path, "a", window=1, count=1)
    with pytest.raises(ElastixError, match="no model at"):
        token_windows(tmp_path / "none", "a", window=1, count=1)
