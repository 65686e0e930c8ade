"""How much each layer's rounding costs the model: KL to fp32, measured with one layer rounded at a time.

All of it in one pass over the blocks: when a block is in memory, every text that differs so far goes through it, and
each of its layers starts another. A text that has begun to differ in block b takes the blocks behind b only.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from elastix.compiler.precision.sites import Site
from elastix.compiler.precision.streamed_model import Part, StreamedModel

TOGETHER = 4096
"""Tokens that go through a block at a time: enough to keep matrix products busy, few enough to bound memory."""


@dataclass
class _Variant:
    """The hidden state [W, T, D] of texts since one layer was rounded."""

    name: str
    hidden: Tensor


def through(part: Part, states: list[Tensor]) -> list[Tensor]:
    """Each state [W, T, D] through a part, several at a time."""
    found: list[Tensor] = []
    size = max(TOGETHER // (states[0].shape[0] * states[0].shape[1]), 1) if states else 1
    for start in range(0, len(states), size):
        batch = states[start : start + size]
        found += part(torch.cat(batch)).chunk(len(batch))
    return found


def divergence(reference: Tensor, logits: Tensor) -> float:
    """Mean KL(p ‖ q) in nats over all positions; reference: log p, logits: of q, both [..., V]."""
    q = torch.log_softmax(logits.float(), -1)
    # Of nearly equal distributions rounding can leave less than the 0 that it is at least.
    return max(float((reference.exp() * (reference - q)).sum(-1).double().mean()), 0.0)


@torch.no_grad()
def sensitivities(
    model: StreamedModel,
    ids: Tensor,
    rounded: Callable[[Site], Tensor],
    *,
    progress: Callable[[float], None],
) -> dict[str, float]:
    """KL in nats a token that each site costs when it alone holds the values `rounded` gives; ids: [W, T].

    progress is told of sites. A tied head is rounded in both its places.
    """
    sites = {index: [site for site in model.sites if site.block == index] for index in range(-1, model.blocks + 1)}
    plain, variants = model.embed(ids), list[_Variant]()
    embedding = sites[model.blocks] if model.tied else sites[-1]
    for site in embedding:
        with model.replaced({site.name: rounded(site)}):
            variants.append(_Variant(site.name, model.embed(ids)))
        progress(0 if model.tied else 1)
    for index in range(model.blocks):
        with model.block(index) as block:
            for variant, hidden in zip(variants, through(block, [each.hidden for each in variants]), strict=True):
                variant.hidden = hidden
            for site, hidden in _each_rounded(block, plain, sites[index], rounded):
                variants.append(_Variant(site.name, hidden))
                progress(1)
            plain = block(plain)
    return _at_the_head(model, plain, variants, sites[model.blocks], rounded, progress)


def _each_rounded(
    block: Part, hidden: Tensor, sites: list[Site], rounded: Callable[[Site], Tensor]
) -> Iterable[tuple[Site, Tensor]]:
    for site in sites:
        linear = block.linear(site.name)
        before = linear.weight.data
        linear.weight.data = rounded(site)
        yield site, block(hidden)
        linear.weight.data = before


def _at_the_head(
    model: StreamedModel,
    plain: Tensor,
    variants: list[_Variant],
    heads: list[Site],
    rounded: Callable[[Site], Tensor],
    progress: Callable[[float], None],
) -> dict[str, float]:
    found: dict[str, float] = {}
    with model.head() as head:
        reference = torch.log_softmax(head(plain).float(), -1)
        for variant in variants:
            if not (model.tied and variant.name == heads[0].name):
                found[variant.name] = divergence(reference, head(variant.hidden))
        for site in heads:
            hidden = next((each.hidden for each in variants if each.name == site.name), plain)
            head.linear(site.name).weight.data = rounded(site)
            found[site.name] = divergence(reference, head(hidden))
            progress(1)
    return found
