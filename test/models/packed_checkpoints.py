"""Small random Llamas as GPTQ and AWQ checkpoints, packed here, code by code, as the formats are described."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

CONFIG: dict[str, Any] = dict(
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=96,
    max_position_embeddings=64,
    bos_token_id=1,
    eos_token_id=2,
)


@dataclass(frozen=True)
class Linear:
    """q [N, K], scale and zero [N, groups], and the group of each column; w = scale·(q − zero)."""

    q: np.ndarray
    scale: np.ndarray
    zero: np.ndarray
    group_of: np.ndarray

    def values(self) -> np.ndarray:
        return self.scale[:, self.group_of] * (self.q - self.zero[:, self.group_of]).astype(np.float32)


def random_linear(shape: tuple[int, int], bits: int, group: int, *, symmetric: bool, act_order: bool) -> Linear:
    random = np.random.default_rng(shape[0] * shape[1] + bits)
    columns = shape[1]
    group_of = np.arange(columns) // (columns if group == -1 else group)
    groups = int(group_of[-1]) + 1
    zero = np.full((shape[0], groups), 1 << (bits - 1))
    if not symmetric:
        zero = random.integers(0, 1 << bits, zero.shape)
    q = random.integers(0, 1 << bits, shape)
    scale = random.uniform(0.01, 0.02, zero.shape).astype(np.float16).astype(np.float32)
    return Linear(q, scale, zero, random.permutation(group_of) if act_order else group_of)


def words_of(codes: list[int], bits: int) -> list[int]:
    """Codes one after the other from the lowest bit of one long number on, which is then cut into signed words."""
    number = sum(code << (bits * place) for place, code in enumerate(codes))
    raw = number.to_bytes(len(codes) * bits // 8, "little")
    return [int.from_bytes(raw[at : at + 4], "little", signed=True) for at in range(0, len(raw), 4)]


def gptq_tensors(name: str, linear: Linear, bits: int, checkpoint_format: str) -> dict[str, torch.Tensor]:
    """Columns of qweight are rows of the matrix; zero points lie along the rows, less one in the first format."""
    zeros = linear.zero.T
    if checkpoint_format == "gptq":
        zeros = zeros - 1
        assert zeros.min() >= 0, "a zero point of 0 borrows; see test_zero_points_that_borrow"
    return {
        f"{name}.qweight": torch.tensor([words_of(list(map(int, row)), bits) for row in linear.q], dtype=torch.int32).T,
        f"{name}.qzeros": torch.tensor([words_of(list(map(int, row)), bits) for row in zeros], dtype=torch.int32),
        f"{name}.scales": torch.tensor(linear.scale.T.astype(np.float16)),
        f"{name}.g_idx": torch.tensor(linear.group_of.astype(np.int32)),
    }


def awq_tensors(name: str, linear: Linear) -> dict[str, torch.Tensor]:
    """Nibble i of a word holds row 0, 2, 4, 6, 1, 3, 5, 7 of eight."""

    def packed(rows: np.ndarray) -> torch.Tensor:
        eights = rows.T.reshape(rows.shape[1], -1, 8)[..., [0, 2, 4, 6, 1, 3, 5, 7]]
        return torch.tensor([[words_of(list(map(int, e)), 4)[0] for e in row] for row in eights], dtype=torch.int32)

    scales = torch.tensor(linear.scale.T.astype(np.float16))
    return {f"{name}.qweight": packed(linear.q), f"{name}.qzeros": packed(linear.zero), f"{name}.scales": scales}


def write_checkpoint(
    folder: Path, quantization: dict[str, Any], *, symmetric: bool = True, act_order: bool = False
) -> tuple[LlamaForCausalLM, dict[str, Linear]]:
    """A Llama's folder with packed linear layers; returns the model of the same weights, and what was packed."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**CONFIG)).eval()
    bits, group = quantization["bits"], quantization["group_size"]
    tensors: dict[str, torch.Tensor] = {}
    linears: dict[str, Linear] = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            shape = (module.out_features, module.in_features)
            linear = random_linear(shape, bits, group, symmetric=symmetric, act_order=act_order)
            if quantization.get("checkpoint_format") != "gptq_v2":
                np.maximum(linear.zero, 1, out=linear.zero)
            linears[f"{name}.weight"] = linear
            module.weight.data = torch.tensor(linear.values(), dtype=torch.float32)
            if quantization["quant_method"] == "awq":
                tensors |= awq_tensors(name, linear)
            else:
                tensors |= gptq_tensors(name, linear, bits, quantization.get("checkpoint_format", "gptq"))
    for name, parameter in model.named_parameters():
        if name not in linears:
            parameter.data = parameter.data.half().float()
            tensors[name] = parameter.data.half()
    folder.mkdir(exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, str(folder / "model.safetensors"))
    config = model.config.to_dict() | {"quantization_config": quantization}
    (folder / "config.json").write_text(json.dumps(config))
    return model, linears
