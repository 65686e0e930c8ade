# pyright: reportUnknownMemberType=false
"""A Hugging Face causal LM whose attention reads keys and values as a cache of codes gives them back (C12 to C14)."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, CacheLayerMixin

from elastix.compiler.numbers.cache import LARGEST

FLOAT_BITS = 32


def round_rows(x: Tensor, bits: int) -> Tensor:
    """C12 and back, scale · z, over the last dimension; fp32 in and out. Finite x."""
    x = torch.where(x.abs() < torch.finfo(torch.float32).tiny, 0.0, x.float()).double()
    limit = LARGEST[bits]
    largest = x.abs().amax(dim=-1, keepdim=True) / limit
    mantissa, exponent = torch.frexp(largest)
    # The significand of 8 bits, rounded up; what does not fit takes 128 and the next power. float64's rounding of the
    # quotient cannot pass an integer: it is a fraction of 15 or 127.
    significand, power = torch.ceil(mantissa * 256), exponent - 8
    power = torch.where(significand == 256, power + 1, power)
    significand = torch.where(significand == 256, 128.0, significand)
    least = (power < -133) | (largest == 0)
    significand, power = torch.where(least, 128.0, significand), torch.where(least, -133, power)
    t = x * torch.ldexp(torch.round(2.0**23 / significand), -23 - power.double())
    z = torch.round(t) if bits == 8 else 2 * torch.floor(t / 2) + 1
    return (z * torch.ldexp(significand, power.double())).float()


def rotate(x: Tensor, scale: float) -> Tensor:
    """C14 over the last dimension, a power of two."""
    width, apart = x.shape[-1], 1
    y = x.reshape(-1, width)
    while apart < width:
        pairs = y.reshape(len(y), -1, 2, apart)
        a, b = pairs[:, :, 0], pairs[:, :, 1]
        y = torch.stack([a + b, a - b], dim=2).reshape(-1, width)
        apart *= 2
    return (y * scale).reshape(x.shape)


class _RoundingLayer(CacheLayerMixin):
    """Gives attention the keys and values of the whole text at once, as codes would give them back."""

    is_compileable = False
    is_sliding = False

    def __init__(self, key_bits: int, value_bits: int, rotate_values: bool) -> None:
        super().__init__()
        self.is_initialized = True
        self._key_bits, self._value_bits, self._rotate_values = key_bits, value_bits, rotate_values

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is stored."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        keys = read_back(key_states, self._key_bits, rotated=True)
        return keys, read_back(value_states, self._value_bits, rotated=self._rotate_values and self._value_bits == 4)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0

    def get_seq_length(self) -> int:
        return 0

    def get_max_length(self) -> int:
        return -1


def read_back(x: Tensor, bits: int, *, rotated: bool) -> Tensor:
    """What attention sees of rows that were kept at so many bits, by quantize-caches' choice of rotations undone."""
    if bits == FLOAT_BITS:
        return x
    width = x.shape[-1]
    if not rotated or width.bit_count() != 1:
        return round_rows(x, bits)
    return rotate(round_rows(rotate(x, 1.0), bits), 1 / width)


@contextmanager
def rounded_caches(model: nn.Module, key_bits: int, value_bits: int, *, rotate_values: bool = True) -> Generator[None]:
    """Within the block the model's attention reads rounded keys (after rope) and values, per token and head.

    key_bits, value_bits: 8, 4, or 32 for fp32. rotate_values: false where the model's weights rotate values already.
    """
    if key_bits == value_bits == FLOAT_BITS:
        yield
        return
    layers = int(cast(Any, model).config.get_text_config().num_hidden_layers)

    def give_cache(
        _module: nn.Module, arguments: tuple[Any, ...], words: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        made = [_RoundingLayer(key_bits, value_bits, rotate_values) for _ in range(layers)]
        return arguments, {**words, "past_key_values": Cache(layers=cast(Any, made)), "use_cache": True}

    hook = model.register_forward_pre_hook(give_cache, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
