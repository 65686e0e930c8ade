"""Layers of queries, keys and values in parts: attention over some heads runs while the weights of others stream."""

from typing import Final

from elastix.compiler.ir import OpResult, Value, shape_of
from elastix.compiler.numbers.formats import Geometry
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.step.values import argument_name, same_data, users
from elastix.compiler.step_function import StepFunction
from elastix.dialects.elx import QuantizedAttentionOp, QuantizedCacheUpdateOp, QuantizedLinearOp, RopeOp

_A_PART: Final = 8
"""Cycles that a stream of weights takes longer for each of its parts: a CRC, and from one LINEAR to the next."""

_LATENCY: Final = 400
"""Cycles from the end of the weights of queries to their scores: a part that streams faster hides nothing."""


def projection(value: Value) -> QuantizedLinearOp | None:
    """The layer whose results these queries, keys or values are, before any rope, if nothing else reads them."""
    root = same_data(value)
    if isinstance(root, OpResult) and isinstance(root.owner, RopeOp):
        root = same_data(root.owner.x)
    if isinstance(root, OpResult) and isinstance(root.owner, QuantizedLinearOp) and len(users(root)) == 1:
        return root.owner
    return None


def parts_of(step: StepFunction, p: StepParameters) -> dict[str, int]:
    """How many parts each such layer has, by its weight's name; those of one part are left out.

    A part has the rows of whole heads of keys, or of all their queries, and fills whole rounds over the channels.
    """
    found: dict[str, int] = {}
    for op in step.block.operations if pays(p) else ():
        if not isinstance(op, QuantizedAttentionOp):
            continue
        values = (op.q, *(_new_rows(codes) for codes in (op.k, op.v)))
        layers = [None if value is None else projection(value) for value in values]
        if layers[0] is None or _cycles(layers[0], p) < p.kv_heads * _LATENCY:
            continue
        for layer in filter(None, layers):
            found[argument_name(step, layer, layer.weight)] = _parts(shape_of(layer.weight)[0], p)
    return {name: count for name, count in found.items() if count > 1}


def _new_rows(codes: Value) -> Value | None:
    """What an attention's cache of codes is updated with."""
    return codes.owner.new if isinstance(codes.owner, QuantizedCacheUpdateOp) else None


def _cycles(layer: QuantizedLinearOp, p: StepParameters) -> int:
    """Cycles that the layer's weights stream."""
    rows, columns = shape_of(layer.weight)
    geometry = Geometry(layer.format, rows, columns, p.beat, p.channels)
    return geometry.channel_blocks(0) * geometry.block_beats


def _parts(rows: int, p: StepParameters) -> int:
    """The most parts that are heads of keys, or several, and whole rounds."""
    counts = (count for count in range(p.kv_heads, 1, -1) if p.kv_heads % count == 0)
    return next((count for count in counts if rows % (count * p.channels * p.rows) == 0), 1)


def pays(p: StepParameters) -> bool:
    """Whether, in the middle of the context, softmax takes longer than its rows stream, by more than parts cost."""
    rows = p.max_context // 2
    # Of one head of keys: words of scores written, exponentials, weights quantized; keys and values.
    softmax = 3 * p.group * rows / p.vector_lanes
    streamed = 2 * max(1, p.head_dim // p.attention_lanes) * rows / p.attention_channels
    return softmax - streamed > 3 * _A_PART
