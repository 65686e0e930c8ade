"""Every op of a decode step as instructions: what a result needs is emitted before it, nothing else."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Final

from elastix.compiler.ir import OpResult, OpView, RefusedOp, Value, shape_of
from elastix.compiler.processor.step.instructions import Maximum, Opcode, Operation, Target
from elastix.compiler.step.attention import attend, keep_row
from elastix.compiler.step.emitter import Emitter, Held
from elastix.compiler.step.linear import linear, track, weight_fields
from elastix.compiler.step.norms import layer_norm, rms_norm
from elastix.compiler.step_function import StepFunction
from elastix.dialects.elx import (
    ActivationOp,
    GatedActivationOp,
    LayerNormOp,
    QuantizedAttentionOp,
    QuantizedCacheUpdateOp,
    QuantizedEmbeddingOp,
    QuantizedLinearOp,
    QuantizeOp,
    ReshapeOp,
    ResidualOp,
    RmsNormOp,
    TransposeOp,
)

SAME_DATA: Final = (ReshapeOp, TransposeOp)


def lower_step(step: StepFunction, emitter: Emitter) -> None:
    """Emit the whole step, caches in the order of the results and logits last.

    Raises RefusedOp for an op that the step processor has no instructions for.
    """
    lowering = _Lowering(step, emitter)
    logits = [each.value for each in step.results if not each.writes]
    if len(logits) != 1 or not isinstance(logits[0], OpResult):
        raise RefusedOp(step.op, f"{len(logits)} results beside caches", wanted="one, the logits of a language model")
    for each in step.results:
        if each.writes:
            lowering.demand(each.value)
    lowering.logits(logits[0])
    emitter.source = step.op
    emitter.emit(Opcode.END, {}, {})


class _Lowering:
    def __init__(self, step: StepFunction, emitter: Emitter) -> None:
        self.step, self.emitter = step, emitter

    def demand(self, value: Value) -> Held:
        """Where the value is held, having been computed."""
        root = same_data(value)
        if root not in self.emitter.held:
            if not isinstance(root, OpResult):
                argument = self.step.argument_of(root)
                name = argument.name if argument else str(root)
                raise RefusedOp(self.step.op, f"the argument {name} as a vector", wanted="weights, caches, ids, positions")
            held = self._compute(root.owner)
            if held is not None:
                self.emitter.held[root] = held
        return self.emitter.held.get(root, Held("", 0, 0))

    def _compute(self, op: OpView) -> Held | None:
        emitter = self.emitter
        match op:
            case QuantizedEmbeddingOp():
                return self._at(op, lambda: self._embedding(op))
            case RmsNormOp():
                x = self.demand(op.x)
                return self._at(op, lambda: rms_norm(emitter, op, x, self._weight(op, op.weight)))
            case LayerNormOp():
                x = self.demand(op.x)
                weights = (self._weight(op, op.weight), self._weight(op, op.bias))
                return self._at(op, lambda: layer_norm(emitter, op, x, *weights))
            case QuantizedLinearOp():
                return self._linear(op, Operation.COPY, None, op.result)
            case ResidualOp():
                return self._residual(op)
            case GatedActivationOp():
                return self._gated(op)
            case ActivationOp():
                return self._activation(op, op.x, op.result)
            case QuantizedCacheUpdateOp():
                return self._cache_update(op)
            case QuantizedAttentionOp():
                for cache in (op.k, op.v):
                    self.demand(cache)
                return self._at(op, lambda: attend(emitter, self.step, op, self.demand))
            case _:
                raise RefusedOp(
                    op, "an op that the step processor has no instructions for", wanted="compile without --whole-step"
                )

    def _at(self, op: OpView, emit: Callable[[], Any]) -> Any:
        self.emitter.source = op
        return emit()

    def _weight(self, op: OpView, value: Value) -> str:
        argument = self.step.argument_of(value)
        if argument is None:
            raise RefusedOp(op, "a weight that is computed", wanted="a weight of the model")
        return argument.name

    def _embedding(self, op: QuantizedEmbeddingOp) -> Held:
        emitter = self.emitter
        place = emitter.memory.layer(self._weight(op, op.table))
        held = emitter.hold("embedding", place.geometry.columns, maximum=wants_maximum(op.result))
        for lane in emitter.lanes:
            fields = {**weight_fields(place), "lane": lane}
            emitter.emit(Opcode.EMBED, fields, {"to": held.at(lane)})
            if held.maximum:
                track(emitter, held, lane)
        return held

    def _linear(
        self, op: QuantizedLinearOp, operation: Operation, second: Held | None, result: Value, *, memory: bool = False
    ) -> Held:
        """The layer with an operation on its results, which are then `result`."""
        quantize = op.x.owner
        assert isinstance(quantize, QuantizeOp)
        place = self.emitter.memory.layer(self._weight(op, op.weight))
        bias = self._weight(op, op.bias) if op.bias is not None else ""
        if quantize.quantized not in self.emitter.held:
            x = self.demand(quantize.x)
            self._forget_activations()
            self.emitter.source = quantize
            for lane in self.emitter.lanes:
                self.emitter.vector(
                    Operation.QUANTIZE,
                    lane,
                    x.count,
                    target=Target.ACTIVATIONS,
                    values={"bits": quantize.activation_bits},
                    a=x.at(lane),
                    scalar_register=(x.maximum, lane),
                )
            self.emitter.held[quantize.quantized] = x
        self.emitter.source = op
        return linear(
            self.emitter,
            place,
            operation,
            second,
            bias,
            maximum=wants_maximum(result),
            memory=memory,
        )

    def _forget_activations(self) -> None:
        """The activation buffer holds one tensor: another is about to take its place."""
        for value in [each for each in self.emitter.held if isinstance(each.owner, QuantizeOp)]:
            del self.emitter.held[value]

    def _residual(self, op: ResidualOp) -> Held:
        for y, x in ((op.b, op.a), (op.a, op.b)):
            layer = plain_linear(y)
            if layer is not None:
                second = self.demand(x)
                return self._linear(layer, Operation.ADD, second, op.result)
        a, b = self.demand(op.a), self.demand(op.b)
        return self._at(op, lambda: self._elementwise(Operation.ADD, a, b, op.result))

    def _gated(self, op: GatedActivationOp) -> Held:
        gate = self._activation(op, op.gate, None)
        layer = plain_linear(op.up)
        if layer is not None:
            return self._linear(layer, Operation.MULTIPLY, gate, op.result)
        up = self.demand(op.up)
        return self._at(op, lambda: self._elementwise(Operation.MULTIPLY, gate, up, op.result))

    def _activation(self, op: OpView, x: Value, result: Value | None) -> Held:
        layer = plain_linear(x)
        if layer is not None:
            return self._linear(layer, Operation.ACTIVATE, None, result if result is not None else layer.result)
        held = self.demand(x)
        return self._at(op, lambda: self._elementwise(Operation.ACTIVATE, held, None, result))

    def _elementwise(self, operation: Operation, a: Held, b: Held | None, result: Value | None) -> Held:
        emitter = self.emitter
        held = emitter.hold(operation.name.lower(), a.count, maximum=result is not None and wants_maximum(result))
        for lane in emitter.lanes:
            buffers = {"a": a.at(lane), "to": held.at(lane)}
            if b is not None:
                buffers["b"] = b.at(lane)
            if held.maximum:
                buffers["max_register"] = (held.maximum, lane)
            emitter.vector(
                operation, lane, a.count, maximum=Maximum.MAGNITUDE if held.maximum else Maximum.NONE, **buffers
            )
        return held

    def _cache_update(self, op: QuantizedCacheUpdateOp) -> Held:
        argument = self.step.argument_of(op.cache)
        if argument is None:
            raise RefusedOp(op, "a cache that is computed", wanted="a cache argument of the step")
        keep_row(self.emitter, self.step, op, argument.name, self.demand)
        return Held("", 0, 0)

    def logits(self, value: OpResult) -> None:
        """The last layer, straight to memory."""
        layer = plain_linear(value)
        if layer is None:
            raise RefusedOp(value.owner, "logits that are no linear layer without bias", wanted="a language model's head")
        self._linear(layer, Operation.COPY, None, layer.result, memory=True)


def same_data(value: Value) -> Value:
    """The value whose elements these are, in the same order: through reshapes, and transposes of axes of size 1."""
    while isinstance(value, OpResult) and isinstance(value.owner, SAME_DATA):
        op = value.owner
        if isinstance(op, TransposeOp):
            kept = [axis for axis in op.permutation if shape_of(op.x)[axis] != 1]
            if kept != sorted(kept):
                raise RefusedOp(op, "a transpose that moves data", wanted="a step of one token")
        value = op.x
    return value


def users(value: Value) -> Sequence[OpView]:
    """The ops that read a value, through those that move no data."""
    found: list[OpView] = []
    for use in value.uses:
        owner = use.owner
        found += users(owner.results[0]) if isinstance(owner, SAME_DATA) else [owner]
    return found


def plain_linear(value: Value) -> QuantizedLinearOp | None:
    """The layer without bias whose results these are, if nothing else reads them."""
    root = same_data(value)
    if isinstance(root, OpResult) and isinstance(root.owner, QuantizedLinearOp) and len(users(root)) == 1:
        return root.owner if root.owner.bias is None else None
    return None


def wants_maximum(value: Value) -> bool:
    """Whether a reader quantizes the value or norms it."""
    return any(isinstance(user, QuantizeOp | RmsNormOp | LayerNormOp) for user in users(value))


def elements(value: Value) -> int:
    return prod(shape_of(value))
