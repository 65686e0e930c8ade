"""Activations become `elx.activation`: as one torch op, or written out."""

import math

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import defining, from_builtin, is_f32, number, text, to_builtin
from elastix.compiler.ir import ModuleOp, Value, compiler_pass, pattern, rewrite_until_stable
from elastix.dialects import elx
from elastix.passes.s2_fuse.looking_back import either_way, plain_sum, scaled

_GELU_KINDS = {"none": "gelu", "tanh": "gelu_tanh"}


@pattern
def silu(op: torch.AtenSiluOp) -> Value | None:
    return _activation(op.self_, "silu", op.result)


@pattern
def relu(op: torch.AtenReluOp) -> Value | None:
    return _activation(op.self_, "relu", op.result)


@pattern
def gelu(op: torch.AtenGeluOp) -> Value | None:
    kind = _GELU_KINDS.get(text(op.approximate) or "")
    return None if kind is None else _activation(op.self_, kind, op.result)


@pattern
def silu_in_parts(op: torch.AtenMulTensorOp) -> Value | None:
    """x · sigmoid(x)"""
    for x, gate in either_way(op):
        sigmoid = defining(gate)
        if isinstance(sigmoid, torch.AtenSigmoidOp) and sigmoid.self_ == x:
            return _activation(x, "silu", op.result)
    return None


@pattern
def gelu_tanh_in_parts(op: torch.AtenMulTensorOp) -> Value | None:
    """0.5 x · (1 + tanh(√(2/π) · (x + 0.044715 x³)))"""
    for half, rest in either_way(op):
        x, factor = scaled(half)
        plus_one = defining(rest)
        tanh = (
            defining(plus_one.self_)
            if isinstance(plus_one, torch.AtenAddScalarOp) and number(plus_one.other) == 1
            else None
        )
        if factor == 0.5 and isinstance(tanh, torch.AtenTanhOp) and _is_tanh_argument(tanh.self_, x):
            return _activation(x, "gelu_tanh", op.result)
    return None


def _is_tanh_argument(value: Value, x: Value) -> bool:
    inner, factor = scaled(value)
    total = defining(inner)
    if (
        not math.isclose(factor, math.sqrt(2 / math.pi), rel_tol=1e-6)
        or not isinstance(total, torch.AtenAddTensorOp)
        or not plain_sum(total)
    ):
        return False
    for first, second in either_way(total):
        cube, small = scaled(second)
        power = defining(cube)
        if (
            first == x
            and math.isclose(small, 0.044715, rel_tol=1e-6)
            and isinstance(power, torch.AtenPowTensorScalarOp)
        ):
            return power.self_ == x and number(power.exponent) == 3
    return False


def _activation(x: Value, kind: str, like: Value) -> Value | None:
    if not is_f32(x, like) or x.type != like.type:
        return None
    return from_builtin(elx.ActivationOp(x=to_builtin(x), kind=kind).result, like)


@compiler_pass
def fuse_activation(module: ModuleOp) -> None:
    """Make `elx.activation` of silu, gelu (exact or by tanh) and relu, also of silu and gelu by tanh written out."""
    rewrite_until_stable(module, silu, relu, gelu, silu_in_parts, gelu_tanh_in_parts)
