"""Every op of a decode step as instructions: what a result needs is emitted before it, nothing else."""

from elastix.compiler.image import LayerPlace
from elastix.compiler.ir import OpResult, OpView, Value
from elastix.compiler.processor.step.instructions import Maximum, Operation, Target
from elastix.compiler.step.attention import attend
from elastix.compiler.step.cache_rows import Rows, check_cache, rotated
from elastix.compiler.step.emitter import Emitter, Held
from elastix.compiler.step.layout import position_table
from elastix.compiler.step.linear import Parts, embed, linear, load_rows, logits
from elastix.compiler.step.norms import layer_norm, rms_norm
from elastix.compiler.step.parts import projection
from elastix.compiler.step.refused import RefusedStepOp
from elastix.compiler.step.values import (
    IDS,
    argument_name,
    check_register,
    plain_linear,
    rows_of,
    same_data,
    users,
    wants_maximum,
)
from elastix.compiler.step_function import StepFunction
from elastix.dialects.elx import (
    ActivationOp,
    EmbeddingOp,
    GatedActivationOp,
    LayerNormOp,
    QuantizedAttentionOp,
    QuantizedCacheUpdateOp,
    QuantizedEmbeddingOp,
    QuantizedLinearOp,
    QuantizeOp,
    ResidualOp,
    RmsNormOp,
)


def lower_step(step: StepFunction, emitter: Emitter) -> None:
    """Emit the whole step, caches in the order of the results and logits last; END is the caller's.

    Raises RefusedStepOp for an op that the step processor has no instructions for.
    """
    _Lowering(step, emitter).all()


class _Lowering:
    """One step; `kept`: the cache updates that are emitted; `begun`: layers of which not all parts may be."""

    def __init__(self, step: StepFunction, emitter: Emitter) -> None:
        self.step, self.emitter = step, emitter
        self.kept: set[OpView] = set()
        self.begun: list[Parts] = []

    def all(self) -> None:
        results = [each.value for each in self.step.results if not each.writes]
        if len(results) != 1:
            raise RefusedStepOp(
                self.step.op, f"{len(results)} results beside caches", wanted="one, the logits of a language model"
            )
        for each in self.step.results:
            if each.writes:
                self.keep(each.value)
        layer = plain_linear(results[0])
        if layer is None:
            raise RefusedStepOp(
                self.step.op,
                "logits that are not the results of a linear layer without bias",
                wanted="a language model's head",
            )
        self.quantize(layer)
        logits(self.emitter, self.place(layer, layer.weight))

    def demand(self, value: Value) -> Held:
        """Where the value is held, having been computed."""
        root = same_data(value)
        if root not in self.emitter.held:
            if not isinstance(root, OpResult):
                argument = self.step.argument_of(root)
                found = f"the argument {argument.name} as a vector" if argument else "a value from nowhere"
                raise RefusedStepOp(self.step.op, found, wanted="vectors that the step computes")
            self.emitter.held[root] = self.compute(root.owner)
        return self.emitter.held[root]

    def compute(self, op: OpView) -> Held:
        """Emit what an op computes."""
        match op:
            case QuantizedEmbeddingOp() | EmbeddingOp():
                return self.embedding(op)
            case RmsNormOp() | LayerNormOp():
                return self.norm(op)
            case QuantizedLinearOp():
                return self.whole(op, Operation.COPY, None, op.result)
            case ResidualOp():
                return self.residual(op)
            case GatedActivationOp():
                return self.gated(op)
            case ActivationOp():
                return self.activation(op, op.x, op.result)
            case QuantizedAttentionOp():
                rows = [self.rows(cache) for cache in (op.k, op.v)]
                return attend(self.emitter, self.step, op, self.parts(rotated(op.q)), rows)
            case _:
                raise RefusedStepOp(op, "the step processor has no instructions for it")

    def place(self, op: QuantizedLinearOp | QuantizedEmbeddingOp, weight: Value) -> LayerPlace:
        """Where the packed weights of an op lie."""
        return self.emitter.memory.layer(argument_name(self.step, op, weight))

    def parts(self, value: Value) -> Parts:
        """Where queries, keys or values are held, perhaps before they are computed."""
        layer, root = projection(value), same_data(value)
        if layer is None or root in self.emitter.held:
            return Parts(self.demand(value), None, Operation.COPY, None, "")
        found = self.linear(layer, Operation.COPY, None, layer.result)
        self.emitter.held[root] = found.held
        self.begun.append(found)
        return found

    def keep(self, cache: Value) -> None:
        """Emit what writes a cache, once: all of the attention over it, where there is one."""
        reader = next((user for user in users(cache) if isinstance(user, QuantizedAttentionOp)), None)
        if reader is not None:
            self.demand(reader.result)
        elif cache.owner not in self.kept:
            rows = self.rows(cache)
            rows.new.emit(self.emitter, rows.new.held.count)
            rows.keep(range(self.emitter.parameters.kv_heads))

    def rows(self, cache: Value) -> Rows:
        """What writes a cache."""
        op = cache.owner if isinstance(cache, OpResult) else None
        if not isinstance(op, QuantizedCacheUpdateOp):
            raise RefusedStepOp(
                op or self.step.op,
                "a cache that the step does not write as codes",
                wanted="caches of 8 bits",
                do="compile with --kv-bits 8",
            )
        self.kept.add(op)
        check_cache(self.step, op)
        return Rows(self.emitter, self.step, op, self.parts(rotated(op.new)))

    def embedding(self, op: QuantizedEmbeddingOp | EmbeddingOp) -> Held:
        """A row of a packed table by token, or of a table in fp32 by position."""
        emitter, maximum = self.emitter, wants_maximum(op.result)
        emitter.source = op
        if isinstance(op, EmbeddingOp):
            table = position_table(self.step, op, emitter.parameters)
            return load_rows(emitter, table.name, table.columns, maximum=maximum)
        check_register(self.step, op, op.ids, IDS)
        return embed(emitter, self.place(op, op.table), maximum=maximum)

    def norm(self, op: RmsNormOp | LayerNormOp) -> Held:
        """A norm of a token, or of each of its heads."""
        x, rows = self.demand(op.x), rows_of(op)
        self.emitter.source = op
        weight = argument_name(self.step, op, op.weight)
        if isinstance(op, LayerNormOp):
            if rows != 1:
                raise RefusedStepOp(op, f"{rows} rows of a token", wanted="one")
            return layer_norm(self.emitter, x, weight, argument_name(self.step, op, op.bias), eps=op.eps)
        unit = self.emitter.parameters.alignment
        if rows > 1 and x.count // rows % unit:
            raise RefusedStepOp(op, f"rows of {x.count // rows} elements", wanted=f"a multiple of {unit}")
        return rms_norm(self.emitter, x, weight, eps=op.eps, maximum=wants_maximum(op.result), rows=rows)

    def whole(self, op: QuantizedLinearOp, operation: Operation, second: Held | None, result: Value) -> Held:
        """All of a layer, as `linear`."""
        found = self.linear(op, operation, second, result)
        found.emit(self.emitter, found.held.count)
        return found.held

    def linear(self, op: QuantizedLinearOp, operation: Operation, second: Held | None, result: Value) -> Parts:
        """The layer with an operation on its results, which are then `result`."""
        self.quantize(op)
        bias = argument_name(self.step, op, op.bias) if op.bias is not None else ""
        place = self.place(op, op.weight)
        return linear(self.emitter, place, operation, second, bias, maximum=wants_maximum(result))

    def quantize(self, op: QuantizedLinearOp) -> None:
        """Bring the layer's activations into the activation buffer, where they are not there already."""
        emitter, quantize = self.emitter, op.x.owner
        if not isinstance(quantize, QuantizeOp):
            raise RefusedStepOp(op, "activations that nothing here quantizes", wanted="an elx.quantize")
        if quantize.quantized not in emitter.held:
            x = self.demand(quantize.x)
            for each in self.begun:  # they read what the buffer holds now
                each.emit(emitter, each.held.count)
            self.begun.clear()
            for value in [each for each in emitter.held if isinstance(each.owner, QuantizeOp)]:
                del emitter.held[value]  # the buffer holds one tensor
            emitter.source = quantize
            for lane in emitter.lanes:
                emitter.vector(
                    Operation.QUANTIZE,
                    lane,
                    x.count,
                    target=Target.ACTIVATIONS,
                    values={"bits": quantize.activation_bits},
                    a=x.at(lane),
                    scalar_register=(x.maximum, lane),
                )
            emitter.held[quantize.quantized] = x
        emitter.source = op

    def residual(self, op: ResidualOp) -> Held:
        """A sum: as results leave the matrix engine, else in a pass of its own."""
        for y, x in ((op.b, op.a), (op.a, op.b)):
            layer = plain_linear(y)
            if layer is not None:
                return self.whole(layer, Operation.ADD, self.demand(x), op.result)
        return self.elementwise(op, Operation.ADD, self.demand(op.a), self.demand(op.b), op.result)

    def gated(self, op: GatedActivationOp) -> Held:
        """The activation of one layer times another one's results."""
        gate = self.activation(op, op.gate, None)
        layer = plain_linear(op.up)
        if layer is not None:
            return self.whole(layer, Operation.MULTIPLY, gate, op.result)
        return self.elementwise(op, Operation.MULTIPLY, gate, self.demand(op.up), op.result)

    def activation(self, op: OpView, x: Value, result: Value | None) -> Held:
        """The activation of x. result: None if it is a gate, which a product is made of alone."""
        layer = plain_linear(x)
        if layer is not None:
            return self.whole(layer, Operation.ACTIVATE, None, layer.result if result is None else result)
        return self.elementwise(op, Operation.ACTIVATE, self.demand(x), None, result)

    def elementwise(self, op: OpView, operation: Operation, a: Held, b: Held | None, result: Value | None) -> Held:
        """One pass over all elements of every token."""
        emitter = self.emitter
        emitter.source = op
        held = emitter.hold(operation.name.lower(), a.count, maximum=result is not None and wants_maximum(result))
        for lane in emitter.lanes:
            second = {} if b is None else {"b": b.at(lane)}
            tracked = {"max_register": (held.maximum, lane)} if held.maximum else {}
            emitter.vector(
                operation,
                lane,
                a.count,
                maximum=Maximum.MAGNITUDE if held.maximum else Maximum.NONE,
                a=a.at(lane),
                to=held.at(lane),
                others={**second, **tracked},
            )
        return held
