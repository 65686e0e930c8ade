# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
"""One decode step of a Hugging Face causal LM: one token in, logits out, keys and values in caches of fixed length."""

from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin

from elastix.compiler.errors import ElastixError


class _Running:
    """The step that is running, for its cache layers: tracing swaps a module's tensors, so each use looks them up."""

    def __init__(self, step: torch.nn.Module) -> None:
        self.step = step
        self.positions = torch.empty(0)


class _StepLayer(CacheLayerMixin):
    """A layer's keys and values, written at the step's positions; the tensors are buffers of the step."""

    is_compileable = True
    is_sliding = False

    def __init__(self, running: _Running, layer: int, max_context: int) -> None:
        super().__init__()
        self._running, self._layer, self._max_context = running, layer, max_context
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing to do: the tensors are there from the start."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        keys = self._running.step.get_buffer(f"cache_key_{self._layer}")
        values = self._running.step.get_buffer(f"cache_value_{self._layer}")
        keys.index_copy_(2, self._running.positions, key_states)
        values.index_copy_(2, self._running.positions, value_states)
        return keys, values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._max_context, 0

    def get_seq_length(self) -> int:
        return self._running.positions[0]  # pyright: ignore[reportReturnType]  (a number that is traced)

    def get_max_length(self) -> int:
        return self._max_context


class DecodeStep(torch.nn.Module):
    """`(ids 1xT, positions T) → logits 1xTxV`; its caches are buffers `cache_key_<layer>`, `cache_value_<layer>`.

    A cache is 1 x key-value heads x max_context x head dimension.

    The causal mask is `key position ≤ query position`, and inside the window where a layer's attention slides.
    """

    def __init__(self, model: PreTrainedModel, max_context: int) -> None:
        super().__init__()
        self.model = model
        self.max_context = max_context
        config = model.config.get_text_config()
        shape = (1, _kv_heads(config), max_context, _head_dim(config))
        running = _Running(self)
        for layer in range(config.num_hidden_layers):
            for part in ("key", "value"):
                self.register_buffer(f"cache_{part}_{layer}", torch.zeros(shape, device="meta"))
        self._cache = Cache(
            layers=[_StepLayer(running, layer, max_context) for layer in range(config.num_hidden_layers)]
        )
        self._running = running
        self._windows = _windows(config, max_context)

    def forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        self._running.positions = positions
        masks = {kind: self._mask(positions, window) for kind, window in self._windows.items()}
        outputs = self.model(
            input_ids=ids,
            position_ids=positions[None],
            attention_mask=masks if len(masks) > 1 else next(iter(masks.values())),
            past_key_values=self._cache,
            use_cache=True,
        )
        return outputs.logits

    def _mask(self, positions: torch.Tensor, window: int) -> torch.Tensor:
        keys = torch.arange(self.max_context, device=positions.device)[None, :]
        seen = keys <= positions[:, None]
        if window < self.max_context:
            seen = seen & (keys > positions[:, None] - window)
        return seen[None, None]


def _kv_heads(config: Any) -> int:
    heads = getattr(config, "num_key_value_heads", None)
    return config.num_attention_heads if heads is None else heads


def _head_dim(config: Any) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _windows(config: Any, max_context: int) -> dict[str, int]:
    """Window of each kind of attention in the model; max_context where it sees everything.

    Raises ElastixError for layers that keep no keys and values.
    """
    window = getattr(config, "sliding_window", None) or max_context
    kinds: list[str] = list(dict.fromkeys(getattr(config, "layer_types", None) or ["full_attention"]))
    known = {"full_attention": max_context, "sliding_attention": window}
    foreign = [kind for kind in kinds if kind not in known]
    if foreign:
        raise ElastixError(
            f"{config.model_type} has layers of kind {', '.join(foreign)}",
            wanted="layers of full_attention or sliding_attention",
            do="choose a model whose layers keep keys and values",
        )
    if getattr(config, "layer_types", None) is None:
        return {"full_attention": window}
    return {kind: known[kind] for kind in kinds}
