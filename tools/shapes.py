"""Models by their published configuration, for figures that need no weights."""

import json
from pathlib import Path
from typing import Any, Final

from elastix.compiler.errors import ElastixError

SHAPES: Final[dict[str, dict[str, Any]]] = {
    "llama-3.1-8b": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
    },
}
"""As config.json has them."""


def write_shape(shape: str, folder: Path, **changes: int) -> Path:
    """config.json in `folder`: of a name in SHAPES, or a copy of a file, with `changes`; returns the folder.

    Raises ElastixError for neither.
    """
    if shape in SHAPES:
        config = SHAPES[shape]
    else:
        path = Path(shape)
        path = path / "config.json" if path.is_dir() else path
        if not path.is_file():
            raise ElastixError(f"shape {shape!r}", wanted=f"{', '.join(SHAPES)}, or a config.json")
        config = json.loads(path.read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**config, **changes}), encoding="utf-8")
    return folder
