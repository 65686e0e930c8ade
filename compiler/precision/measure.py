"""What a whole plan costs: KL to fp32 of the model with all its layers rounded, part by part in bounded memory."""

from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from elastix.compiler.precision.sensitivity import divergence
from elastix.compiler.precision.sites import Site
from elastix.compiler.precision.streamed_model import Part, StreamedModel
from elastix.compiler.rounded_activations import round_activations


@torch.no_grad()
def measured_kl(
    model: StreamedModel,
    ids: Tensor,
    rounded: Callable[[Site], Tensor],
    *,
    activation_bits: int,
    progress: Callable[[float], None],
) -> float:
    """KL(fp32 ‖ rounded) in nats a token over texts [W, T]; activations are rounded too (C3), caches are not.

    progress is told of parts: the blocks and the head.
    """
    sites = {index: [site for site in model.sites if site.block == index] for index in range(-1, model.blocks + 1)}
    embedding = sites[model.blocks] if model.tied else sites[-1]
    plain = model.embed(ids)
    with model.replaced({site.name: rounded(site) for site in embedding}):
        hidden = model.embed(ids)
    for index in range(model.blocks):
        with model.block(index) as block:
            plain, hidden = block(plain), _rounded(block, sites[index], hidden, rounded, activation_bits)
        progress(1)
    total = 0.0
    with model.head() as head:
        # Text by text: logits are the largest tensors there are.
        for index in range(len(plain)):
            here = slice(index, index + 1)
            reference = torch.log_softmax(head(plain[here]).float(), -1)
            logits = _rounded(head, sites[model.blocks], hidden[here], rounded, activation_bits)
            total += divergence(reference, logits)
    progress(1)
    return total / len(plain)


def _rounded(
    part: Part, sites: list[Site], hidden: Tensor, rounded: Callable[[Site], Tensor], activation_bits: int
) -> Tensor:
    """A part's result with its layers rounded for as long."""

    def round_input(_module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (round_activations(given[0], activation_bits), *given[1:])

    with ExitStack() as stack:
        for site in sites:
            linear = part.linear(site.name)
            stack.callback(setattr, linear.weight, "data", linear.weight.data)
            linear.weight.data = rounded(site)
            stack.callback(linear.register_forward_pre_hook(round_input).remove)
        return part(hidden)
