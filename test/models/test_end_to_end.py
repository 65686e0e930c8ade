"""A model in, tokens out, the same on every engine in every bit of every launch."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import data_path, heed_interrupts
from models.compiled_models import Command, compiled

from elastix.compiler.importer.torch_module import import_module
from elastix.compiler.options import CompileOptions
from elastix.compiler.pipeline import compile_model
from elastix.compiler.program_runner import Program
from elastix.compiler.stages import Stages
from elastix.tools.cli import main

LINEARS_OF_TINY = 2 * 7 + 1


@pytest.mark.parametrize("engine", ["rtl", "oracle"])
def test_engines_agree_on_a_small_model(tiny: Path, elastix: Command, engine: str) -> None:
    alone = elastix("run", tiny, "--ids", "1,2,3", "--tokens", 4)
    checked = elastix("run", tiny, "--ids", "1,2,3", "--tokens", 4, "--engine", engine, "--check")
    assert checked["ids"] == alone["ids"]
    assert (checked["checked_against"], checked["launches_compared"]) == ("emulator", 6 * LINEARS_OF_TINY)


@pytest.mark.parametrize("shape", [("--beat", 64, "--lanes", 4), ("--beat", 512, "--channels", 2)])
def test_the_processor_changes_no_bit(
    tiny: Path, tiny_model: Path, tmp_path: Path, elastix: Command, shape: tuple[object, ...]
) -> None:
    other = compiled(tiny_model, tmp_path / "other", "--bits", 5, "--max-context", 32, *shape)
    expected = elastix("run", tiny, "--ids", "5", "--tokens", 3)["ids"]
    assert elastix("run", other, "--ids", "5", "--tokens", 3, "--engine", "rtl", "--check")["ids"] == expected


def test_compiling_twice_gives_identical_bytes(tiny: Path, tiny_model: Path, tmp_path: Path) -> None:
    again = compiled(tiny_model, tmp_path / "again", "--bits", 5, "--max-context", 32)
    files = sorted(str(path.relative_to(tiny)) for path in tiny.rglob("*") if path.is_file())
    assert files == sorted(str(path.relative_to(again)) for path in again.rglob("*") if path.is_file())
    assert "rtl/elastix_processor.sv" in files
    for name in files:
        assert (tiny / name).read_bytes() == (again / name).read_bytes(), name


def test_a_story_token_by_token(stories: Path, elastix: Command) -> None:
    """At 8 bits the greedy story begins as the fp32 model's does."""
    golden = json.loads(data_path("golden.json").read_text())["stories260K"]["prompts"][0]
    assert golden["prompt_ids"] == [1]
    assert elastix("run", stories, "--ids", "1", "--tokens", 30)["ids"] == golden["greedy_ids"][:30]


def test_a_story_on_the_rtl_in_process(stories: Path, elastix: Command) -> None:
    """200 tokens with every linear layer on the RTL, each launch compared with the emulator, then with the oracle."""
    told = [
        elastix("run", stories, "--prompt", "", "--tokens", 200, "--engine", "rtl", "--check", other)
        for other in ("emulator", "oracle")
    ]
    assert told[0]["ids"] == told[1]["ids"]
    assert len(told[0]["ids"]) == 200
    assert [each["launches_compared"] for each in told] == [200 * 36] * 2
    assert told[0]["text"].startswith("Once upon a time")


def test_a_story_under_verilator(stories: Path, elastix: Command) -> None:
    verilated = elastix("run", stories, "--prompt", "", "--tokens", 20, "--engine", "verilator", "--check")
    in_process = elastix("run", stories, "--prompt", "", "--tokens", 20, "--engine", "rtl", "--check", "oracle")
    assert verilated["ids"] == in_process["ids"]
    assert verilated["cycles"] == in_process["cycles"] > 0
    assert verilated["launches_compared"] == in_process["launches_compared"] == 20 * 36


def test_a_chat_model_answers(smollm2: Path, elastix: Command) -> None:
    answer = elastix("run", smollm2, "--prompt", "What is the capital of France?", "--tokens", 30)
    assert answer["text"] == "The capital of France is Paris."


def test_a_whole_token_of_a_chat_model_on_the_rtl(smollm2: Path, elastix: Command) -> None:
    words = ("run", smollm2, "--ids", "504", "--tokens", 1)
    token = elastix(*words, "--engine", "rtl", "--check")
    assert token["ids"] == elastix(*words)["ids"]
    assert token["launches_compared"] == 30 * 7 + 1


def test_a_plan_for_a_layer_that_is_not_there(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.yaml").write_text("default: 8\nlayers:\n  model.layers.0.mlp.donw_proj: 4\n")
    options = ["--precision", str(tmp_path / "plan.yaml"), "--max-context", "32", "--json"]
    assert main(["compile", str(tiny_model), "-o", str(tmp_path / "out"), *options]) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith(f"error: {tmp_path}/plan.yaml:3: ")
    assert "down_proj" in message
    assert not (tmp_path / "out").exists()


def test_a_context_longer_than_the_model(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", str(tiny_model), "-o", str(tmp_path / "out"), "--max-context", "65", "--json"]) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("error: a context of 65 tokens; wanted: 1 to 64")
    assert list(tmp_path.iterdir()) == []


def test_more_tokens_than_the_cache_holds(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last token of the answer need not be in the cache; what comes before the error stays."""
    assert main(["run", str(tiny), "--ids", "1,2", "--tokens", "31"]) == 0
    whole = capsys.readouterr().out
    assert main(["run", str(tiny), "--ids", "1,2", "--tokens", "32"]) == 1
    streams = capsys.readouterr()
    assert streams.out == whole
    assert "31 of 32 tokens of answer after 2 of prompt, and the cache is full; wanted: at most 32 " in streams.err
    assert main(["run", str(tiny), "--ids", ",".join(["1"] * 33), "--tokens", "1"]) == 1
    assert "33 tokens of prompt; wanted: at most 32, the length of the cache" in capsys.readouterr().err


def test_a_changed_file_is_refused(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(tiny, folder)
    data = bytearray((folder / "program.bin").read_bytes())
    data[4] ^= 1
    (folder / "program.bin").write_bytes(data)
    assert main(["run", str(folder), "--ids", "1"]) == 1
    assert "program.bin has SHA-256" in capsys.readouterr().err


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_compile_leaves_nothing(tiny_model: Path, tmp_path: Path, kill: signal.Signals) -> None:
    command = [sys.executable, "-m", "elastix.tools.cli", "compile", str(tiny_model), "-o", str(tmp_path / "out")]
    worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=heed_interrupts)
    while worker.poll() is None and not list(tmp_path.iterdir()):
        time.sleep(0.01)
    assert [path.name.endswith(".partial") for path in tmp_path.iterdir()] == [True]
    worker.send_signal(kill)
    _, said = worker.communicate(timeout=60)
    # A shell calls both 130: under `-m`, CPython itself ends by SIGINT where it came while a text was exec'd.
    assert worker.returncode in (130, -signal.SIGINT)
    assert said.decode().splitlines()[-1] == "interrupted; no output was left behind"
    assert list(tmp_path.iterdir()) == []


def test_any_module_becomes_a_folder(tmp_path: Path) -> None:
    """As the README shows it."""
    torch.manual_seed(1)
    module, example = torch.nn.Sequential(torch.nn.Linear(40, 24), torch.nn.ReLU()).eval(), torch.randn(3, 40)
    imported = import_module(module, (example,))
    compile_model(imported, tmp_path / "OUT", CompileOptions(bits=8), Stages())
    program = Program.load(tmp_path / "OUT")
    (found,) = program.run({program.inputs[0].name: example.numpy()}).values()
    eager = module(example).detach().numpy()
    assert 0 < np.linalg.norm(found - eager) < 0.02 * np.linalg.norm(eager)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ids", "1", "--outputs", "y.npz"], "--outputs without --inputs; wanted: both"),
        (["--ids", "1", "--raw"], "--raw without --prompt; wanted: both"),
    ],
)
def test_options_that_would_do_nothing(
    tiny: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["run", str(tiny), *words]) == 1
    assert capsys.readouterr().err == f"error: {message}\n"
