"""Rows of caches: new keys and values on their way into them."""

from typing import Final

from elastix.compiler.ir import Value, element_of
from elastix.compiler.processor.step.instructions import Maximum, Operation, Target
from elastix.compiler.step.emitter import At, Emitter
from elastix.compiler.step.layout import rope_of
from elastix.compiler.step.linear import Parts
from elastix.compiler.step.refused import RefusedStepOp
from elastix.compiler.step.tables import ROPE
from elastix.compiler.step.values import POSITIONS, argument_name, check_register
from elastix.compiler.step_function import StepFunction
from elastix.dialects.elx import QuantizedAttentionOp, QuantizedCacheUpdateOp

_AT_ONCE: Final = 8
"""Rows that are made before the first of them is quantized: maxima have time to arrive, and few registers hold them."""


def check_cache(step: StepFunction, op: QuantizedCacheUpdateOp) -> None:
    """Raises RefusedStepOp for a cache of other than 8 bits, and rows that do not go where the token is."""
    if str(element_of(op.cache)) != "i8":
        raise RefusedStepOp(op, f"a cache of {element_of(op.cache)}", wanted="i8", do="compile with --kv-bits 8")
    check_register(step, op, op.positions, POSITIONS)


class Rows:
    """New rows of keys or values on their way into a cache, rotated if they are keys with rope.

    new: what they are made of. kept: the heads whose rows are emitted, for all lanes.
    """

    def __init__(self, emitter: Emitter, step: StepFunction, op: QuantizedCacheUpdateOp, new: Parts) -> None:
        self.emitter, self.op, self.new = emitter, op, new
        self.place = emitter.memory.cache(argument_name(step, op, op.cache))
        self.rotated = rope_of(op.new) is not None
        if self.rotated:  # loaded while norms hold the streams up
            for lane in emitter.lanes:
                emitter.table_row(ROPE, lane)
        self.held = emitter.hold("row", new.held.count) if self.rotated else new.held
        self.kept = 0

    def keep(self, heads: range) -> None:
        """Emit the rows of heads."""
        emitter, width = self.emitter, self.emitter.parameters.head_dim
        emitter.source, target = self.op, Target.KEY if _are_keys(self.op) else Target.VALUE
        rows = [(lane, head) for lane in emitter.lanes for head in heads]
        for first in range(0, len(rows), _AT_ONCE):
            some = rows[first : first + _AT_ONCE]
            maxima = [(emitter.registers("max.row"), 0) for _ in some]
            for (lane, head), maximum in zip(some, maxima, strict=True):
                a, to = self.new.held.at(lane, head * width), self.held.at(lane, head * width)
                if self.rotated:
                    rotate(emitter, lane, width, a, to, maximum)
                else:
                    emitter.track(lane, width, a, maximum)
            for (lane, head), maximum in zip(some, maxima, strict=True):
                emitter.vector(
                    Operation.QUANTIZE,
                    lane,
                    width,
                    target=target,
                    values={
                        "bits": 8,
                        "head": head,
                        "rows": self.place.rows(head),
                        "scales": self.place.codes_bytes,
                        "channel_stride": self.place.channel_stride,
                    },
                    a=self.held.at(lane, head * width),
                    scalar_register=maximum,
                )
        self.kept = heads.stop

    def heads_there(self) -> int:
        """Heads whose new rows the emitted instructions give."""
        whole = self.emitter.parameters.kv_heads
        return whole if self.new.place is None else whole * self.new.emitted // self.new.place.parts


def rotated(value: Value) -> Value:
    """What the rope is of whose result this is; without rope the value."""
    rope = rope_of(value)
    return rope.x if rope else value


def rotate(emitter: Emitter, lane: int, count: int, a: At, to: At, maximum: At, *, queries: bool = False) -> None:
    """Rope, of as many heads as there are elements. queries: with the scale of scores."""
    width, table = emitter.parameters.head_dim, emitter.table_row(ROPE, lane)
    first = 2 * width if queries else 0
    emitter.vector(
        Operation.ROTATE,
        lane,
        count,
        maximum=Maximum.MAGNITUDE,
        values={"period": width},
        a=a,
        to=to,
        c=(table, first),
        d=(table, first + width),
        max_register=maximum,
    )


def _are_keys(op: QuantizedCacheUpdateOp) -> bool:
    return any(isinstance(use.owner, QuantizedAttentionOp) and use.owner.k == op.result for use in op.result.uses)
