"""Models and options that no step processor carries out: one error that says what was found, wanted, and what to do."""

from pathlib import Path

import pytest
from models.test_import_onnx import write_dense

from elastix.tools.cli import main

Said = pytest.CaptureFixture[str]


def refused(said: Said, *words: object) -> str:
    """The one line that `elastix compile --whole-step` says before it exits with 1."""
    assert main(["compile", *map(str, words), "--whole-step", "--json"]) == 1
    (line,) = [each for each in said.readouterr().err.splitlines() if each.startswith("error: ")]
    return line.removeprefix("error: ")


def test_a_model_without_attention(tmp_path: Path, capsys: Said) -> None:
    write_dense(tmp_path / "net.onnx", transposed=False)
    assert refused(capsys, tmp_path / "net.onnx", "-o", tmp_path / "out") == (
        "a model without attention over cached keys and values of 8 bits; wanted: the decode step of a language model; "
        "compile without --whole-step"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "keys", "values"), [("--kv-bits", 4, 4), ("--key-bits", 32, 8), ("--value-bits", 8, 4)]
)
def test_caches_of_other_bits(tmp_path: Path, capsys: Said, option: str, keys: int, values: int) -> None:
    bits = keys if option == "--key-bits" else values
    assert refused(capsys, tmp_path, "-o", tmp_path / "out", option, bits) == (
        f"--whole-step with keys of {keys} and values of {values} bits; wanted: 8 and 8 bits; "
        "leave out --kv-bits, --key-bits and --value-bits, or --whole-step"
    )


def test_heads_that_are_no_power_of_two(tiny_model: Path, tmp_path: Path, capsys: Said) -> None:
    message = refused(capsys, tiny_model, "-o", tmp_path / "out", "--max-context", 32)
    assert "cannot compile elx.quantized_attention: heads of 10 values; " in message
    assert "wanted: one of 8, 16, 32, 64, 128, 256, as a step processor has it; " in message
    assert message.endswith("compile without --whole-step")
