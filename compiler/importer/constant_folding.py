# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""What a traced graph computes from nothing but constants is computed once, here: masks above all."""

from typing import Any, Final

import torch
from torch._ops import OpOverload
from torch.fx import Graph, Node

_MOST_ELEMENTS: Final = 1 << 20
_aten = torch.ops.aten
_CHEAP: Final = {
    _aten.arange.default,
    _aten.arange.start,
    _aten.arange.start_step,
    _aten.unsqueeze.default,
    _aten.view.default,
    _aten.expand.default,
    _aten.slice.Tensor,
    _aten._to_copy.default,
    _aten.alias.default,
    _aten.add.Tensor,
    _aten.zeros.default,
    _aten.ones.default,
    _aten.full.default,
}
"""Left in the graph where nothing else comes with them: they are what masks and caches are recognised by."""


def fold_constants(graph: Graph) -> list[tuple[Node, torch.Tensor]]:
    """Replace tensors that depend on no placeholder by new placeholders; returns these with their values.

    A mask that lets query t see the keys up to t becomes `arange ≤ arange`, whichever way it was written.
    """
    values = _constant_values(graph)
    expensive: set[Node] = set()
    for node in values:
        if node.target not in _CHEAP or any(source in expensive for source in node.all_input_nodes):
            expensive.add(node)
    edges = [n for n in values if n in expensive and any(user not in values for user in n.users)]
    last = [node for node in graph.nodes if node.op == "placeholder"][-1]
    made: list[tuple[Node, torch.Tensor]] = []
    for number, node in enumerate(edges):
        value = values[node]
        if _is_causal(value):
            node.replace_all_uses_with(_causal_mask(graph, node, value))
            continue
        with graph.inserting_after(last):
            last = graph.placeholder(f"constant_{number}")
        last.meta["val"] = node.meta["val"]
        node.replace_all_uses_with(last)
        made.append((last, value))
    for node in reversed(list(values)):
        if not node.users:
            graph.erase_node(node)
    return made


def _constant_values(graph: Graph) -> dict[Node, torch.Tensor]:
    """The nodes that depend on no placeholder, in order, with what they compute."""
    values: dict[Node, torch.Tensor] = {}
    for node in graph.nodes:
        target = node.target
        if node.op != "call_function" or not isinstance(target, OpOverload) or _is_impure(target):
            continue
        shown = node.meta.get("val")
        if not isinstance(shown, torch.Tensor) or shown.numel() > _MOST_ELEMENTS:
            continue
        if all(source in values for source in node.all_input_nodes):
            arguments, options = torch.fx.map_arg((node.args, dict(node.kwargs)), lambda n: values[n])
            if "device" in options:
                options = {**options, "device": torch.device("cpu")}
            values[node] = target(*arguments, **options)
    return values


def _is_impure(target: Any) -> bool:
    return torch.Tag.nondeterministic_seeded in target.tags or target._schema.is_mutable


def _is_causal(value: torch.Tensor) -> bool:
    if value.dtype != torch.bool or value.dim() < 2 or value.shape[-1] != value.shape[-2] or value.shape[-1] < 2:
        return False
    lower = torch.ones(value.shape[-2:], dtype=torch.bool).tril()
    return value.numel() == lower.numel() and torch.equal(value.reshape(lower.shape), lower)


def _causal_mask(graph: Graph, before: Node, value: torch.Tensor) -> Node:
    length = value.shape[-1]
    with graph.inserting_before(before):
        keys = _call(graph, before, _aten.arange.default, (length,))
        queries = _call(graph, before, _aten.unsqueeze.default, (keys, 1))
        mask = _call(graph, before, _aten.le.Tensor, (keys, queries))
        return _call(graph, before, _aten.view.default, (mask, list(value.shape)))


def _call(graph: Graph, like: Node, target: Any, arguments: tuple[Any, ...]) -> Node:
    """A new node with the place of `like` in the user's model, and the value that the importer wants to see."""
    node = graph.call_function(target, arguments)
    shown = like.meta["val"]
    with shown.fake_mode:
        node.meta["val"] = target(*torch.fx.map_arg(arguments, lambda n: n.meta["val"]))
    node.meta["stack_trace"] = like.meta.get("stack_trace")
    return node
