# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Where a language model reads weights that can be rounded, found by running its blocks without their values."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from elastix.compiler.errors import ElastixError


@dataclass(frozen=True)
class Site:
    """A matrix that is rounded.

    name: the weight, as compiling names it; block: index of the decoder block, −1 the embedding, `blocks` the head;
    rows, columns: N and K; source: what the layer reads. Sites with equal sources read the same tensor (q, k, v; gate,
    up): the name of the first of them. Empty for an embedding, whose input is no vector.
    """

    name: str
    block: int
    rows: int
    columns: int
    source: str


@dataclass(frozen=True)
class Call:
    """What a model hands to a block besides the hidden state, which comes first."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


@dataclass(frozen=True)
class Observed:
    """A block's linear layers that were called, each with what it read; whether the block's result is a tuple."""

    inputs: dict[str, Tensor]
    gives_tuple: bool


def decoder_blocks(model: nn.Module, count: int) -> tuple[str, list[nn.Module]]:
    """The name and members of the one list of `count` modules that holds parameters; raises ElastixError for none."""
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count and any(True for _ in module.parameters()):
            return name, list(module)
    raise ElastixError(
        f"a {type(model).__name__} without a list of {count} decoder blocks",
        wanted="a causal language model that is one list of blocks",
    )


@torch.no_grad()
def observe(block: nn.Module, call: Call, hidden: Tensor) -> Observed:
    """Run a block on the meta device, where nothing has a value; `hidden` is there already."""
    shadow = copy.deepcopy(block).to("meta")
    inputs: dict[str, Tensor] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _module, given: inputs.update({name: given[0]})

    for name, module in shadow.named_modules():
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(note(name))
    arguments, keywords = pytree.tree_map_only(
        Tensor, lambda tensor: tensor.to("meta"), (call.arguments, call.keywords)
    )
    result = shadow(hidden, *arguments, **keywords)
    called = {name: inputs[name] for name, _ in shadow.named_modules() if name in inputs}
    return Observed(called, isinstance(result, tuple))


def block_sites(block: nn.Module, index: int, observed: Observed, name_of: Callable[[str], str]) -> Iterator[Site]:
    """The linear layers of a block that were called, in the order of its modules."""
    # All inputs are alive in `observed`, so no two share an identity.
    sources: dict[int, str] = {}
    for name, read in observed.inputs.items():
        linear = block.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        weight = name_of(name)
        source = sources.setdefault(id(read), weight)
        yield Site(weight, index, linear.out_features, linear.in_features, source)
