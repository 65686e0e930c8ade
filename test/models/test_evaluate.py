"""The evaluator that gives quality figures: it computes what the engines compute, up to the rounding of float sums."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import data_path
from models.compiled_models import compiled
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from elastix.compiler.errors import ElastixError
from elastix.compiler.evaluate import compare, evaluate, layer_names, logits, quantized, round_activations
from elastix.compiler.evaluate_text import windows
from elastix.compiler.numbers import oracle
from elastix.compiler.numbers.cache import hadamard, quantize_rows
from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.numbers.pack import Descriptor, pack_layer, place_segments
from elastix.compiler.numbers.plan import default_format, uniform
from elastix.compiler.numbers.quantize import quantize
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.compiler.program_runner import Program
from elastix.compiler.rounded_caches import read_back, rounded_caches
from elastix.runtime.device import Device
from elastix.tools.bench import quality

pytestmark = pytest.mark.usefixtures("one_thread")

A = 11


FORMATS = [default_format(8), default_format(4), Format(3, 64, "s6", "half_step")]


def small_model() -> nn.Module:
    """A Llama with random weights: 172 is not a multiple of 32, the head is tied to the embedding."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=90,
        hidden_size=64,
        intermediate_size=172,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


class OnEngine(nn.Module):
    """A linear layer whose matrix product the emulator does, out of packed weights."""

    def __init__(self, linear: nn.Linear, form: Format) -> None:
        super().__init__()
        rows = quantize(linear.weight.detach().numpy(), form).rows
        self.n, geometry = rows.rows, Geometry(form, rows.rows, rows.columns, 128)
        self.x = 4096 + geometry.total_bytes
        self.y = self.x + 64 * geometry.activation_bytes
        self.device = Device(ProcessorParameters(beat=128, activation_bits=A), self.y + 64 * geometry.result_bytes, 0)
        descriptor = Descriptor.of(geometry, weights=4096, x=self.x, y=self.y)
        self.device.load(64, descriptor.encode())
        for offset, segment in place_segments(pack_layer(rows, geometry), geometry):
            self.device.load(4096 + offset, segment)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1]).numpy()
        self.device.quantize(flat, self.x)
        self.device.launch(64, len(flat))
        return torch.tensor(self.device.read_back(self.y, len(flat), self.n)).reshape(*x.shape[:-1], self.n)


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_logits_follow_the_engines(form: Format) -> None:
    pieces = [[1, 5, 80, 3, 3, 40, 7, 22, 61, 89]]
    model = small_model()
    reference = logits(model, pieces)
    with quantized(model, lambda _name: form, A):
        found = logits(model, pieces)
    np.testing.assert_array_equal(logits(model, pieces)[0], reference[0])

    # Only the embedding is left to the evaluator: both read the same C11 values there.
    linears = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    replaced = [(name, OnEngine(module, form)) for name, module in linears]
    with quantized(model, lambda name: form if name == "model.embed_tokens.weight" else None, A):
        for name, module in replaced:
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module)
        exact = logits(model, pieces)

    # A float sum that rounds to the other side of a step of C3 moves an activation by one step, 2^-10 of the largest.
    spread = float(exact[0].std())
    assert float((found[0] - exact[0]).abs().max()) < 0.02 * spread
    assert float((found[0] - exact[0]).abs().mean()) < 0.002 * spread
    assert compare(pieces, exact, found).kl < 1e-5
    assert float((reference[0] - exact[0]).abs().mean()) > float((found[0] - exact[0]).abs().mean())


@pytest.mark.parametrize("bits", range(8, 13))
def test_activations_are_rounded_as_c3_says(bits: int) -> None:
    rng = np.random.default_rng(bits)
    x = rng.standard_normal((50, 64)) * 2.0 ** rng.integers(-120, 120, (50, 1))
    x[0], x[1, 0] = 0, 1e-40
    rounded = round_activations(torch.tensor(x.astype(np.float32)), bits).numpy()
    codes, e = oracle.quantize(x.astype(np.float32), bits)
    np.testing.assert_array_equal(rounded, np.ldexp(codes.astype(np.float64), e[:, None]).astype(np.float32))


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("width", [64, 10])
def test_caches_are_rounded_as_c12_says(bits: int, width: int) -> None:
    """Rows of all magnitudes, a zero and a subnormal among them; none so large that its rotation overflows."""
    rng = np.random.default_rng(bits)
    x = (rng.standard_normal((200, width)) * 2.0 ** rng.integers(-120, 110, (200, 1))).astype(np.float32)
    x[0], x[1] = 0, 1e-40
    plain = read_back(torch.tensor(x), bits, rotated=False).numpy()
    np.testing.assert_array_equal(plain, quantize_rows(x, bits).values())
    x[1] = 0
    turned = read_back(torch.tensor(x), bits, rotated=True).numpy()
    if width == 64:
        plain = hadamard(quantize_rows(hadamard(x, 1.0), bits).values(), 1 / 64)
    np.testing.assert_array_equal(turned, plain)


@pytest.mark.parametrize("bits", [(8, 8), (4, 32), (32, 4)])
def test_attention_reads_rounded_caches(bits: tuple[int, int]) -> None:
    """Rounding shows, little of it at 8 bits; afterwards the model is as it was."""
    pieces = [[1, 5, 80, 3, 3, 40, 7, 22, 61, 89]]
    model = small_model()
    reference = logits(model, pieces)
    with rounded_caches(model, *bits):
        found = logits(model, pieces)
    np.testing.assert_array_equal(logits(model, pieces)[0], reference[0])
    assert 1e-9 < compare(pieces, reference, found).kl < (1e-5 if bits == (8, 8) else 1e-2)


def test_scores_by_hand() -> None:
    p = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]))
    q = torch.log(torch.tensor([[0.25, 0.5, 0.25], [0.1, 0.8, 0.1]]))
    quality = compare([[0, 1]], [p], [q])
    assert (quality.tokens, quality.top1) == (1, 0.5)
    assert quality.reference_nll == pytest.approx(np.log(4)) and quality.nll == pytest.approx(np.log(2))
    assert quality.kl == pytest.approx((0.5 * np.log(2) - 0.25 * np.log(2)) / 2)
    with pytest.raises(ElastixError, match="fewer than two tokens"):
        compare([[1]], [p], [q])


def test_windows() -> None:
    assert windows([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert windows([1, 2, 3, 4, 5], 3, bos=0) == [[0, 1, 2], [0, 3, 4], [0, 5]]


def test_names_are_those_of_the_weights() -> None:
    names = layer_names(small_model())
    assert "model.layers.1.mlp.down_proj.weight" in names and "model.embed_tokens.weight" in names


def story_windows(tokens: int) -> tuple[nn.Module, list[list[int]]]:
    """stories260K in fp32, and the head of the validation text in windows that begin with its first token."""
    folder, text = data_path("stories260K"), data_path("text", "tinystories_val.txt")
    load: Any = AutoModelForCausalLM.from_pretrained
    model, tokenizer = load(str(folder), dtype=torch.float32), AutoTokenizer.from_pretrained(str(folder))
    ids: list[int] = []
    for line in text.read_text(encoding="utf-8").splitlines():
        ids += tokenizer(line.strip(), add_special_tokens=False).input_ids if line.strip() else []
        if len(ids) >= tokens:
            break
    return model, windows(ids[:tokens], 257, bos=1)


@pytest.mark.parametrize(("kv_bits", "most"), [(8, 0.0015), (4, 0.6)])
def test_a_compiled_model_has_the_quality_it_is_said_to_have(
    stories: Path, tmp_path: Path, kv_bits: int, most: float
) -> None:
    """The whole compiled step on the emulator, token by token, against the evaluator's batch."""
    model, pieces = story_windows(200)
    if kv_bits != 8:
        stories = compiled(data_path("stories260K"), tmp_path / "stories", "--kv-bits", kv_bits)
    program = Program.load(stories)
    kept = {each.dtype for each in program.manifest.arguments if each.kind == "cache"}
    assert kept == {"uint8" if kv_bits == 4 else "int8", "uint16"}
    steps = [program(ids=np.array([[token]]), positions=np.array([at])) for at, token in enumerate(pieces[0])]
    engines = [torch.tensor(np.stack([next(iter(outputs.values())).ravel() for outputs in steps]))]
    reference = logits(model, pieces)
    with quantized(model, uniform(8).format_of, A), rounded_caches(model, kv_bits, kv_bits):
        found = logits(model, pieces)
    of_engines, of_evaluator = compare(pieces, reference, engines), compare(pieces, reference, found)
    assert of_engines.kl == pytest.approx(of_evaluator.kl, rel=0.2) and of_engines.kl < most
    assert compare(pieces, engines, found).kl < 0.3 * of_engines.kl
    assert abs(of_engines.nll - of_evaluator.nll) < 0.005


def test_stories_lose_nothing_at_eight_bits() -> None:
    """NLL on 20,000 tokens within 0.005 of fp32's; at 4 bits the loss that the README's table states."""
    model, pieces = story_windows(20_000)
    eight = evaluate(model, pieces, uniform(8).format_of, A)
    assert eight.tokens == 20_000
    assert eight.reference_nll == pytest.approx(1.470, abs=0.005)
    assert abs(eight.nll - eight.reference_nll) < 0.005 and eight.kl < 0.001
    four = evaluate(model, pieces, uniform(4).format_of, A)
    assert 0.05 < four.nll - four.reference_nll < 0.12


@pytest.mark.slow
def test_a_chat_model_loses_little_at_eight_bits(smollm2_file: Path) -> None:
    """KL to fp32 on 1,000 tokens of WikiText-2, as `elastix bench quality` prints it: 0.0033 nats in the README."""
    parser = argparse.ArgumentParser()
    quality.add_arguments(parser)
    torch.set_num_threads(2)
    words = ["--model", str(smollm2_file), "--text", str(data_path("text", "wikitext2_valid.txt")), "--widths", "8"]
    figures = quality.run(parser.parse_args([*words, "--tokens", "1000", "--activation-bits", str(A)]))
    eight = figures["precisions"]["8 bits"]
    assert figures["tokens"] == 1000
    assert 0 < eight["kl"] <= 0.006
    assert abs(eight["nll"] - eight["reference_nll"]) < 0.02
