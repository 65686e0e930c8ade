"""A language model that is in this process as a torch module, run as a whole and rounded in place.

The evaluator that `elastix eval` uses takes a model from its files, a block at a time; this is what it is held to, and
what modules that were never files are compared with. Weights have the values of their codes, activations are rounded by
C3, sums are floating point.
"""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from elastix.compiler.evaluate_score import Quality, Score
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.quantize import dequantize, quantize
from elastix.compiler.rounded_activations import round_activations

FormatOf = Callable[[str], Format | None]
"""Name of a weight (`model.layers.0.mlp.up_proj.weight`) to its format; None leaves it in fp32."""
WINDOWS_AT_ONCE = 32


@contextmanager
def quantized(model: nn.Module, format_of: FormatOf, activation_bits: int) -> Generator[None]:
    """Within the block the model's linear and embedding layers hold rounded weights and round their inputs.

    Tied weights are rounded once, in the format of the first module that has them.
    """

    def round_input(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (round_activations(inputs[0], activation_bits), *inputs[1:])

    done: set[int] = set()
    with ExitStack() as stack:
        for name, module in model.named_modules():
            form = format_of(f"{name}.weight") if isinstance(module, nn.Linear | nn.Embedding) else None
            if form is None:
                continue
            if isinstance(module, nn.Linear):
                stack.callback(module.register_forward_pre_hook(round_input).remove)
            weight = module.weight
            if id(weight) not in done:
                done.add(id(weight))
                stack.callback(setattr, weight, "data", weight.data)
                rows = quantize(weight.detach().float().numpy(), form, name=name).rows
                weight.data = torch.tensor(dequantize(rows))
        yield


@torch.no_grad()
def logits(model: nn.Module, pieces: list[list[int]]) -> list[Tensor]:
    """Logits of each window, fp32 [tokens, vocabulary]; neighbours of one length go through the model together."""
    found: list[Tensor] = []
    while len(found) < len(pieces):
        first, length = len(found), len(pieces[len(found)])
        batch = pieces[first : first + WINDOWS_AT_ONCE]
        batch = batch[: next((i for i, piece in enumerate(batch) if len(piece) != length), len(batch))]
        found += list(model(input_ids=torch.tensor(batch), use_cache=False).logits.float())
    return found


def compare(pieces: list[list[int]], reference: list[Tensor], found: list[Tensor]) -> Quality:
    """Score logits against reference logits: NLL of each next token in the windows, KL and top 1 at every position."""
    total = Score()
    for piece, expected, answer in zip(pieces, reference, found, strict=True):
        total.add(piece[1:], expected, answer)
    return total.quality()
