"""Small Llamas with random weights, the same each time."""

from pathlib import Path
from typing import Any, Final, cast

TWO_HEADS_OF_KEYS: Final = {
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 1,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 99,
    "max_position_embeddings": 64,
}
"""Of 8 values each, three queries for each of them."""
ODD_WIDTHS: Final = {
    **TWO_HEADS_OF_KEYS,
    "hidden_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "tie_word_embeddings": False,
}
"""No multiples of 32, and an output head of its own."""


def random_llama(folder: Path, **config: Any) -> Path:
    """Saved as Hugging Face does; returns the folder. config: of `LlamaConfig`, TWO_HEADS_OF_KEYS else."""
    import torch
    import transformers

    cast(Any, torch).manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**TWO_HEADS_OF_KEYS, **config}))
    cast(Any, model).save_pretrained(folder)
    return folder
