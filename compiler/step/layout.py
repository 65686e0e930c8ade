"""The memory of a step program, from the step alone: no weights are read."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from elastix.compiler.addresses import Shapes, weight_formats
from elastix.compiler.arena import aligned
from elastix.compiler.image import ParameterPlace, Weights, lay_out
from elastix.compiler.ir import RefusedOp, Value, shape_of
from elastix.compiler.numbers.formats import Geometry
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.step.attention import ROPE_TABLE, query_scale, rope_of
from elastix.compiler.step.memory import PAGE, CachePlace, StepMemory, WithComputed, rope_table
from elastix.compiler.step_function import StepFunction
from elastix.dialects.elx import (
    LayerNormOp,
    QuantizedAttentionOp,
    QuantizedCacheUpdateOp,
    QuantizedEmbeddingOp,
    QuantizedLinearOp,
    RmsNormOp,
    RopeOp,
)


@dataclass(frozen=True)
class Rope:
    """What the rope table is made of: the name of the frequencies, and factors."""

    inv_freq: str
    scaling: float
    query_scale: float
    positions: int

    def table(self, store: Weights) -> WithComputed:
        """The store with the table."""
        frequencies = np.asarray(store.read(self.inv_freq), np.float32)
        table = rope_table(frequencies, self.positions, self.scaling, np.float32(self.query_scale))
        return WithComputed(store, {ROPE_TABLE: table})


def rope_in(step: StepFunction, parameters: StepParameters) -> Rope | None:
    """The rope of all layers, if the model has one. Raises RefusedOp if layers differ."""
    found: dict[Rope, RopeOp] = {}
    for op in step.block.operations:
        if isinstance(op, QuantizedAttentionOp):
            rope = rope_of(op.q)
            if rope is not None:
                name = _name(step, rope.inv_freq)
                scale = float(query_scale(op))
                found.setdefault(Rope(name, rope.scaling, scale, parameters.max_context), rope)
    if len(found) > 1:
        raise RefusedOp(list(found.values())[1], "another rope than the layers before", wanted="one for all layers")
    return next(iter(found), None)


def lay_out_step(step: StepFunction, parameters: StepParameters) -> StepMemory:
    """Weights in the order in which they are first read, constants, caches, logits; the program comes last."""
    readers = [op for op in step.block.operations if isinstance(op, QuantizedLinearOp | QuantizedEmbeddingOp)]
    layout = lay_out(
        list(weight_formats(step, readers).items()),
        list(dict.fromkeys(_vectors(step))),
        Shapes(step),
        beat=parameters.beat,
        channels=parameters.channels,
    )
    rope = rope_in(step, parameters)
    if rope is not None:
        place = ParameterPlace(ROPE_TABLE, layout.bytes, (rope.positions, 4 * parameters.head_dim), "float32")
        size = aligned(layout.bytes + place.bytes, PAGE)
        layout = type(layout)(layout.layers, (*layout.parameters, place), size)
    address = layout.bytes
    caches: list[CachePlace] = []
    for op in step.block.operations:
        if isinstance(op, QuantizedCacheUpdateOp):
            caches.append(CachePlace.of(_name(step, op.cache), address, parameters))
            address += caches[-1].bytes
    head = [op for op in readers if isinstance(op, QuantizedLinearOp)][-1]
    geometry = Geometry(head.format, *shape_of(head.weight), parameters.beat, parameters.channels)
    stride = aligned(geometry.result_bytes)
    logits = aligned(address, PAGE)
    program = aligned(logits + parameters.lanes * stride, PAGE)
    return StepMemory(layout, tuple(caches), logits, stride, program)


def _vectors(step: StepFunction) -> Iterator[str]:
    """Norm weights and biases, in the order in which they are read."""
    for op in step.block.operations:
        match op:
            case RmsNormOp():
                yield _name(step, op.weight)
            case LayerNormOp():
                yield from (_name(step, op.weight), _name(step, op.bias))
            case QuantizedLinearOp() if op.bias is not None:
                yield _name(step, op.bias)
            case _:
                pass


def _name(step: StepFunction, value: Value) -> str:
    argument = step.argument_of(value)
    if argument is None:
        raise RefusedOp(value.owner, "a value that is computed", wanted="an argument of the step")
    return argument.name
