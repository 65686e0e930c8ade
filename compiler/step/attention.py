"""Attention over cached rows as instructions: scores, softmax, values.

One head's softmax is emitted behind the next one's scores, so that vector and attention engine work side by side.
"""

from collections.abc import Sequence

from elastix.compiler.arena import aligned
from elastix.compiler.ir import shape_of
from elastix.compiler.processor.step.instructions import Maximum, Opcode, Operation, Target
from elastix.compiler.step.cache_rows import Rows, rotate
from elastix.compiler.step.emitter import At, Emitter, Held
from elastix.compiler.step.layout import query_scale, rope_of
from elastix.compiler.step.linear import Parts
from elastix.compiler.step.norms import fp32_bits
from elastix.compiler.step.refused import RefusedStepOp
from elastix.compiler.step.values import POSITIONS, check_register
from elastix.compiler.step_function import StepFunction
from elastix.dialects.elx import QuantizedAttentionOp, QuantizedCacheUpdateOp


def check_attention(step: StepFunction, op: QuantizedAttentionOp) -> None:
    """Raises RefusedStepOp unless attention is causal, of one token, over caches of 8 bits that the step writes."""
    batch, _, tokens, _ = shape_of(op.q)
    if (batch, tokens) != (1, 1):
        raise RefusedStepOp(op, f"attention of {batch} × {tokens} tokens", wanted="one token at a time")
    if op.mask is not None or not op.causal:
        found = "a mask" if op.mask is not None else "every row"
        raise RefusedStepOp(op, f"attention with {found}", wanted="causal attention")
    check_register(step, op, op.positions, POSITIONS)
    for codes in (op.k, op.v):
        if not isinstance(codes.owner, QuantizedCacheUpdateOp):
            raise RefusedStepOp(op, "attention over what is no cache of codes", wanted="caches that the step writes")


def attend(
    emitter: Emitter, step: StepFunction, op: QuantizedAttentionOp, queries: Parts, rows: Sequence[Rows]
) -> Held:
    """All heads of all tokens; the scores of one group are emitted before the softmax of the group before.

    rows: of keys and of values. Where layers are in parts, the next group's are emitted before a group's scores.
    """
    check_attention(step, op)
    emitter.source = op
    work = _Attention(emitter, op, queries, rows)
    groups = [(head, lane) for head in range(emitter.parameters.kv_heads) for lane in emitter.lanes]
    # Scores of a group stream while the vector engine has the softmax of the group before, and the queries of the one
    # behind; results, which nothing but the next layer waits for, come after both. Where more weights stream meanwhile,
    # sums of values come a turn later, so that a long softmax finds its time in the turns with most of them.
    late = 1 if work.in_parts else 0
    for turn in range(len(groups) + 2 + late):
        if turn == 0:
            work.stream(groups[0][0])
            work.prepare(*groups[0])
        # What still streams cannot be waited for before other work is done.
        streams = turn + 1 < len(groups) and work.stream(groups[turn + 1][0])
        if turn + 1 < len(groups) and not streams:
            work.prepare(*groups[turn + 1])
        if turn < len(groups):
            work.scores(turn % 2, *groups[turn])
        if 1 <= turn <= len(groups):
            work.softmax((turn - 1) % 2, *groups[turn - 1])
        if 0 <= (summed := turn - 1 - late) < len(groups):
            work.sums(summed % 2, *groups[summed])
        if streams:
            work.prepare(*groups[turn + 1])
        if turn >= 2 + late:
            work.finish(*groups[turn - 2 - late])
    return work.result


class _Attention:
    """One layer's attention; a group is the queries of one head of keys, of one lane."""

    def __init__(self, emitter: Emitter, op: QuantizedAttentionOp, queries: Parts, rows: Sequence[Rows]) -> None:
        self.emitter, self.op, self.parts, self.rows = emitter, op, queries, rows
        self.q, self.rotated = queries.held, rope_of(op.q) is not None
        p = emitter.parameters
        self.width, self.group = p.head_dim, p.group
        self.keys, self.values = (each.place for each in rows)
        self.stride = aligned(p.max_context, p.alignment)
        self.queries = emitter.hold("queries", self.q.count)
        self.query_maxima: dict[tuple[int, int], At] = {}
        self.result = emitter.hold("attention", self.q.count, maximum=True)
        self.scored: dict[tuple[int, int], tuple[str, str]] = {}
        self.weighed: dict[tuple[int, int], str] = {}
        self.summed: dict[tuple[int, int], str] = {}

    @property
    def in_parts(self) -> bool:
        """Whether some weights stream when attention has begun."""
        return any(each.place is not None and each.place.parts > 1 for each in self.all_parts)

    @property
    def all_parts(self) -> tuple[Parts, ...]:
        """Of keys and values, then of queries."""
        return (*(each.new for each in self.rows), self.parts)

    def stream(self, head: int) -> bool:
        """Emit what gives the queries, keys and values of a head, unless it is emitted; whether there was any."""
        heads = self.emitter.parameters.kv_heads
        some = [each.emit(self.emitter, (head + 1) * each.held.count // heads) for each in self.all_parts]
        return any(some)

    def prepare(self, head: int, lane: int) -> None:
        """The queries of a group, times the scale, rotated where they have positions; first its rows in the caches."""
        for each in self.rows:
            if each.kept <= head:
                each.keep(range(each.kept, each.heads_there()))
        self.emitter.source = self.op
        count = self.group * self.width
        a, to = self.q.at(lane, head * count), self.queries.at(lane, head * count)
        maximum = self.query_maxima[head, lane] = (self.emitter.registers("max.query"), 0)
        if self.rotated:
            rotate(self.emitter, lane, count, a, to, maximum, queries=True)
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
        """Weights of the values, and their sum."""
        emitter, group = self.emitter, self.group
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
        self.weighed[head, lane] = sums

    def sums(self, bank: int, head: int, lane: int) -> None:
        """The sum of values."""
        to = self.emitter.buffer("values", self.group * self.width)
        fields = {
            "lane": lane,
            "bank": bank,
            "head": head,
            "values": self.values.rows(head),
            "channel_stride": self.values.channel_stride,
        }
        self.emitter.emit(Opcode.VALUES, fields, {"to": (to, 0)})
        self.summed[head, lane] = to

    def finish(self, head: int, lane: int) -> None:
        """The sums of values over the sums of weights."""
        emitter, group, width = self.emitter, self.group, self.width
        to, sums = self.summed.pop((head, lane)), self.weighed.pop((head, lane))
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


def widths(op: QuantizedAttentionOp) -> tuple[int, int, int, int]:
    """Query heads, kv heads, Dh, and rows of the cache."""
    _, heads, _, width = shape_of(op.q)
    _, kv_heads, rows, _ = shape_of(op.k)
    return heads, kv_heads, width, rows
