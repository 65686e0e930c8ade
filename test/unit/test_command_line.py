"""Bad input gets one clear error, exit code 1, and nothing half-written."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import heed_interrupts

from elastix.compiler.errors import ElastixError
from elastix.compiler.output import new_folder
from elastix.tools.cli import main
from elastix.tools.compile import parser as compile_parser
from elastix.tools.run import parser as run_parser

Said = pytest.CaptureFixture[str]


def refused(said: Said, *words: object) -> str:
    """The one line that a command says before it exits with 1."""
    assert main(list(map(str, words))) == 1
    streams = said.readouterr()
    lines = streams.err.splitlines()
    assert len(lines) == 1, streams.err
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


def test_options_with_a_value_say_their_default() -> None:
    for made in (compile_parser(), run_parser()):
        asked = {"model", "folder", "output", "prompt", "inputs", "ids", "bits", "outputs"}
        for action in made._actions:
            if action.nargs != 0 and action.dest not in asked:
                assert action.help and ("default" in action.help or action.nargs == "?"), action.dest


def test_no_such_model(tmp_path: Path, capsys: Said) -> None:
    message = refused(capsys, "compile", tmp_path / "nothing", "-o", tmp_path / "out", "--json")
    assert message.startswith(f"no model at {tmp_path}/nothing; wanted: ")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_model(tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    message = refused(capsys, "compile", tmp_path / "notes.txt", "-o", tmp_path / "out", "--json")
    assert "notes.txt is no model; wanted: a Hugging Face folder, a .gguf file or an .onnx file" in message


def test_a_truncated_gguf(tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "cut.gguf").write_bytes(b"GGUF\x03\0\0\0")
    message = refused(capsys, "compile", tmp_path / "cut.gguf", "-o", tmp_path / "out", "--json")
    assert "cut.gguf" in message
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_exists(tmp_path: Path, capsys: Said) -> None:
    message = refused(capsys, "compile", tmp_path, "-o", tmp_path, "--json")
    assert message == f"{tmp_path} exists; wanted: a folder that is not there yet; give another -o, or --overwrite"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--bits", 9, "weights of 9 bits; wanted: 1 to 8 bits"),
        ("--bits", 0, "weights of 0 bits; wanted: 1 to 8 bits"),
        ("--activation-bits", 7, "activation_bits = 7; wanted: 8 ... 12"),
        ("--beat", 100, "beat of 100 bits; wanted: 64, 128, 256 or 512"),
        ("--max-context", 0, "--max-context 0; wanted: at least one token"),
    ],
)
def test_an_option_out_of_range(tmp_path: Path, capsys: Said, option: str, value: int, said: str) -> None:
    assert refused(capsys, "compile", tmp_path, "-o", tmp_path / "out", option, value) == said


def test_overwriting_what_the_compiler_did_not_make(tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    message = refused(capsys, "compile", tmp_path, "-o", tmp_path / "thesis", "--overwrite", "--json")
    assert "was not made by `elastix compile`; wanted: a folder with manifest.json" in message
    assert (tmp_path / "thesis" / "thesis.tex").exists()


def test_overwriting_keeps_the_old_folder_until_the_new_one_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for text in ("first", "second"):
        with new_folder(out, overwrite=True) as folder:
            (folder / "manifest.json").write_text(text)
    with pytest.raises(ElastixError, match="no such layer"), new_folder(out, overwrite=True):
        raise ElastixError("no such layer")
    assert (out / "manifest.json").read_text() == "second"
    assert list(tmp_path.iterdir()) == [out]


def test_running_what_was_not_compiled(tmp_path: Path, capsys: Said) -> None:
    message = refused(capsys, "run", tmp_path, "--ids", "1")
    assert message == f"no manifest.json in {tmp_path}; wanted: a folder that `elastix compile` wrote"


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(ElastixError, match=r"the disk of .* is full; wanted: room"),
        new_folder(tmp_path / "out") as folder,
    ):
        (folder / "weights.bin").write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


WORKER = """
import sys, time
from pathlib import Path
from elastix.compiler.output import new_folder
with new_folder(Path(sys.argv[1])) as folder:
    (folder / "weights.bin").write_bytes(b"half")
    print("writing", flush=True)
    for _ in range(600):  # a signal that comes just before a sleep begins is seen when it ends
        time.sleep(0.1)
"""


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_compile_leaves_nothing(tmp_path: Path, kill: signal.Signals) -> None:
    command = [sys.executable, "-c", WORKER, str(tmp_path / "out")]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_interrupts)
    assert worker.stdout is not None
    worker.stdout.readline()
    worker.send_signal(kill)
    worker.communicate(timeout=20)
    assert worker.returncode != 0
    for _ in range(20):
        if not list(tmp_path.iterdir()):
            break
        time.sleep(0.1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("plan", "message"),
    [("default: {bits: 9}\n", "9"), ("defualt: {bits: 4}\n", "default"), ("layers: [\n", "plan.yaml")],
)
def test_a_plan_with_a_mistake(tmp_path: Path, capsys: Said, plan: str, message: str) -> None:
    """It shows before the model is imported: there is none here."""
    (tmp_path / "plan.yaml").write_text(plan)
    said = refused(capsys, "compile", tmp_path, "-o", tmp_path / "out", "--precision", tmp_path / "plan.yaml", "--json")
    assert "plan.yaml" in said
    assert message in said
