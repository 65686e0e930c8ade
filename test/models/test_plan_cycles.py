"""A token's cycles follow the bytes of the plan that a model was compiled with, whatever its layers' formats are."""

from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from models.compiled_models import compiled
from transformers import LlamaConfig, LlamaForCausalLM

from elastix.compiler.evaluate_bytes import stream_of_manifest
from elastix.compiler.manifest import load_manifest
from elastix.runtime.engines import simulated_cycles
from elastix.tools.session import Session

PLANS = {
    "mixed": """
default: 4
layers:
  model.layers.0.self_attn.*: '3b g128 s8c8 asymmetric'
  model.layers.1.self_attn.*: '6b g64 s6 half_step'
  model.layers.*.mlp.gate_proj: '2b g64 s8c8 asymmetric'
  model.layers.1.mlp.down_proj: '5b g256 s8 symmetric'
  lm_head: '3b g32 s8c8 asymmetric'
""",
    "large": "default: '8b g64 s8 symmetric'\n",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose layers are large enough that starting them is little beside reading them."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        tie_word_embeddings=False,
    )
    folder = tmp_path_factory.mktemp("cycles")
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def bytes_and_cycles(model: Path, folder: Path, plan: str) -> tuple[int, int]:
    """Of one token on the RTL: the bytes of its weights as the plan counts them, the cycles of all its launches."""
    (folder / "plan.yaml").write_text(PLANS[plan], encoding="utf-8")
    out = compiled(model, folder / "out", "--precision", folder / "plan.yaml", "--max-context", 16)
    with ExitStack() as stack:
        session = Session(out, "rtl", None, stack)
        session.use(session.chosen)
        session.step([5], 0)
        return stream_of_manifest(load_manifest(out)).bytes, simulated_cycles(session.engine)


def test_cycles_follow_the_bytes_of_a_mixed_plan(model: Path, tmp_path: Path) -> None:
    found: list[tuple[int, int]] = []
    for plan in PLANS:
        (tmp_path / plan).mkdir()
        found.append(bytes_and_cycles(model, tmp_path / plan, plan))
    (size, cycles), (larger, more) = found
    assert size < 0.6 * larger
    # A beat of 32 bytes a cycle is the most that the processor takes.
    assert size / 32 <= cycles <= 1.05 * size / 32
    assert more / cycles == pytest.approx(larger / size, rel=0.05)
    # Starting a layer takes the same time whatever its format: what is left are the beats.
    assert more - cycles == pytest.approx((larger - size) / 32, rel=0.01)
