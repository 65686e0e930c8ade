"""Calibration of a trained model: its text, its logits, and what squared gradients say about the KL of a change."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import data_path
from models.whole_model import logits
from torch import Tensor
from transformers import AutoModelForCausalLM

from elastix.compiler.errors import ElastixError
from elastix.compiler.precision.calibrate import calibrate
from elastix.compiler.precision.streamed_model import StreamedModel
from elastix.compiler.precision.text import read_text, token_windows

pytestmark = pytest.mark.usefixtures("one_thread")

LINEARS = ("self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")


@pytest.fixture
def stories() -> Path:
    return data_path("stories260K")


@pytest.fixture
def windows(stories: Path) -> Tensor:
    text = read_text(data_path("text", "tinystories_val.txt"))
    return token_windows(stories, text, window=256, count=16, bos=True, lines=True)


def kl(reference: list[Tensor], found: list[Tensor]) -> float:
    """Mean over tokens, nats."""
    pairs = [(a.double().log_softmax(-1), b.double().log_softmax(-1)) for a, b in zip(reference, found, strict=True)]
    return float(torch.stack([(p.exp() * (p - q)).sum(-1).mean() for p, q in pairs]).mean())


def test_squared_gradients_predict_the_kl_of_small_changes(stories: Path, windows: Tensor, tmp_path: Path) -> None:
    streamed = StreamedModel(stories)
    found = calibrate(streamed, windows, folder=tmp_path)
    model: Any = AutoModelForCausalLM.from_pretrained(str(stories), dtype=torch.float32)
    pieces: list[list[int]] = windows.tolist()
    reference = logits(model, pieces)
    generator = torch.Generator().manual_seed(0)
    names = [f"model.layers.{block}.{linear}.weight" for block in (0, 4) for linear in LINEARS]
    for name in [*names, "lm_head.weight"]:
        site = streamed.sites[-1] if name == "lm_head.weight" else next(s for s in streamed.sites if s.name == name)
        kept: Tensor = model.get_parameter(name).data
        change = torch.randn(kept.shape, generator=generator) * kept.std() * 0.02
        if name == "lm_head.weight":
            # Tied: only the head's use of it is changed.
            model.lm_head.weight = torch.nn.Parameter(kept + change)
        else:
            model.get_parameter(name).data = kept + change
        measured = kl(reference, logits(model, pieces))
        model.get_parameter(name).data = kept
        e = change.double().numpy()
        power = np.einsum("nk,kl,nl->n", e, found.weighted(site.source).astype(np.float64), e) / found.tokens
        predicted = 0.5 * float(found.rows(site.name) @ power) / found.tokens
        # Attention adds up the values of many tokens: what they have in common is more than the sum of their squares.
        low = 0.3 if "v_proj" in name else 0.75
        assert low < predicted / measured < 1.25, name


def test_windows_of_a_text_begin_where_told(stories: Path) -> None:
    text = read_text(data_path("text", "wikitext2_valid.txt"))
    whole = token_windows(stories, text, window=100, count=6)
    assert torch.equal(token_windows(stories, text, window=50, count=4, offset=400).flatten(), whole.flatten()[400:])
    with pytest.raises(ElastixError, match=r"a text of [\d,]+ tokens; wanted: 512,000,000: 1000000 windows of 512"):
        token_windows(stories, text, window=512, count=1_000_000)
