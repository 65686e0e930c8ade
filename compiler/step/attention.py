"""Attention over cached rows as instructions: rows kept, scores, softmax, values.

One head's softmax is emitted behind the next one's scores, so that vector and attention engine work side by side.
"""

from collections.abc import Callable, Iterator
from typing import Final

from elastix.compiler.arena import aligned
from elastix.compiler.ir import RefusedOp, Value, element_of, shape_of
from elastix.compiler.processor.step.instructions import Maximum, Opcode, Operation, Target
from elastix.compiler.step.emitter import At, Emitter, Held
from elastix.compiler.step.layout import query_scale, rope_of
from elastix.compiler.step.memory import CachePlace
from elastix.compiler.step.norms import fp32_bits
from elastix.compiler.step.tables import ROPE
from elastix.compiler.step.values import POSITIONS, argument_name, check_register
from elastix.compiler.step_function import StepFunction
from elastix.dialects.elx import QuantizedAttentionOp, QuantizedCacheUpdateOp

Demand = Callable[[Value], Held]
_AT_ONCE: Final = 8
"""Rows that are made before the first of them is quantized: maxima have time to arrive, and few registers hold them."""


def check_attention(step: StepFunction, op: QuantizedAttentionOp) -> None:
    """Raises RefusedOp for attention that is not causal, of one token, over caches of 8 bits that the step writes."""
    batch, _, tokens, _ = shape_of(op.q)
    if (batch, tokens) != (1, 1):
        raise RefusedOp(op, f"attention of {batch} × {tokens} tokens", wanted="one token at a time")
    if op.mask is not None or not op.causal:
        found = "a mask" if op.mask is not None else "every row"
        raise RefusedOp(op, f"attention with {found}", wanted="causal attention", do="compile without --whole-step")
    check_register(step, op, op.positions, POSITIONS)
    for codes in (op.k, op.v):
        if not isinstance(codes.owner, QuantizedCacheUpdateOp):
            raise RefusedOp(op, "attention over what is no cache of codes", wanted="caches that the step writes")


def check_cache(step: StepFunction, op: QuantizedCacheUpdateOp) -> None:
    """Raises RefusedOp for a cache of other than 8 bits, and rows that do not go where the token is."""
    if str(element_of(op.cache)) != "i8":
        raise RefusedOp(op, f"a cache of {element_of(op.cache)}", wanted="i8", do="compile with --kv-bits 8")
    check_register(step, op, op.positions, POSITIONS)


def keep_rows(emitter: Emitter, step: StepFunction, op: QuantizedCacheUpdateOp, demand: Demand) -> None:
    """New rows of keys or values, rotated if they are keys with rope, into their cache, head by head."""
    check_cache(step, op)
    parameters = emitter.parameters
    width, place = parameters.head_dim, emitter.memory.cache(argument_name(step, op, op.cache))
    rope = rope_of(op.new)
    new = demand(rope.x if rope else op.new)
    emitter.source = op
    held = emitter.hold("row", new.count) if rope else new
    target = Target.KEY if _are_keys(op) else Target.VALUE
    rows = [(lane, head) for lane in emitter.lanes for head in range(parameters.kv_heads)]
    for first in range(0, len(rows), _AT_ONCE):
        some = rows[first : first + _AT_ONCE]
        maxima = [(emitter.registers("max.row"), 0) for _ in some]
        for (lane, head), maximum in zip(some, maxima, strict=True):
            if rope:
                _rotate(emitter, lane, width, new.at(lane, head * width), held.at(lane, head * width), maximum)
            else:
                _track(emitter, lane, width, new.at(lane, head * width), maximum)
        for (lane, head), maximum in zip(some, maxima, strict=True):
            emitter.vector(
                Operation.QUANTIZE,
                lane,
                width,
                target=target,
                values={
                    "bits": 8,
                    "head": head,
                    "rows": place.rows(head),
                    "scales": place.codes_bytes,
                    "channel_stride": place.channel_stride,
                },
                a=held.at(lane, head * width),
                scalar_register=maximum,
            )


def _are_keys(op: QuantizedCacheUpdateOp) -> bool:
    return any(isinstance(use.owner, QuantizedAttentionOp) and use.owner.k == op.result for use in op.result.uses)


def _rotate(emitter: Emitter, lane: int, count: int, a: At, to: At, maximum: At, *, queries: bool = False) -> None:
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


def _track(emitter: Emitter, lane: int, count: int, a: At, maximum: At) -> None:
    emitter.vector(
        Operation.COPY, lane, count, target=Target.NONE, maximum=Maximum.MAGNITUDE, a=a, max_register=maximum
    )


def attend(emitter: Emitter, step: StepFunction, op: QuantizedAttentionOp, demand: Demand) -> Held:
    """All heads of all tokens; the scores of one group are emitted before the softmax of the group before."""
    check_attention(step, op)
    rope = rope_of(op.q)
    q = demand(rope.x if rope else op.q)
    emitter.source = op
    work = _Attention(emitter, step, op, q, rotated=rope is not None)
    groups = [(head, lane) for head in range(emitter.parameters.kv_heads) for lane in emitter.lanes]
    # Scores of a group stream while the vector engine has the softmax of the group before, and the queries of the one
    # behind; results, which nothing but the next layer waits for, come after both.
    for turn in range(len(groups) + 2):
        if turn == 0:
            work.prepare(*groups[0])
        if turn + 1 < len(groups):
            work.prepare(*groups[turn + 1])
        if turn < len(groups):
            work.scores(turn % 2, *groups[turn])
        if 1 <= turn <= len(groups):
            work.softmax((turn - 1) % 2, *groups[turn - 1])
        if turn >= 2:
            work.finish(*groups[turn - 2])
    return work.result


class _Attention:
    """One layer's attention; a group is the queries of one head of keys, of one lane."""

    def __init__(
        self, emitter: Emitter, step: StepFunction, op: QuantizedAttentionOp, q: Held, *, rotated: bool
    ) -> None:
        self.emitter, self.op, self.q, self.rotated = emitter, op, q, rotated
        p = emitter.parameters
        self.width, self.group = p.head_dim, p.group
        self.keys, self.values = _caches(emitter, step, op)
        self.stride = aligned(p.max_context, p.alignment)
        self.queries = emitter.hold("queries", q.count)
        self.query_maxima: dict[tuple[int, int], At] = {}
        self.result = emitter.hold("attention", q.count, maximum=True)
        self.scored: dict[tuple[int, int], tuple[str, str]] = {}
        self.summed: dict[tuple[int, int], tuple[str, str]] = {}

    def prepare(self, head: int, lane: int) -> None:
        """The queries of a group, times the scale, rotated where they have positions."""
        count = self.group * self.width
        a, to = self.q.at(lane, head * count), self.queries.at(lane, head * count)
        maximum = self.query_maxima[head, lane] = (self.emitter.registers("max.query"), 0)
        if self.rotated:
            _rotate(self.emitter, lane, count, a, to, maximum, queries=True)
            return
        self.emitter.vector(
            Operation.SCALE,
            lane,
            count,
            maximum=Maximum.MAGNITUDE,
            values={"k": fp32_bits(float(query_scale(self.op)))},
            a=a,
            to=to,
            max_register=maximum,
        )

    def scores(self, bank: int, head: int, lane: int) -> None:
        """The scores of a group, by way of a bank."""
        emitter, group = self.emitter, self.group
        emitter.vector(
            Operation.QUANTIZE,
            lane,
            group * self.width,
            target=Target.QUERY,
            values={"bits": 16, "bank": bank},
            a=self.queries.at(lane, head * group * self.width),
            scalar_register=self.query_maxima.pop((head, lane)),
        )
        scores = emitter.buffer("scores", group * self.stride)
        maxima = emitter.registers("max.score", group)
        fields = {
            "lane": lane,
            "bank": bank,
            "head": head,
            "keys": self.keys.rows(head),
            "key_scales": self.keys.codes_bytes,
            "values": self.values.rows(head),
            "value_scales": self.values.codes_bytes,
            "channel_stride": self.keys.channel_stride,
            "stride": self.stride,
        }
        emitter.emit(Opcode.SCORES, fields, {"to": (scores, 0), "max_register": (maxima, 0)})
        self.scored[head, lane] = (scores, maxima)

    def softmax(self, bank: int, head: int, lane: int) -> None:
        """Weights of the values, their sum, and the sum of values."""
        emitter, group, width = self.emitter, self.group, self.width
        scores, maxima = self.scored.pop((head, lane))
        largest = emitter.registers("max.weight")
        sums = emitter.registers("reciprocal", group)
        for query in range(group):
            at = (scores, query * self.stride)
            emitter.vector(
                Operation.EXPONENTIAL,
                lane,
                1,
                maximum=Maximum.MAGNITUDE_KEEP if query else Maximum.MAGNITUDE,
                values={"to_position": 1, "bank": bank},
                a=at,
                to=at,
                scalar_register=(maxima, query),
                max_register=(largest, 0),
                result_register=(sums, query),
            )
        for query in range(group):
            emitter.vector(
                Operation.QUANTIZE,
                lane,
                1,
                target=Target.PROBABILITY,
                values={"to_position": 1, "bits": 16, "bank": bank, "head": query},
                a=(scores, query * self.stride),
                scalar_register=(largest, 0),
            )
        to = emitter.buffer("values", group * width)
        fields = {
            "lane": lane,
            "bank": bank,
            "head": head,
            "values": self.values.rows(head),
            "channel_stride": self.values.channel_stride,
        }
        emitter.emit(Opcode.VALUES, fields, {"to": (to, 0)})
        self.summed[head, lane] = (to, sums)

    def finish(self, head: int, lane: int) -> None:
        """The sums of values over the sums of weights."""
        emitter, group, width = self.emitter, self.group, self.width
        to, sums = self.summed.pop((head, lane))
        for query in range(group):
            keep = query or head
            emitter.vector(
                Operation.SCALE_BY,
                lane,
                width,
                maximum=Maximum.MAGNITUDE_KEEP if keep else Maximum.MAGNITUDE,
                a=(to, query * width),
                to=self.result.at(lane, (head * group + query) * width),
                scalar_register=(sums, query),
                max_register=(self.result.maximum, lane),
            )


def _caches(emitter: Emitter, step: StepFunction, op: QuantizedAttentionOp) -> Iterator[CachePlace]:
    """Where the keys and the values lie."""
    for codes in (op.k, op.v):
        update = codes.owner
        if isinstance(update, QuantizedCacheUpdateOp):
            yield emitter.memory.cache(argument_name(step, update, update.cache))


def widths(op: QuantizedAttentionOp) -> tuple[int, int, int, int]:
    """Query heads, kv heads, Dh, and rows of the cache."""
    _, heads, _, width = shape_of(op.q)
    _, kv_heads, rows, _ = shape_of(op.k)
    return heads, kv_heads, width, rows
