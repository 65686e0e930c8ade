"""What every elx op means, in numpy and float64: the reference that lowered models are compared with.

It walks the one function of a module whose ops are all elx; operands and results are numpy arrays.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from elastix.compiler.ir import ArrayAttr, DictAttr, ModuleOp, StringAttr, shape_of
from elastix.dialects import elx

Array = np.ndarray[Any, Any]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * 0.5 * (1 + np.vectorize(math.erf, otypes=[np.float64])(x / math.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
}


def run(module: ModuleOp, values: Mapping[str, Array]) -> tuple[list[Array], dict[str, Array]]:
    """Outputs in order, and caches by name, of the module's function; `values` gives arguments by their `elx.name`."""
    function = module.body.operations[0]
    block = function.regions[0].blocks[0]
    known: dict[Any, Array] = {}
    for argument, words in zip(block.arguments, ArrayAttr(function.attributes["arg_attrs"]), strict=True):
        name = cast(StringAttr, DictAttr(words)["elx.name"]).value
        given = _wide(values[name])
        assert given.shape == shape_of(argument), f"{name} is {given.shape}, not {shape_of(argument)}"
        known[argument] = given
    for op in block.operations:
        if op.operation.name == "func.return":
            return _split(function, [known[value] for value in op.operands])
        result = compute(op, lambda value: known[value])
        assert result.shape == shape_of(op.results[0]), f"{op.operation.name} gives {result.shape}"
        known[op.results[0]] = result
    raise AssertionError("the function does not return")


def _split(function: Any, results: list[Array]) -> tuple[list[Array], dict[str, Array]]:
    outputs: list[Array] = []
    caches: dict[str, Array] = {}
    for value, words in zip(results, ArrayAttr(function.attributes["res_attrs"]), strict=True):
        said = DictAttr(words)
        if "elx.writes" in said:
            caches[cast(StringAttr, said["elx.writes"]).value] = value
        else:
            outputs.append(value)
    return outputs, caches


def _wide(values: Array) -> Array:
    return values.astype(np.float64) if values.dtype.kind == "f" else values


def compute(op: Any, of: Callable[[Any], Array]) -> Array:
    """The result of one op; `of` gives the arrays of its operands."""
    match op:
        case elx.EmbeddingOp():
            return of(op.table)[of(op.ids)]
        case elx.LinearOp():
            return of(op.x) @ of(op.weight).T + (0 if op.bias is None else of(op.bias))
        case elx.RmsNormOp():
            x = of(op.x)
            return x / np.sqrt((x**2).mean(-1, keepdims=True) + op.eps) * of(op.weight)
        case elx.LayerNormOp():
            x = of(op.x) - of(op.x).mean(-1, keepdims=True)
            return x / np.sqrt((x**2).mean(-1, keepdims=True) + op.eps) * of(op.weight) + of(op.bias)
        case elx.RopeOp():
            return rope(of(op.x), of(op.positions), of(op.inv_freq), op.scaling)
        case elx.CacheUpdateOp():
            cache = of(op.cache).copy()
            cache[:, :, of(op.positions)] = of(op.new)
            return cache
        case elx.AttentionOp():
            return attention(op, of)
        case elx.GatedActivationOp():
            return ACTIVATIONS[op.kind](of(op.gate)) * of(op.up)
        case elx.ActivationOp():
            return ACTIVATIONS[op.kind](of(op.x))
        case elx.ResidualOp():
            return of(op.a) + of(op.b)
        case elx.ReshapeOp():
            return of(op.x).reshape(shape_of(op.result))
        case elx.TransposeOp():
            return of(op.x).transpose(op.permutation)
        case _:
            raise AssertionError(f"{op.operation.name} is no op of elx in float")


def rope(x: Array, positions: Array, inv_freq: Array, scaling: float) -> Array:
    angles = positions[:, None] * np.concatenate([inv_freq, inv_freq])
    half = x.shape[-1] // 2
    turned = np.concatenate([-x[..., half:], x[..., :half]], -1)
    return (x * np.cos(angles) + turned * np.sin(angles)) * scaling


def attention(op: elx.AttentionOp, of: Callable[[Any], Array]) -> Array:
    q, k, v = of(op.q), of(op.k), of(op.v)
    repeats, tokens, length = q.shape[1] // k.shape[1], q.shape[2], k.shape[2]
    scores = q @ np.repeat(k, repeats, 1).swapaxes(2, 3) * op.scale
    if op.mask is not None:
        scores = scores + of(op.mask)
    if op.causal:
        last = of(op.positions) if op.positions is not None else np.arange(tokens) + length - tokens
        scores = np.where(np.arange(length) <= last[:, None], scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ np.repeat(v, repeats, 1)
