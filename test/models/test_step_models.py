"""Architectures as whole decode steps: emulator and oracle agree in every bit, and with the model in torch as far as
rounding lets them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models.whole_model import quantized
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedConfig, Qwen2Config, Qwen3Config
from transformers.pytorch_utils import Conv1D

from elastix.compiler.image import write_image
from elastix.compiler.importer.files import import_file
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.plan import default_format
from elastix.compiler.numbers.step_oracle_hazards import check_hazards
from elastix.compiler.options import CompileOptions
from elastix.compiler.stages import Stages
from elastix.compiler.step.compile import lower_step_of
from elastix.runtime.step_checked import CheckedStepEngine
from elastix.runtime.step_device import StepDevice, StepLayout
from elastix.runtime.step_engines import EmulatorEngine, OracleEngine
from elastix.runtime.step_simulate import SimulatedStep

SMALL: dict[str, Any] = dict(num_hidden_layers=2, vocab_size=96, max_position_embeddings=64, hidden_size=64)
HEADS: dict[str, Any] = dict(num_attention_heads=4, num_key_value_heads=2, intermediate_size=96)
CONFIGS: dict[str, Callable[[], PreTrainedConfig]] = {
    "llama": lambda: LlamaConfig(**SMALL, **HEADS),
    "gpt2": lambda: GPT2Config(n_embd=40, n_layer=2, n_head=5, vocab_size=96, n_positions=64),
    "qwen2": lambda: Qwen2Config(**SMALL, **HEADS, tie_word_embeddings=True),
    "qwen3": lambda: Qwen3Config(**SMALL, **HEADS, head_dim=16),
}
PROMPT = [3, 90, 41, 7, 7, 60]
GREEDY = 3
MARGIN = 1.5
"""How much more error than that of rounded weights and activations alone: keys and values have 8 bits, too."""


def small_model(kind: str) -> torch.nn.Module:
    """Random weights, biases and norms, too."""
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_config(CONFIGS[kind]()).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.uniform_(-0.3, 0.3)
            if "norm" in name or "ln_" in name:
                parameter.add_(1.0 if name.endswith("weight") else 0.0)
    return model


def logits(model: torch.nn.Module, ids: list[int]) -> NDArray[np.float32]:
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].numpy()


@contextmanager
def rounded(model: torch.nn.Module) -> Iterator[None]:
    """Within the block weights of 8 bits and activations of 11, but for learned positions, which stay in fp32."""
    for parent in list(model.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, Conv1D):
                linear = torch.nn.Linear(*module.weight.shape)
                linear.weight.data, linear.bias.data = module.weight.data.T.contiguous(), module.bias.data
                setattr(parent, name, linear)

    def format_of(name: str) -> Format | None:
        return None if name.endswith("wpe.weight") else default_format(8)

    with quantized(model, format_of, 11):
        yield


def devices_of(folder: Path, lanes: int = 1) -> tuple[StepDevice, StepDevice]:
    """The model of a folder on the emulator, and on the oracle."""
    options = CompileOptions(whole_step=True, beat=64, lanes=lanes)
    step = lower_step_of(import_file(folder, 16), options, Stages())
    check_hazards(step.program, step.parameters)
    weights = folder / "weights.bin"
    write_image(weights, step.memory.image, step.weights())
    layout = StepLayout.of(step.manifest())
    emulator, oracle = EmulatorEngine(step.parameters), OracleEngine(step.parameters)
    return (
        StepDevice(layout, weights, step.program_bytes, emulator),
        StepDevice(layout, weights, step.program_bytes, oracle),
    )


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_whole_step(kind: str, tmp_path: Path, one_thread: None) -> None:
    model = small_model(kind)
    model.save_pretrained(tmp_path)
    devices = devices_of(tmp_path)
    ids, rows = list(PROMPT), []
    for position in range(len(PROMPT) + GREEDY):
        emulated, exact = (device.step([ids[position]], position) for device in devices)
        assert emulated.logits.tobytes() == exact.logits.tobytes(), f"at position {position}"
        assert emulated.arg_max == exact.arg_max == (int(exact.logits.argmax()),)
        assert not exact.overflow
        rows.append(emulated.logits[0])
        if position + 1 >= len(ids):
            ids.append(emulated.arg_max[0])
    found, wanted = np.array(rows), logits(model, ids[:-1])
    with rounded(model):
        alone = logits(model, ids[:-1])
    error, least = (float(np.sqrt(np.mean((each - wanted) ** 2) / np.mean(wanted**2))) for each in (found, alone))
    print(f"{kind}: error {error:.5f}, of rounded weights and activations alone {least:.5f}")
    assert error < MARGIN * least


@pytest.mark.parametrize("kind", ["gpt2", "qwen3"])
def test_tokens_that_share_a_pass(kind: str, tmp_path: Path) -> None:
    """Positions, biases and norms of heads are each token's own."""
    small_model(kind).save_pretrained(tmp_path)
    one, _ = devices_of(tmp_path)
    three, _ = devices_of(tmp_path, lanes=3)
    alone = np.concatenate([one.step([token], position).logits for position, token in enumerate(PROMPT)])
    together = three.step(PROMPT, 0).logits
    assert together.tobytes() == alone.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gpt2", "qwen2", "qwen3"])
def test_the_generated_processor(kind: str, tmp_path: Path) -> None:
    """The RTL leaves the emulator's logits, arg max and caches; norms with a shift, GELU and biases among it."""
    small_model(kind).save_pretrained(tmp_path)
    device, _ = devices_of(tmp_path)
    with SimulatedStep(device.layout.parameters) as rtl:
        device.engine = checked = CheckedStepEngine(rtl, device.engine, device.layout.cache_address)
        for position, token in enumerate(PROMPT):
            device.step([token], position)
        assert checked.runs == len(PROMPT)
