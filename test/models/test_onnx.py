"""An ONNX CNN: convolutions on the host, the dense layer in hardware."""

from pathlib import Path

import numpy as np
import pytest
from conftest import data_path
from models.compiled_models import Command, compiled

from elastix.compiler.program_runner import Program


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The MNIST CNN of the ONNX model zoo at 8 bits."""
    return compiled(data_path("mnist-8", "mnist-8.onnx"), tmp_path_factory.mktemp("out") / "mnist")


def test_digits_are_read_as_well_as_in_fp32(mnist: Path) -> None:
    """98.9 % of the 10,000 test images, within 0.2 points."""
    program = Program.load(mnist)
    assert [(layer.rows, layer.columns) for layer in program.manifest.layers] == [(10, 256)]
    data = np.load(data_path("mnist-8", "mnist_test_10k.npz"))
    name, result = program.inputs[0].name, program.manifest.results[0].name
    images = data["images"].reshape(-1, 1, 1, 28, 28).astype(np.float32)
    right = sum(
        int(program.run({name: image})[result].argmax() == label)
        for image, label in zip(images, data["labels"], strict=True)
    )
    assert 0.987 <= right / len(images) <= 0.991


def test_a_digit_on_the_rtl(mnist: Path, tmp_path: Path, elastix: Command) -> None:
    image = np.load(data_path("mnist-8", "mnist_test_10k.npz"))["images"][0].reshape(1, 1, 28, 28).astype(np.float32)
    np.savez(tmp_path / "inputs.npz", Input3=image)
    words = ("run", mnist, "--inputs", tmp_path / "inputs.npz")
    on_rtl = elastix(*words, "--engine", "rtl", "--check", "--outputs", tmp_path / "outputs.npz")
    assert on_rtl["launches_compared"] == 1
    assert on_rtl["cycles"] > 0
    assert on_rtl["results"] == elastix(*words)["results"]
    (stored,) = dict(np.load(tmp_path / "outputs.npz")).values()
    assert stored.ravel().tolist() == next(iter(on_rtl["results"].values()))


def test_a_cnn_is_no_language_model(mnist: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from elastix.tools.cli import main

    assert main(["run", str(mnist), "--ids", "1"]) == 1
    assert "takes Input3, no text; wanted: a language model; give --inputs FILE.npz" in capsys.readouterr().err
