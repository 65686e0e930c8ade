"""Models and options that no step processor carries out: one error that says what was found, wanted, and what to do."""

from pathlib import Path
from typing import Any

import pytest
from models.compiled_models import Command
from models.test_import_onnx import write_dense
from transformers import AutoModelForCausalLM, Gemma2Config, GemmaConfig, PreTrainedConfig

from elastix.compiler.step.refused import ON_HOST
from elastix.tools.cli import main

SIZES: dict[str, Any] = {
    "num_hidden_layers": 1,
    "vocab_size": 96,
    "max_position_embeddings": 64,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 96,
}
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
    assert message.endswith(ON_HOST)


def test_an_op_without_instructions(tmp_path: Path, capsys: Said, elastix: Command) -> None:
    """It is named with the line of the model that has it; the host computes it where the user allows that."""
    model = saved(tmp_path / "model", GemmaConfig(**SIZES, head_dim=16))
    message = refused(capsys, model, "-o", tmp_path / "out", "--max-context", 32)
    file, line, _ = message.split(":", 2)
    assert (
        Path(file).name == "modeling_gemma.py" and "embed_scale" in Path(file).read_text().splitlines()[int(line) - 1]
    )
    assert message.removeprefix(f"{file}:{line}: ") == (
        f"cannot compile torch.aten.mul.Tensor: the step processor has no instructions for it; {ON_HOST}"
    )
    assert not (tmp_path / "out").exists()
    figures = elastix("compile", model, "-o", tmp_path / "out", "--max-context", 32)
    assert figures["crossings"] > 1 and figures["other_cycles"] > 0
    assert "| `torch.aten.mul.Tensor` | host |" in (tmp_path / "out" / "report.md").read_text()


def test_attention_of_another_kind(tmp_path: Path, capsys: Said) -> None:
    """Scores go through a tanh."""
    model = saved(tmp_path / "model", Gemma2Config(**SIZES, head_dim=16))
    message = refused(capsys, model, "-o", tmp_path / "out", "--max-context", 32)
    assert "modeling_gemma2.py:" in message and "cannot compile torch.aten." in message and "softmax" in message
    assert message.endswith(ON_HOST)


def saved(folder: Path, config: PreTrainedConfig) -> Path:
    """A model with random weights."""
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder
