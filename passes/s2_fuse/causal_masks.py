"""Recognising masks: is this tensor `key position ≤ query position`, and of which positions?"""

from dataclasses import dataclass

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import defining, element, number, shape, whole
from elastix.compiler.ir import Value
from elastix.passes.s2_fuse.looking_back import positions_of, uncast, unshaped

HIDDEN = -1e4
"""An additive mask of this or less hides a key."""


@dataclass(frozen=True)
class CausalMask:
    """A causal mask; `positions` of the queries, or None where query t is the t-th of as many keys."""

    positions: Value | None


def causal_mask(mask: Value, tokens: int, length: int) -> CausalMask | None:
    """What `mask` (bool, or additive) says of `tokens` queries and `length` keys, if it is causal."""
    op = defining(_condition(unshaped(mask)))
    match op:
        case torch.AtenLeTensorOp(self_=keys, other=queries) | torch.AtenGeTensorOp(self_=queries, other=keys):
            pass
        case _:
            return None
    if not _counts(keys, length, axis=-1) or (shape(queries) or (0,))[-1] != 1:
        return None
    if tokens == length and _counts(queries, tokens, axis=-2):
        return CausalMask(None)
    if element(queries) != "si64":
        return None
    positions = positions_of(queries, tokens)
    return None if positions is None else CausalMask(positions)


def _condition(value: Value) -> Value:
    """The bool behind an additive mask that is 0 where it holds and very negative where it does not."""
    match defining(value):
        case torch.AtenWhereScalarOp(condition=condition, self_=shown, other=hidden) if (
            number(shown) == 0 and (number(hidden) or 0) <= HIDDEN
        ):
            return unshaped(condition)
        case _:
            return value


def _counts(value: Value, length: int, axis: int) -> bool:
    """Whether `value` is 0, 1, … length−1 along `axis` and has no other size but 1."""
    sizes = shape(value)
    if sizes is None or len(sizes) < -axis or sizes[axis] != length or any(n != 1 for n in _without(sizes, axis)):
        return False
    match defining(unshaped(uncast(value))):
        case torch.AtenArangeOp(end=end):
            return whole(end) == length
        case torch.AtenArangeStartOp(start=start, end=end):
            return whole(start) == 0 and whole(end) == length
        case torch.AtenArangeStartStepOp(start=start, end=end, step=step):
            return whole(start) == 0 and whole(end) == length and whole(step) == 1
        case _:
            return False


def _without(sizes: tuple[int, ...], axis: int) -> tuple[int, ...]:
    place = len(sizes) + axis
    return sizes[:place] + sizes[place + 1 :]
