"""A folder of a whole decode step that is not whole is refused by all that read it; so is a text beyond the cache."""

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from models.compiled_models import Command

from elastix.compiler.errors import ElastixError
from elastix.compiler.manifest import FILE_NAME
from elastix.compiler.program_runner import PROGRAM_FILE, WEIGHTS_FILE
from elastix.compiler.step.manifest import load_step_manifest
from elastix.compiler.step.reuse import read_processor
from elastix.runtime.step_device import StepDevice
from elastix.runtime.step_engines import STEP_ENGINES, open_step_engine
from elastix.tools.cli import main

Said = pytest.CaptureFixture[str]
ROWS = 32
"""Of the caches of `small`."""


@pytest.fixture
def copied(small: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small, tmp_path / "copied")


@pytest.fixture
def commands(tmp_path: Path) -> Callable[[Path], list[list[str]]]:
    """What reads such a folder."""
    text = tmp_path / "text.txt"
    text.write_text("Once upon a time. " * 40)

    def words(folder: Path) -> list[list[str]]:
        return [
            ["run", str(folder), "--ids", "1,2"],
            ["eval", str(folder), "--text", str(text), "--no-reference"],
            ["disassemble", str(folder)],
        ]

    return words


def refusal(said: Said, words: list[str]) -> str:
    """The one line on standard error; nothing may be on standard output."""
    said.readouterr()
    assert main(words) == 1
    streams = said.readouterr()
    (line,) = [each for each in streams.err.splitlines() if each.startswith("error: ")]
    assert streams.out == ""
    return line.removeprefix("error: ")


@pytest.mark.parametrize("name", [PROGRAM_FILE, WEIGHTS_FILE, FILE_NAME, "rtl/elastix_step_processor.sv"])
@pytest.mark.parametrize("change", ["flipped", "truncated", "missing", "empty"])
def test_a_file_that_is_not_as_it_was_written(
    copied: Path, capsys: Said, commands: Callable[[Path], list[list[str]]], name: str, change: str
) -> None:
    path = copied / name
    content = bytearray(path.read_bytes())
    if change == "missing":
        path.unlink()
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes({"flipped": content, "truncated": content[:-1], "empty": b""}[change])
    for words in commands(copied):
        message = refusal(capsys, words)
        assert name in message and str(copied) in message, message
        if (change, name) != ("missing", FILE_NAME):  # then it is no such folder
            assert message.endswith("compile the model again")


def test_any_byte_of_any_file(copied: Path) -> None:
    """The manifest's own bytes too, spaces among them: no number in it can change unseen."""
    load_step_manifest(copied)
    hashes = json.loads((copied / FILE_NAME).read_text())["hashes"]
    rng = np.random.default_rng(5)
    for name in [*hashes, *[FILE_NAME] * 20]:
        path = copied / name
        content = path.read_bytes()
        changed = bytearray(content)
        changed[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(ElastixError) as caught:
            load_step_manifest(copied)
        assert name in str(caught.value)
        path.write_bytes(content)
    load_step_manifest(copied)


def test_a_number_of_the_manifest_that_would_give_wrong_tokens(copied: Path) -> None:
    path = copied / FILE_NAME
    address, text = load_step_manifest(copied).memory.logits_address, path.read_text()
    changed = text.replace(f'"logits_address": {address}', f'"logits_address": {address + 64}')
    assert changed != text
    path.write_text(changed)
    with pytest.raises(ElastixError, match=r"manifest\.json is not as it was written"):
        load_step_manifest(copied)


def test_a_processor_that_was_changed(copied: Path) -> None:
    """A manifest is taken as it was written; whoever wants another processor writes its parameters into a file."""
    path = copied / FILE_NAME
    there = read_processor(path)
    assert there == load_step_manifest(copied).step_processor
    path.write_text(path.read_text().replace(f'"beat": {there.beat}', '"beat": 128', 1))
    with pytest.raises(ElastixError, match=r"manifest\.json is not as it was written; .* into a YAML file"):
        read_processor(path)


def test_a_folder_of_an_older_format(copied: Path, capsys: Said, commands: Callable[[Path], list[list[str]]]) -> None:
    path = copied / FILE_NAME
    text = path.read_text()
    assert '"format_version": 4' in text
    path.write_text(text.replace('"format_version": 4', '"format_version": 3'))
    for words in commands(copied):
        assert refusal(capsys, words) == (
            f"{path} has format version 3; wanted: version 4; compile the model again with this version of Elastix"
        )


def test_a_corrupted_program_by_itself(copied: Path, capsys: Said) -> None:
    """Beside its manifest it is compared with that; alone its encoding is all that can be checked."""
    program = copied / PROGRAM_FILE
    content = bytearray(program.read_bytes())
    content[0] = 238
    program.write_bytes(content)
    assert "program.bin has SHA-256" in refusal(capsys, ["disassemble", str(program)])
    (copied / FILE_NAME).unlink()
    assert refusal(capsys, ["disassemble", str(program)]).startswith("instruction 0: opcode 238; ")


SIMULATED = [pytest.param(each, marks=[pytest.mark.slow] if each == "verilator" else []) for each in STEP_ENGINES]


@pytest.mark.parametrize("engine", SIMULATED)
def test_a_text_beyond_the_cache(small: Path, elastix: Command, capsys: Said, engine: str) -> None:
    """A prompt that is too long runs nothing; an answer stops where the cache is full, and what came of it is right."""
    run = ("run", str(small), "--engine", engine)
    long = ",".join(map(str, range(ROWS + 1)))
    assert refusal(capsys, [*run, "--ids", long]) == (
        f"{ROWS + 1} tokens of prompt; wanted: at most {ROWS}, the length of the cache; "
        "shorten the prompt, or compile with a larger --max-context"
    )
    prompt = ",".join(map(str, range(ROWS - 2)))
    right = elastix("run", small, "--ids", prompt, "--tokens", 3)["ids"]
    assert main([*run, "--ids", prompt, "--tokens", "9"]) == 1
    streams = capsys.readouterr()
    assert streams.out.split() == [str(each) for each in right]
    assert f"3 of 9 tokens of answer after {ROWS - 2} of prompt, and the cache is full; " in streams.err
    assert main([*run, "--ids", prompt, "--tokens", "9", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ids"] == right


@pytest.mark.parametrize("engine", SIMULATED)
def test_engines_refuse_positions_beyond_the_cache(small: Path, engine: str) -> None:
    """By themselves: whoever drives them without a StepDevice gets no wrong tokens either."""
    layout = StepDevice.load(small).layout
    with ExitStack() as stack:
        device = StepDevice.load(small, open_step_engine(engine, layout.parameters, stack))
        for tokens, position in (([1], ROWS), ([1, 2], ROWS - 1)):
            with pytest.raises(ElastixError):
                device.engine.run(device.memory, layout.program_address, tokens, position)
            with pytest.raises(ElastixError, match="the rows of the caches"):
                device.step(tokens, position)
        assert np.isfinite(device.step([1], 0).logits).all()  # it goes on as if nothing had been
