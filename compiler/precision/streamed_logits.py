"""A streamed model's logits on text: its blocks run over all windows, then a few rows at a time are asked for."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from elastix.compiler.precision.streamed_model import Part, StreamedModel
from elastix.compiler.rounded_activations import round_activations

WINDOWS_AT_ONCE: Final = 16
"""Windows that one reading of the embedding table serves."""
Advance = Callable[[float], None]
"""Called with tokens times blocks done since the last call."""
Within = Callable[[Part], AbstractContextManager[None]]
"""What a part is run within."""


@dataclass(frozen=True)
class StreamedLogits:
    """The answers of a model whose blocks have run: the hidden states before its head, [T, D] of each window."""

    hidden: Sequence[Tensor]
    head: Part

    @torch.no_grad()
    def rows(self, window: int, begin: int, end: int) -> Tensor:
        """As `evaluate_score.Logits` says."""
        return self.head(self.hidden[window][None, begin:end])[0].float()


@contextmanager
def block_by_block(
    model: StreamedModel,
    pieces: Sequence[Sequence[int]],
    within: Within = lambda _part: nullcontext(),
    advance: Advance = lambda _done: None,
) -> Generator[StreamedLogits]:
    """Run all blocks over the windows; within the context logits can be asked for. Raises as StreamedModel does."""
    with ExitStack() as stack:
        hidden = _embedded(model, pieces)
        for index in range(model.blocks):
            with model.block(index) as block, within(block), torch.no_grad():
                for window, state in enumerate(hidden):
                    hidden[window] = block(state[None])[0]
                    advance(len(state))
        head = stack.enter_context(model.head())
        stack.enter_context(within(head))
        yield StreamedLogits(hidden, head)


def _embedded(model: StreamedModel, pieces: Sequence[Sequence[int]]) -> list[Tensor]:
    """Hidden states before the first block; windows of one length are embedded together."""
    found: list[Tensor] = []
    while len(found) < len(pieces):
        first = len(found)
        last = min(first + WINDOWS_AT_ONCE, len(pieces))
        length = len(pieces[first])
        together = next((i for i in range(first, last) if len(pieces[i]) != length), last)
        found += [each.clone() for each in model.embed(torch.tensor(pieces[first:together]))]
    return found


def rounded_inputs(bits_of: Callable[[str], int]) -> Within:
    """Layers round what they read by C3; bits_of: of a layer by name, 0 for fp32."""

    @contextmanager
    def within(part: Part) -> Generator[None]:
        with ExitStack() as stack:
            for name, layer in part.linears.items():
                if bits := bits_of(name):
                    stack.callback(layer.register_forward_pre_hook(_rounding_to(bits)).remove)
            yield

    return within


def _rounding_to(bits: int) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    return lambda _module, inputs: (round_activations(inputs[0], bits), *inputs[1:])
