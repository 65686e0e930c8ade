"""Attention over cached rows as instructions: rows kept, scores, softmax, values; one head's softmax beside the next's
scores."""

from collections.abc import Callable

import numpy as np

from elastix.compiler.arena import aligned
from elastix.compiler.ir import OpResult, OpView, RefusedOp, Value, shape_of
from elastix.compiler.processor.step.instructions import Maximum, Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import ALIGNMENT
from elastix.compiler.step.emitter import Emitter, Held
from elastix.compiler.step.norms import fp32_bits
from elastix.compiler.step_function import StepFunction
from elastix.dialects.elx import QuantizedAttentionOp, QuantizedCacheUpdateOp, ReshapeOp, RopeOp, TransposeOp

Demand = Callable[[Value], Held]

ROPE_TABLE = "rope"
"""Name of the computed parameter with the rows of C20: cosines and sines of keys, then of queries."""


def query_scale(op: QuantizedAttentionOp) -> np.float32:
    """RNE(scale × log2 e): what scores are multiplied by to come in powers of two."""
    return np.float32(op.scale * np.log2(np.e))


def rope_of(value: Value) -> RopeOp | None:
    """The rope whose result this is, through reshapes and transposes."""
    while isinstance(value, OpResult) and isinstance(value.owner, ReshapeOp | TransposeOp):
        value = value.owner.x
    owner = value.owner if isinstance(value, OpResult) else None
    return owner if isinstance(owner, RopeOp) else None


def keep_row(emitter: Emitter, step: StepFunction, op: QuantizedCacheUpdateOp, name: str, demand: Demand) -> None:
    """New rows of keys or values, rotated if they are keys with rope, into the cache of this name, head by head."""
    parameters = emitter.parameters
    width, place = parameters.head_dim, emitter.memory.cache(name)
    rope = rope_of(op.new)
    new = demand(rope.x if rope else op.new)
    emitter.source = op
    held = emitter.hold("row", new.count) if rope else new
    heads = range(parameters.kv_heads)
    maxima = {(lane, head): emitter.registers("max.row") for lane in emitter.lanes for head in heads}
    for lane, head in maxima:
        at = head * width
        into = (maxima[lane, head], 0)
        if rope:
            table = _rope_row(emitter, lane)
            emitter.vector(
                Operation.ROTATE,
                lane,
                width,
                maximum=Maximum.MAGNITUDE,
                values={"period": width},
                a=new.at(lane, at),
                to=held.at(lane, at),
                c=(table, 0),
                d=(table, width),
                max_register=into,
            )
        else:
            emitter.vector(
                Operation.COPY,
                lane,
                width,
                target=Target.NONE,
                maximum=Maximum.MAGNITUDE,
                a=new.at(lane, at),
                max_register=into,
            )
    target = Target.KEY if _is_key(op) else Target.VALUE
    for lane, head in maxima:
        emitter.vector(
            Operation.QUANTIZE,
            lane,
            width,
            target=target,
            values={"bits": 8, "head": head, "rows": place.rows(head), "scales": place.codes_bytes},
            a=held.at(lane, head * width),
            scalar_register=(maxima[lane, head], 0),
        )


def _is_key(op: QuantizedCacheUpdateOp) -> bool:
    return any(isinstance(use.owner, QuantizedAttentionOp) and use.owner.k == op.result for use in op.result.uses)


def _rope_row(emitter: Emitter, lane: int) -> str:
    """The row of the rope table for the lane's position, loaded where it is first used."""
    key = f"{ROPE_TABLE}.{lane}"
    if key not in emitter.constants:
        place = emitter.memory.parameter(ROPE_TABLE)
        count = place.shape[1]
        emitter.constants[key] = emitter.load(key, place.address, count, stride=4 * count, lane=lane)
    return emitter.constants[key]


def attend(emitter: Emitter, step: StepFunction, op: QuantizedAttentionOp, demand: Demand) -> Held:
    """All heads of all tokens; scores of one group are emitted before the softmax of the group before."""
    rope = rope_of(op.q)
    q = demand(rope.x if rope else op.q)
    emitter.source = op
    work = _Attention(emitter, step, op, q, rotated=rope is not None)
    turns = [(head, lane) for head in range(emitter.parameters.kv_heads) for lane in emitter.lanes]
    for head, lane in turns:
        work.prepare(head, lane)
    for turn, (head, lane) in enumerate(turns):
        work.scores(turn % 2, head, lane)
        if turn:
            work.softmax(1 - turn % 2, *turns[turn - 1])
    work.softmax((len(turns) - 1) % 2, *turns[-1])
    return work.result


class _Attention:
    def __init__(
        self, emitter: Emitter, step: StepFunction, op: QuantizedAttentionOp, q: Held, *, rotated: bool
    ) -> None:
        self.emitter, self.op, self.q, self.rotated = emitter, op, q, rotated
        p = self.parameters = emitter.parameters
        self.width, self.group = p.head_dim, p.group
        self.caches = [emitter.memory.cache(_cache_name(step, cache)) for cache in (op.k, op.v)]
        self.stride = aligned(p.max_context, ALIGNMENT)
        self.queries = emitter.hold("queries", q.count)
        self.query_maxima = {
            (head, lane): emitter.registers("max.query") for head in range(p.kv_heads) for lane in emitter.lanes
        }
        self.result = emitter.hold("attention", q.count, maximum=True)
        self.scored: dict[tuple[int, int], tuple[str, str]] = {}

    def prepare(self, head: int, lane: int) -> None:
        """The queries of a group, times the scale, rotated where they have positions."""
        count = self.group * self.width
        at = head * count
        into = {"to": self.queries.at(lane, at), "max_register": (self.query_maxima[head, lane], 0)}
        if self.rotated:
            table = _rope_row(self.emitter, lane)
            self.emitter.vector(
                Operation.ROTATE,
                lane,
                count,
                maximum=Maximum.MAGNITUDE,
                values={"period": self.width},
                a=self.q.at(lane, at),
                c=(table, 2 * self.width),
                d=(table, 3 * self.width),
                **into,
            )
        else:
            self.emitter.vector(
                Operation.SCALE,
                lane,
                count,
                maximum=Maximum.MAGNITUDE,
                values={"k": fp32_bits(float(query_scale(self.op)))},
                a=self.q.at(lane, at),
                **into,
            )

    def scores(self, bank: int, head: int, lane: int) -> None:
        emitter, group = self.emitter, self.group
        emitter.vector(
            Operation.QUANTIZE,
            lane,
            group * self.width,
            target=Target.QUERY,
            values={"bits": 16, "bank": bank},
            a=self.queries.at(lane, head * group * self.width),
            scalar_register=(self.query_maxima[head, lane], 0),
        )
        scores = emitter.buffer("scores", group * self.stride)
        maxima = emitter.registers("max.score", group)
        keys, values = self.caches
        fields = {
            "lane": lane,
            "bank": bank,
            "head": head,
            "keys": keys.rows(head),
            "key_scales": keys.codes_bytes,
            "values": values.rows(head),
            "value_scales": values.codes_bytes,
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
        fields = {"lane": lane, "bank": bank, "head": head, "values": self.caches[1].rows(head)}
        emitter.emit(Opcode.VALUES, fields, {"to": (to, 0)})
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


def _cache_name(step: StepFunction, codes: Value) -> str:
    update = codes.owner
    argument = step.argument_of(update.cache) if isinstance(update, QuantizedCacheUpdateOp) else None
    if argument is None:
        raise RefusedOp(_owner(codes, step), "attention over what is no cache", wanted="the caches that the step writes")
    return argument.name


def _owner(value: Value, step: StepFunction) -> OpView:
    return value.owner if isinstance(value, OpResult) else step.op


def widths(op: QuantizedAttentionOp) -> tuple[int, int, int, int]:
    """Query heads, kv heads, Dh, and rows of the cache."""
    _, heads, _, width = shape_of(op.q)
    _, kv_heads, rows, _ = shape_of(op.k)
    return heads, kv_heads, width, rows
