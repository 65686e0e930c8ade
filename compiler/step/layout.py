"""The memory of a step program, from the step alone: no weights are read."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from elastix.compiler.addresses import Shapes, weight_formats
from elastix.compiler.arena import aligned
from elastix.compiler.errors import ElastixError
from elastix.compiler.image import ImageLayout, ParameterPlace, lay_out
from elastix.compiler.ir import OpResult, Value, shape_of
from elastix.compiler.numbers.formats import Geometry
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.step.memory import PAGE, CachePlace, StepMemory
from elastix.compiler.step.parts import parts_of
from elastix.compiler.step.refused import RefusedStepOp
from elastix.compiler.step.tables import PositionTable, RopeTable, Table
from elastix.compiler.step.values import POSITIONS, argument_name, check_register, same_data
from elastix.compiler.step_function import StepFunction
from elastix.dialects.elx import (
    EmbeddingOp,
    LayerNormOp,
    QuantizedAttentionOp,
    QuantizedCacheUpdateOp,
    QuantizedEmbeddingOp,
    QuantizedLinearOp,
    RmsNormOp,
    RopeOp,
)


def query_scale(op: QuantizedAttentionOp) -> np.float32:
    """RNE(scale × log2 e): what scores are multiplied by to come in powers of two."""
    return np.float32(op.scale * np.log2(np.e))


def rope_of(value: Value) -> RopeOp | None:
    """The rope whose result this is."""
    root = same_data(value)
    return root.owner if isinstance(root, OpResult) and isinstance(root.owner, RopeOp) else None


def position_table(step: StepFunction, op: EmbeddingOp, parameters: StepParameters) -> PositionTable:
    """The table that an embedding without a format looks up. Raises RefusedStepOp unless it does so by position."""
    check_register(step, op, op.ids, POSITIONS)
    rows, columns = shape_of(op.table)
    if rows < parameters.max_context:
        raise RefusedStepOp(
            op,
            f"{rows} learned positions",
            wanted=f"one for each of {parameters.max_context} tokens",
            do=f"compile with --max-context {rows}, or fewer",
        )
    return PositionTable(argument_name(step, op, op.table), parameters.max_context, columns)


def tables_of(step: StepFunction, parameters: StepParameters) -> tuple[Table, ...]:
    """All computed tables: the rope's, one for all layers (raises RefusedStepOp else), and learned positions."""
    found: dict[Table, None] = {}
    for op in step.block.operations:
        if isinstance(op, QuantizedAttentionOp):
            found.update(dict.fromkeys(_ropes(step, op, parameters)))
        elif isinstance(op, EmbeddingOp):
            found[position_table(step, op, parameters)] = None
        if sum(isinstance(each, RopeTable) for each in found) > 1:
            raise RefusedStepOp(
                op, "another rope, or another scale, than in layers before", wanted="one for all layers"
            )
    return tuple(found)


def _ropes(step: StepFunction, op: QuantizedAttentionOp, parameters: StepParameters) -> Iterator[RopeTable]:
    update = op.k.owner
    keys = update.new if isinstance(update, QuantizedCacheUpdateOp) else op.k
    for rope in filter(None, (rope_of(op.q), rope_of(keys))):
        check_register(step, rope, rope.positions, POSITIONS)
        yield RopeTable(
            argument_name(step, rope, rope.inv_freq),
            rope.scaling,
            float(query_scale(op)),
            parameters.max_context,
            parameters.head_dim,
        )


def lay_out_step(step: StepFunction, parameters: StepParameters) -> StepMemory:
    """Weights in the order in which they are first read, constants, caches, logits; the program comes last."""
    readers = [op for op in step.block.operations if isinstance(op, QuantizedLinearOp | QuantizedEmbeddingOp)]
    layout = lay_out(
        list(weight_formats(step, readers).items()),
        list(dict.fromkeys(_vectors(step))),
        Shapes(step),
        beat=parameters.beat,
        channels=parameters.channels,
        parts=parts_of(step, parameters),
    )
    for table in tables_of(step, parameters):
        layout = _with_table(layout, table)
    address = layout.bytes
    caches: list[CachePlace] = []
    for op in step.block.operations:
        if isinstance(op, QuantizedCacheUpdateOp):
            caches.append(CachePlace.of(argument_name(step, op, op.cache), address, parameters))
            address += caches[-1].bytes
    stride = _logits(readers, parameters)
    logits = aligned(address, PAGE)
    program = aligned(logits + parameters.lanes * stride, PAGE)
    return StepMemory(layout, tuple(caches), logits, stride, program)


def _with_table(layout: ImageLayout, table: Table) -> ImageLayout:
    place = ParameterPlace(table.name, layout.bytes, table.shape, "float32")
    return replace(layout, parameters=(*layout.parameters, place), bytes=aligned(layout.bytes + place.bytes, PAGE))


def _logits(readers: list[QuantizedLinearOp | QuantizedEmbeddingOp], parameters: StepParameters) -> int:
    """Bytes of the results of the last layer."""
    heads = [op for op in readers if isinstance(op, QuantizedLinearOp)]
    if not heads:
        raise ElastixError("a step without linear layers", wanted="a language model with a head")
    rows, columns = shape_of(heads[-1].weight)
    return aligned(Geometry(heads[-1].format, rows, columns, parameters.beat, parameters.channels).result_bytes)


def _vectors(step: StepFunction) -> Iterator[str]:
    """Norm weights and biases, in the order in which they are read."""
    for op in step.block.operations:
        match op:
            case RmsNormOp():
                yield argument_name(step, op, op.weight)
            case LayerNormOp():
                yield argument_name(step, op, op.weight)
                yield argument_name(step, op, op.bias)
            case QuantizedLinearOp() if op.bias is not None:
                yield argument_name(step, op, op.bias)
            case _:
                pass
