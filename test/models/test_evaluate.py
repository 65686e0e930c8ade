"""The evaluator that gives quality figures: it computes what the engines compute, up to the rounding of float sums."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import data_path
from models.compiled_models import compiled
from models.whole_model import compare, logits, quantized
from torch import nn
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from elastix.compiler.errors import ElastixError
from elastix.compiler.evaluate_score import Quality, score
from elastix.compiler.evaluate_streamed import Rounding, streamed_logits
from elastix.compiler.evaluate_text import windows
from elastix.compiler.numbers import oracle
from elastix.compiler.numbers.cache import hadamard, quantize_rows
from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.numbers.pack import Descriptor, pack_layer, place_segments
from elastix.compiler.numbers.plan import Plan, default_format, uniform
from elastix.compiler.numbers.quantize import quantize
from elastix.compiler.precision.streamed_model import StreamedModel
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.compiler.program_runner import Program
from elastix.compiler.rounded_activations import round_activations
from elastix.compiler.rounded_caches import read_back, rounded_caches
from elastix.runtime.device import Device
from elastix.tools.bench import quality

pytestmark = pytest.mark.usefixtures("one_thread")

A = 11
FORMATS = [default_format(8), default_format(4), Format(3, 64, "s6", "half_step")]


def small_model() -> LlamaForCausalLM:
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


def evaluated(folder: Path, pieces: list[list[int]], rounding: Rounding | None = None) -> list[torch.Tensor]:
    """All logits of each window, by the evaluator."""
    with streamed_logits(StreamedModel(folder), pieces, rounding) as found:
        return [found.rows(window, 0, len(piece)) for window, piece in enumerate(pieces)]


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
def test_logits_follow_the_engines(form: Format, tmp_path: Path) -> None:
    pieces = [[1, 5, 80, 3, 3, 40, 7, 22, 61, 89]]
    model = small_model()
    model.save_pretrained(tmp_path)
    reference, found = evaluated(tmp_path, pieces), evaluated(tmp_path, pieces, Rounding(Plan(form), A))

    # Only the embedding is left to torch: both read the same C11 values there.
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


def story_windows(tokens: int) -> tuple[Path, list[list[int]]]:
    """stories260K, and the head of the validation text in windows that begin with its first token."""
    folder, text = data_path("stories260K"), data_path("text", "tinystories_val.txt")
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    ids: list[int] = []
    for line in text.read_text(encoding="utf-8").splitlines():
        ids += tokenizer(line.strip(), add_special_tokens=False).input_ids if line.strip() else []
        if len(ids) >= tokens:
            break
    return folder, windows(ids[:tokens], 257, bos=1)


@pytest.mark.parametrize(("kv_bits", "most"), [(8, 0.0015), (4, 0.6)])
def test_a_compiled_model_has_the_quality_it_is_said_to_have(
    stories: Path, tmp_path: Path, kv_bits: int, most: float
) -> None:
    """The whole compiled step on the emulator, token by token, against the evaluator's batch."""
    folder, pieces = story_windows(200)
    if kv_bits != 8:
        stories = compiled(folder, tmp_path / "stories", "--kv-bits", kv_bits)
    program = Program.load(stories)
    kept = {each.dtype for each in program.manifest.arguments if each.kind == "cache"}
    assert kept == {"uint8" if kv_bits == 4 else "int8", "uint16"}
    steps = [program(ids=np.array([[token]]), positions=np.array([at])) for at, token in enumerate(pieces[0])]
    engines = [torch.tensor(np.stack([next(iter(outputs.values())).ravel() for outputs in steps]))]
    reference = evaluated(folder, pieces)
    found = evaluated(folder, pieces, Rounding(uniform(8), A, kv_bits, kv_bits))
    of_engines, of_evaluator = compare(pieces, reference, engines), compare(pieces, reference, found)
    assert of_engines.kl == pytest.approx(of_evaluator.kl, rel=0.2) and of_engines.kl < most
    assert compare(pieces, engines, found).kl < 0.3 * of_engines.kl
    assert abs(of_engines.nll - of_evaluator.nll) < 0.005


def test_stories_lose_nothing_at_eight_bits() -> None:
    """NLL on 20,000 tokens within 0.005 of fp32's; at 4 bits the loss that the README's table states."""
    folder, pieces = story_windows(20_000)

    def quality_at(bits: int) -> Quality:
        with (
            streamed_logits(StreamedModel(folder), pieces) as reference,
            streamed_logits(StreamedModel(folder), pieces, Rounding(uniform(bits), A)) as found,
        ):
            return score(pieces, found, reference)

    eight = quality_at(8)
    assert eight.tokens == 20_000
    assert eight.reference_nll == pytest.approx(1.470, abs=0.005)
    assert abs(eight.nll - eight.reference_nll) < 0.005 and eight.kl < 0.001
    four = quality_at(4)
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
