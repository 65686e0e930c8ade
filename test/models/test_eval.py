"""`elastix eval` on stories260K: the figures are what a loop over the compiled step finds, and every path agrees."""

import json
import shutil
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import data_path
from models.compiled_models import Command, compiled
from models.whole_model import logits, quantized
from transformers import AutoModelForCausalLM, AutoTokenizer

from elastix.compiler.evaluate_bytes import stream_of_manifest, stream_of_sites
from elastix.compiler.evaluate_compiled import CompiledLogits
from elastix.compiler.evaluate_streamed import Rounding, formats_of, streamed_logits
from elastix.compiler.evaluate_text import TextOptions, codec_of, windows_of
from elastix.compiler.manifest import load_manifest
from elastix.compiler.numbers.pack import QuantizedRows
from elastix.compiler.numbers.plan import default_format, load_plan, uniform
from elastix.compiler.numbers.quantize import quantize
from elastix.compiler.precision.plan_folder import PlanContent, PlannedLayer, write_plan
from elastix.compiler.precision.streamed_model import StreamedModel
from elastix.compiler.program_runner import Program
from elastix.compiler.rounded_caches import rounded_caches
from elastix.tools.cli import main
from elastix.tools.session import Session

A, KV = 11, 8


@pytest.fixture(scope="module")
def model() -> Path:
    return data_path("stories260K")


@pytest.fixture(scope="module")
def text() -> Path:
    return data_path("text", "tinystories_val.txt")


@pytest.fixture(scope="module")
def four_bits(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """stories260K compiled at 4 bits."""
    return compiled(model, tmp_path_factory.mktemp("eval") / "four", "--bits", 4)


def test_a_compiled_models_nll_is_that_of_a_loop_over_its_step(stories: Path, text: Path, elastix: Command) -> None:
    figures = elastix("eval", stories, "--text", text, "--tokens", 2000, "--context", 256)
    program = Program.load(stories)
    ids = AutoTokenizer.from_pretrained(stories / "tokenizer")(text.read_text()[:40_000], add_special_tokens=False)
    ids = ids.input_ids[:2000]
    total, scored = 0.0, 0
    for start in range(0, 2000, 256):
        window = ids[start : start + 256]
        program.reset()
        for position, (token, following) in enumerate(pairwise(window)):
            row = next(iter(program(ids=np.array([[token]]), positions=np.array([position])).values()))
            row = row.ravel().astype(np.float64)
            total += np.log(np.exp(row - row.max()).sum()) + row.max() - row[following]
            scored += 1
    assert (figures["tokens"], figures["scored"], figures["windows"]) == (2000, scored, 8)
    assert figures["nll"] == pytest.approx(total / scored, rel=1e-12)
    assert figures["ppl"] == pytest.approx(np.exp(total / scored), rel=1e-12)
    assert 0.0001 < figures["kl"] < 0.005 and 0.95 < figures["top1"] < 1
    assert figures["reference"] == str(data_path("stories260K").resolve())
    assert figures["kinds"]["kl"] == "measured" and figures["kinds"]["bytes_per_token"] == "counted"


def test_fp32_is_its_own_reference(model: Path, text: Path, elastix: Command) -> None:
    """Run twice it is the same in every bit; run once it says so."""
    twice = elastix("eval", model, "--text", text, "--tokens", 600, "--reference", model)
    assert (twice["kl"], twice["top1"], twice["nll"]) == (0, 1, twice["reference_nll"])
    assert twice["kinds"]["kl"] == "measured"
    once = elastix("eval", model, "--text", text, "--tokens", 600)
    assert (once["kl"], once["top1"], once["nll"]) == (0, 1, twice["nll"])
    assert once["kinds"]["kl"] == "by definition"
    assert once["bits_per_weight"] is None and once["kinds"]["bits_per_weight"] == "none"


def test_rounding_in_torch_has_the_figures_of_the_compiled_model(
    model: Path, four_bits: Path, text: Path, elastix: Command
) -> None:
    """A few percent apart; what is counted is the same, and all that a look-up reads is one row block."""
    words = ("--text", text, "--tokens", 2000, "--lines", "--bos", "--context", 257)
    emulated, batched = elastix("eval", four_bits, *words), elastix("eval", model, "--bits", 4, *words)
    assert batched["kl"] == pytest.approx(emulated["kl"], rel=0.03) and emulated["kl"] > 0.05
    assert batched["nll"] == pytest.approx(emulated["nll"], abs=0.003)
    assert batched["top1"] == pytest.approx(emulated["top1"], abs=0.01)
    assert batched["reference_nll"] == emulated["reference_nll"]
    assert (emulated["scored"], batched["scored"]) == (2000, 2000)
    for name in ("bits_per_weight", "bytes_per_token", "embedding_bytes_per_token", "weights"):
        assert batched[name] == emulated[name], name
    form = default_format(4)
    assert emulated["embedding_bytes_per_token"] == 32 * (form.scale_format.header_words(2) + 4 * 2)
    assert emulated["weights"] == 259_328  # all 260,032 parameters but the 11 norms of 64: the head is the embedding


def test_what_is_counted_is_what_compiling_reports(model: Path, tiny: Path, tiny_model: Path, four_bits: Path) -> None:
    """The tiny model's embedding is a table of its own, which is looked up in and not streamed."""
    for folder, files, bits in ((tiny, tiny_model, 5), (four_bits, model, 4)):
        stream = stream_of_manifest(load_manifest(folder))
        streamed = StreamedModel(files)
        assert stream == stream_of_sites(streamed.sites, formats_of(streamed, uniform(bits)), beat=256)
        assert stream.bytes == json.loads((folder / "report.json").read_text())["bytes_per_token"]
    stream = stream_of_manifest(load_manifest(tiny))
    layers = [layer for layer in load_manifest(tiny).layers if layer.weight != "model.embed_tokens.weight"]
    assert len(layers) == 15 and stream.weights == sum(layer.rows * layer.columns for layer in layers)
    assert {layer.weight: layer.look_ups for layer in load_manifest(tiny).layers if not layer.tokens} == {
        "model.embed_tokens.weight": 1
    }


def test_the_logits_are_the_oracles_in_every_bit(stories: Path, text: Path) -> None:
    pieces = windows_of(text, codec_of(stories / "tokenizer"), TextOptions(tokens=14, context=9))
    found: list[torch.Tensor] = []
    with ExitStack() as stack:
        for engine in ("emulator", "oracle"):
            session = Session(stories, engine, None, stack)
            session.use(session.chosen)
            answers = CompiledLogits(session.step, session.program.reset, pieces)
            found.append(torch.cat([answers.rows(0, 0, 4), answers.rows(0, 4, 9), answers.rows(1, 0, 5)]))
    assert found[0].shape == (14, 512)
    np.testing.assert_array_equal(found[0].numpy().view(np.uint32), found[1].numpy().view(np.uint32))


@pytest.mark.parametrize("rounding", [None, Rounding(uniform(4), A, KV, KV), Rounding(key_bits=4, value_bits=8)])
def test_a_block_at_a_time_is_the_whole_model(model: Path, text: Path, rounding: Rounding | None) -> None:
    pieces = windows_of(text, codec_of(model), TextOptions(tokens=150, context=64))
    load: Any = AutoModelForCausalLM.from_pretrained
    whole = load(str(model), dtype=torch.float32)
    with streamed_logits(StreamedModel(model), pieces, rounding) as streamed:
        found = [streamed.rows(window, 0, len(piece)) for window, piece in enumerate(pieces)]
    rounding = rounding or Rounding()
    plan = rounding.plan
    with (
        quantized(whole, plan.format_of if plan else lambda _name: None, A),
        rounded_caches(whole, rounding.key_bits, rounding.value_bits),
    ):
        expected = logits(whole, pieces)
    # A float sum that rounds to the other side of a step of C3 or C12 moves a number by one step.
    atol = 1e-4 if rounding == Rounding() else 0.3
    for piece, one, other in zip(pieces, found, expected, strict=True):
        assert one.shape == (len(piece), 512)
        np.testing.assert_allclose(one, other, atol=atol)
        assert float((one - other).abs().mean()) < atol / 20


def worse(rows: QuantizedRows) -> QuantizedRows:
    """Every eighth code is another."""
    codes = rows.codes.copy()
    codes[:, ::8] ^= 1
    return QuantizedRows(rows.format, codes, rows.scales, rows.rowscale, rows.zeros)


def test_a_plan_folders_weights_are_evaluated(model: Path, text: Path, tmp_path: Path, elastix: Command) -> None:
    """Codes that only the plan knows: worse than its formats give, alike in torch and compiled."""
    store, form = StreamedModel(model).store, default_format(6)
    names = [site.name for site in StreamedModel(model).sites]
    layers = tuple(
        PlannedLayer(name, form, *store.shape(name), 0, 0.0, 0.0, activation_bits=10 if "q_proj" in name else None)
        for name in names
    )
    write_plan(tmp_path / "plan", PlanContent(layers), lambda name: worse(quantize(store.read(name), form).rows), store)
    words = ("--text", text, "--tokens", 500)
    planned = elastix("eval", model, "--precision", tmp_path / "plan", *words)
    plain = elastix("eval", model, "--bits", 6, *words)
    assert planned["kl_expected"] is None and planned["kinds"]["kl_expected"] == "none"
    assert planned["kl"] > 1.3 * plain["kl"]
    assert planned["bytes_per_token"] == plain["bytes_per_token"]
    out = compiled(model, tmp_path / "out", "--precision", tmp_path / "plan")
    assert elastix("eval", out, *words)["kl"] == pytest.approx(planned["kl"], rel=0.05)


def test_a_plan_says_what_it_expects_of_the_text(model: Path, text: Path, tmp_path: Path, elastix: Command) -> None:
    """Its layers' errors on the fp32 model's inputs: more where codes are worse, none without a reference."""
    store, form = StreamedModel(model).store, default_format(6)
    layers = tuple(
        PlannedLayer(site.name, form, site.rows, site.columns, 0, 0.0, 0.0, cost=1e-3)
        for site in StreamedModel(model).sites
    )
    figures = {"kl_expected": 0.25, "kl_of_layers_alone": 0.125, "kl_of_layers_held_out": 1.0}
    expected: list[float] = []
    for name, change in (("as it is", lambda rows: rows), ("worse", worse)):
        content, folder = PlanContent(layers, figures=figures), tmp_path / name
        write_plan(folder, content, lambda name, change=change: change(quantize(store.read(name), form).rows), store)
        words = ("eval", model, "--precision", folder, "--text", text, "--tokens", 100)
        found = elastix(*words)
        assert found["kinds"]["kl_expected"] == "expected" and found["kinds"]["kl"] == "measured"
        assert elastix(*words, "--no-reference")["kl_expected"] is None
        expected.append(found["kl_expected"])
    assert 0.125 < expected[0] < 0.125 + 0.7 * (expected[1] - 0.125)


def test_activation_bits_of_a_plan_are_obeyed(model: Path, text: Path, tmp_path: Path, elastix: Command) -> None:
    (tmp_path / "plan.yaml").write_text("default: {bits: 8, activation_bits: 8}\n")
    assert load_plan(tmp_path / "plan.yaml").line_of("any").activation_bits == 8
    words = ("eval", model, "--text", text, "--tokens", 300)
    fewer, uniform_8 = elastix(*words, "--precision", tmp_path / "plan.yaml"), elastix(*words, "--bits", 8)
    assert fewer["kl"] > 2 * uniform_8["kl"]
    by_option = elastix(*words, "--bits", 8, "--activation-bits", 8)
    assert [fewer[name] for name in ("nll", "kl", "top1")] == [by_option[name] for name in ("nll", "kl", "top1")]


def test_a_plan_that_wants_more_than_the_processor_has(
    model: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.yaml").write_text("layers:\n  model.layers.2.mlp.up_proj: {bits: 4, activation_bits: 12}\n")
    said = refused(capsys, model, "--text", text, "--tokens", 100, "--precision", tmp_path / "plan.yaml")
    assert said == f"{tmp_path}/plan.yaml:2: activations of 12 bits; wanted: at most 11"


def test_a_folder_that_was_moved(stories: Path, model: Path, text: Path, tmp_path: Path, elastix: Command) -> None:
    """Its model is found where it was, or named; without one there is no KL."""
    moved = shutil.copytree(stories, tmp_path / "moved")
    words = ("eval", moved, "--text", text, "--tokens", 100)
    assert elastix(*words)["reference"] == str(model.resolve())
    manifest = load_manifest(moved)
    gone = replace(manifest, model={**manifest.model, "source": str(tmp_path / "gone")})
    (moved / "manifest.json").write_text(gone.to_json())
    named = elastix(*words, "--reference", model)
    assert named["reference"] == str(model) and named["kl"] > 0
    alone = elastix(*words, "--no-reference")
    assert alone["nll"] == named["nll"]
    assert [alone[name] for name in ("reference", "kl", "top1", "reference_nll", "reference_ppl")] == [None] * 5
    assert alone["kinds"]["kl"] == "none"


def test_windows_of_a_text_are_those_of_transformers(model: Path, text: Path) -> None:
    tokenizer, content = AutoTokenizer.from_pretrained(str(model)), text.read_text(encoding="utf-8")
    whole = tokenizer(content[:20_000], add_special_tokens=False).input_ids
    options = TextOptions(tokens=500, offset=70, context=100)
    assert windows_of(text, codec_of(model), options) == [whole[i : i + 100] for i in range(70, 570, 100)]
    lines = [
        token
        for line in content[:20_000].splitlines()
        if line.strip()
        for token in tokenizer(line.strip(), add_special_tokens=False).input_ids
    ]
    options = TextOptions(tokens=500, context=101, lines=True, bos=True)
    assert windows_of(text, codec_of(model), options) == [[1, *lines[i : i + 100]] for i in range(0, 500, 100)]


def test_a_folder_that_is_no_language_model(tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.onnx").write_bytes(b"")
    said = refused(capsys, tmp_path / "net.onnx", "--text", text)
    wanted = "a folder of `elastix compile`, a Hugging Face folder or a .gguf file"
    assert said == f"{tmp_path}/net.onnx is no language model; wanted: {wanted}"
    assert refused(capsys, tmp_path / "gone", "--text", text).startswith(f"no model at {tmp_path}/gone; wanted: ")


def refused(said: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line that `elastix eval` says before it exits with 1."""
    said.readouterr()
    assert main(["eval", *map(str, words), "--json"]) == 1
    lines = said.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0].removeprefix("error: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--context", 513), "--context 513; wanted: at most 512, which {} takes"),
        (("--tokens", 1), "--tokens 1; wanted: at least 2"),
        (("--tokens", 20_000_000), "tinystories_val.txt has "),
        (("--bits", 9), "weights of 9 bits; wanted: 1 to 8 bits"),
        (("--bits", 4, "--kv-bits", 5), "keys of 5 bits; wanted: 4 or 8 bits, or 32 for fp32"),
        (("--engine", "rtl"), "--engine for {}, which is not compiled; leave it out"),
        (("--rotate", "all"), "--rotate without --bits or --precision: nothing is rounded; leave it out"),
    ],
)
def test_options_that_will_not_do(
    model: Path, text: Path, capsys: pytest.CaptureFixture[str], words: tuple[object, ...], message: str
) -> None:
    assert message.format(model) in refused(capsys, model, "--text", text, *words)


def test_what_will_not_do_for_a_compiled_model(
    tiny: Path, tiny_model: Path, stories: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, tiny, "--text", text) == (
        f"no tokenizer.json in {tiny}/tokenizer; wanted: a language model with its tokenizer"
    )
    short = ("--text", text, "--tokens", 50)
    assert refused(capsys, stories, *short, "--bits", 4) == (
        f"--bits for {stories}, which is compiled already; leave it out"
    )
    assert refused(capsys, stories, *short, "--context", 600) == (
        f"--context 600; wanted: at most 512, which {stories} takes"
    )
    assert refused(capsys, stories, *short, "--reference", tiny_model) == (
        f"the reference {tiny_model} with a vocabulary of 99 tokens; wanted: 512, as the model has; "
        "give the model that it was made from"
    )
    moved = shutil.copytree(stories, tmp_path / "moved")
    manifest = load_manifest(stories)
    for source, said in (
        ("/gone/model", f"{moved} was compiled from /gone/model, which is not there; wanted: that model"),
        ("", f"{moved} was compiled from a model in memory; wanted: a model's files"),
    ):
        changed = replace(manifest, model={**manifest.model, "source": source})
        (moved / "manifest.json").write_text(changed.to_json())
        assert refused(capsys, moved, *short) == f"{said}; give --reference MODEL, or --no-reference"
