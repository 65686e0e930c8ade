"""A small Llama with random weights: two heads of keys of 8 values, three queries each."""

from pathlib import Path
from typing import Any, cast


def random_llama(folder: Path, *, layers: int) -> Path:
    """Saved as Hugging Face does; returns the folder."""
    import torch
    import transformers

    cast(Any, torch).manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=48,
        intermediate_size=72,
        num_hidden_layers=layers,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=8,
        vocab_size=99,
        max_position_embeddings=64,
    )
    cast(Any, transformers.LlamaForCausalLM(config)).save_pretrained(folder)
    return folder
