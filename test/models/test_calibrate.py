"""Windows of a trained model's text."""

from pathlib import Path

import pytest
import torch
from conftest import data_path

from elastix.compiler.errors import ElastixError
from elastix.compiler.precision.text import read_text, token_windows


@pytest.fixture
def stories() -> Path:
    return data_path("stories260K")


def test_windows_of_a_text_begin_where_told(stories: Path) -> None:
    text = read_text(data_path("text", "wikitext2_valid.txt"))
    whole = token_windows(stories, text, window=100, count=6)
    assert torch.equal(token_windows(stories, text, window=50, count=4, offset=400).flatten(), whole.flatten()[400:])
    with pytest.raises(ElastixError, match=r"a text of [\d,]+ tokens; wanted: 512,000,000: 1000000 windows of 512"):
        token_windows(stories, text, window=512, count=1_000_000)
