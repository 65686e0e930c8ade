"""What quantizing costs a language model that is in this process as a torch module: NLL, KL and agreement on text.

The same rounding as evaluate_streamed.py's, which `elastix eval` uses for models in files, and as exact: batched over
tokens, with sums in floating point. For modules that were never files, and to hold the other one to.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, Protocol, cast

import torch
from torch import Tensor, nn

from elastix.compiler.evaluate_score import Quality, Score
from elastix.compiler.importer.block_codes import NoCodes, block_codes
from elastix.compiler.importer.store import WeightStore
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.keep import fits, keep_codes
from elastix.compiler.numbers.pack import QuantizedRows
from elastix.compiler.numbers.quantize import dequantize, quantize

FormatOf = Callable[[str], Format | None]
"""Name of a weight (`model.layers.0.mlp.up_proj.weight`) to its format; None leaves it in fp32."""

LOGITS_AT_ONCE: Final = 1 << 24
"""Logits that one call of the model makes, 64 MB of them."""


class Hook(Protocol):
    """What torch returns for a hook."""

    def remove(self) -> None: ...


def round_activations(x: Tensor, activation_bits: int) -> Tensor:
    """C3 and back, x̂·2^e, over the last dimension; fp32 in and out, exact but for the rounding that C3 is."""
    x = torch.where(x.abs() < torch.finfo(torch.float32).tiny, 0.0, x.float())
    largest = x.abs().amax(dim=-1, keepdim=True)
    # frexp's mantissa lies in [1/2, 1): floor(log2 m) is its exponent − 1. In float64 no step can under- or overflow.
    exponent = torch.frexp(largest).exponent.double() - 1 - (activation_bits - 2)
    step = torch.exp2(exponent)
    limit = (1 << (activation_bits - 1)) - 1
    return (torch.clamp(torch.round(x.double() / step), -limit, limit) * step).float()


def _layers(model: nn.Module) -> list[tuple[str, nn.Linear | nn.Embedding]]:
    modules = cast(list[tuple[str, nn.Module]], list(cast(Any, model).named_modules()))
    return [(f"{name}.weight", module) for name, module in modules if isinstance(module, nn.Linear | nn.Embedding)]


def layer_names(model: nn.Module) -> list[str]:
    """Names of the weights that can be quantized."""
    return [name for name, _ in _layers(model)]


@contextmanager
def quantized(
    model: nn.Module, format_of: FormatOf, activation_bits: int, store: WeightStore | None = None
) -> Generator[None]:
    """Within the block the model's linear and embedding layers hold quantized weights and round their inputs.

    Tied weights are quantized once, in the format of the first module that has them. store: the model's file, whose
    codes are kept where the format holds them, as compiling does; without one all weights are rounded.
    """
    saved: dict[int, tuple[Tensor, Tensor]] = {}
    hooks: list[Hook] = []

    def round_input(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (round_activations(inputs[0], activation_bits), *inputs[1:])

    try:
        for name, module in _layers(model):
            form, weight = format_of(name), module.weight
            if form is None:
                continue
            if isinstance(module, nn.Linear):
                hooks.append(module.register_forward_pre_hook(round_input))
            if id(weight) not in saved:
                saved[id(weight)] = (weight, weight.data)
                weight.data = torch.tensor(dequantize(_rows(weight, form, name, store)))
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for weight, data in saved.values():
            weight.data = data


def _rows(weight: Tensor, form: Format, name: str, store: WeightStore | None) -> QuantizedRows:
    """The integers of a weight: the file's codes where the format holds them, else its values rounded."""
    found = NoCodes("") if store is None else block_codes(store, name)
    if not isinstance(found, NoCodes) and fits(found, form):
        return keep_codes(found, form, name=name).rows
    return quantize(weight.detach().float().numpy(), form, name=name).rows


def logits(model: nn.Module, pieces: list[list[int]]) -> list[Tensor]:
    """Logits of each window, fp32 [tokens, vocabulary]; windows of one length go through the model together."""
    found: list[Tensor] = []
    with torch.no_grad():
        for batch in _batches(pieces, LOGITS_AT_ONCE // int(cast(Any, model).config.vocab_size)):
            answer: Any = model(input_ids=torch.tensor(batch), use_cache=False)
            found += list(cast(Tensor, answer.logits).float())
    return found


def _batches(pieces: list[list[int]], tokens: int) -> list[list[list[int]]]:
    """Neighbouring windows of one length, up to so many tokens or one window together."""
    batches: list[list[list[int]]] = []
    for piece in pieces:
        last = batches[-1] if batches else []
        if last and len(last[0]) == len(piece) and (len(last) + 1) * len(piece) <= tokens:
            last.append(piece)
        else:
            batches.append([piece])
    return batches


def compare(pieces: list[list[int]], reference: list[Tensor], found: list[Tensor]) -> Quality:
    """Score logits against reference logits: NLL of each next token in the windows, KL and top 1 at every position."""
    total = Score()
    for piece, expected, answer in zip(pieces, reference, found, strict=True):
        total.add(piece[1:], expected, answer)
    return total.quality()


def evaluate(model: nn.Module, pieces: list[list[int]], format_of: FormatOf, activation_bits: int) -> Quality:
    """The quality of one precision plan; for several, keep the reference logits and use `quantized` and `compare`."""
    reference = logits(model, pieces)
    with quantized(model, format_of, activation_bits):
        return compare(pieces, reference, logits(model, pieces))
