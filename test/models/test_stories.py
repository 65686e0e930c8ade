"""stories260K compiled at 8 bits: its stories are the fp32 model's, and so is its likelihood of other stories."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import data_path
from numpy.typing import NDArray

from elastix.compiler.program_runner import Program
from elastix.compiler.tokenizer import load

CONTEXT, SCORED = 256, 20_000
SAME = 50
"""Greedy tokens until which 8 bits may change nothing; later near ties between two words fall either way."""
BEGIN = 1
"""The token that begins a text."""


@pytest.fixture(scope="module")
def program(stories: Path) -> Program:
    return Program.load(stories)


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return json.loads(data_path("golden.json").read_text())["stories260K"]


def logits(program: Program, token: int, position: int) -> NDArray[np.float32]:
    outputs = program.run({"ids": np.array([[token]]), "positions": np.array([position])})
    return next(iter(outputs.values())).reshape(-1)


def continued(program: Program, prompt: Sequence[int], count: int) -> tuple[NDArray[np.float32], list[int]]:
    """The logits after the prompt, and the greedy continuation."""
    program.reset()
    for position, token in enumerate(prompt):
        row = logits(program, token, position)
    first, ids = row, [int(row.argmax())]
    while len(ids) < count:
        ids.append(int(logits(program, ids[-1], len(prompt) + len(ids) - 1).argmax()))
    return first, ids


@pytest.mark.parametrize("index", range(3))
def test_a_story_is_the_fp32_models(program: Program, golden: dict[str, Any], index: int):
    case = golden["prompts"][index]
    first, ids = continued(program, case["prompt_ids"], SAME)
    top = case["last_prompt_logits_top8"]
    np.testing.assert_allclose(first[[token for token, _ in top]], [value for _, value in top], atol=0.25)
    assert first.mean() == pytest.approx(case["last_prompt_logits_mean"], abs=0.1)
    assert ids == case["greedy_ids"][:SAME]


@pytest.mark.slow
def test_the_likelihood_of_other_stories(program: Program, stories: Path, golden: dict[str, Any]):
    """20,000 tokens in windows of 256 that begin with the begin token; fp32 has 1.470."""
    codec = load(stories / "tokenizer")
    text = data_path("text", "tinystories_val.txt").read_text(encoding="utf-8")
    ids: list[int] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        ids.extend(codec.tokenizer.encode(line, add_special_tokens=False).ids)
        if len(ids) > SCORED:
            break
    total, scored = 0.0, 0
    for start in range(0, SCORED, CONTEXT - 1):
        chunk = ids[start : min(start + CONTEXT - 1, SCORED)]
        for position, token in enumerate([BEGIN, *chunk[:-1]]):
            row = logits(program, token, position).astype(np.float64)
            total += np.log(np.exp(row - row.max()).sum()) + row.max() - row[chunk[position]]
            scored += 1
    assert scored == SCORED
    assert total / scored == pytest.approx(golden["nll"][0]["nll"], abs=0.005)
