"""The module says which step processor it is compiled for."""

from typing import Final

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import build_at, compiler_pass, ops_of, shape_of
from elastix.compiler.ir.core import InsertionPoint, IntegerAttr, Location, ModuleOp
from elastix.compiler.processor.parameters import COLUMNS
from elastix.compiler.processor.step.parameters import ALIGNMENT, HEAD_DIMS, StepParameters
from elastix.compiler.step.attention import widths
from elastix.compiler.step.program import step_processor_of
from elastix.compiler.step.refused import RefusedStepOp
from elastix.compiler.step_function import all_ops
from elastix.dialects.elx import (
    ActivationOp,
    GatedActivationOp,
    LayerNormOp,
    QuantizedAttentionOp,
    QuantizedEmbeddingOp,
    QuantizedLinearOp,
    RopeOp,
)
from elastix.dialects.epu import StepProcessorOp
from elastix.passes.s3_precision.assign_precision import ACTIVATION_BITS_ATTRIBUTE

_USED_BY: Final = {
    "rotate": RopeOp,
    "normalize_shift": LayerNormOp,
    "mean": LayerNormOp,
    "embed": QuantizedEmbeddingOp,
    "attention": QuantizedAttentionOp,
    "arg_max": QuantizedLinearOp,
}

_ATTENTION: Final = "attention over cached keys and values of 8 bits"


@compiler_pass
def choose_step_processor(
    module: ModuleOp,
    *,
    beat: int = 256,
    lanes: int = 1,
    channels: int = 1,
    vector_lanes: int = 4,
    attention_lanes: int = 0,
    attention_channels: int = 1,
    max_burst: int = 64,
    fifo_beats: int = 256,
) -> None:
    """Add the `epu.step_processor` that a decode step needs: sizes from its attention and layers, features it uses.

    The sizes of the on-chip memories are set by `allocate-buffers`. A module that names a step processor keeps it.
    Refuses steps without attention over caches of codes, layers whose attention differs, two kinds of activations, and
    parameters that no processor can have.

    beat: bits that an engine takes a cycle and channel: 64, 128, 256 or 512.
    lanes: tokens that share one pass over the weights.
    channels: weight streams, each with a matrix engine of its own.
    vector_lanes: elements that the vector engine takes a cycle: 1, 2, 4, 8 or 16.
    attention_lanes: bytes of a cached row taken a cycle, a power of two; 0: as many as a beat or a row has.
    attention_channels: channels that rows of the caches are dealt to, a power of two up to `channels`.
    max_burst: beats of an AXI burst.
    fifo_beats: beats of a channel's FIFO, a power of two.
    """
    if step_processor_of(module) is not None:
        return
    attention = list(ops_of(module, QuantizedAttentionOp))
    if not attention:
        for op in all_ops(module):
            if "softmax" in op.operation.name:
                raise RefusedStepOp(op, "attention of another kind", wanted=f"{_ATTENTION}, of softmax(q·k)·v alone")
        raise ElastixError(
            f"a model without {_ATTENTION}",
            wanted="the decode step of a language model",
            do="compile without --whole-step",
        )
    heads, kv_heads, width, rows = _widths(attention)
    columns = [shape_of(op.weight)[1] for op in ops_of(module, QuantizedLinearOp)]
    attributes = module.operation.attributes
    noted = ACTIVATION_BITS_ATTRIBUTE in attributes
    parameters = StepParameters(
        beat=beat,
        activation_bits=IntegerAttr(attributes[ACTIVATION_BITS_ATTRIBUTE]).value if noted else 11,
        lanes=lanes,
        channels=channels,
        max_tiles=-(-max(columns, default=1) // COLUMNS),
        max_burst=max_burst,
        fifo_beats=fifo_beats,
        vector_lanes=vector_lanes,
        vector_elements=max(ALIGNMENT, vector_lanes),
        constant_elements=max(ALIGNMENT, vector_lanes),
        max_context=rows,
        head_dim=width,
        kv_heads=kv_heads,
        group=heads // kv_heads,
        attention_lanes=attention_lanes or min(beat // 8, width),
        attention_channels=attention_channels,
        activations=_activations(module),
        features=tuple(name for name, used in _USED_BY.items() if next(iter(ops_of(module, used)), None) is not None),
    )
    with build_at(InsertionPoint.at_block_begin(module.body), Location.unknown(module.context)):
        StepProcessorOp.of("processor", parameters)


def _widths(attention: list[QuantizedAttentionOp]) -> tuple[int, int, int, int]:
    """Those of all layers, as `widths` has them."""
    heads, kv_heads, width, rows = found = widths(attention[0])
    for op in attention:
        if widths(op) != found:
            raise RefusedStepOp(
                op,
                f"{_spelled(op)}, in a layer before {_spelled(attention[0])}",
                wanted="one shape of attention for all layers",
            )
    if width not in HEAD_DIMS:
        raise RefusedStepOp(
            attention[0],
            f"heads of {width} values",
            wanted=f"one of {', '.join(map(str, HEAD_DIMS))}, as a step processor has it",
        )
    return heads, kv_heads, width, rows


def _spelled(op: QuantizedAttentionOp) -> str:
    heads, kv_heads, width, rows = widths(op)
    return f"{heads} heads of queries and {kv_heads} of keys, {rows} rows of {width} values"


def _activations(module: ModuleOp) -> tuple[str, ...]:
    """The model's one activation, if it has any."""
    used = [*ops_of(module, ActivationOp), *ops_of(module, GatedActivationOp)]
    for op in used:
        if op.kind != used[0].kind:
            raise RefusedStepOp(
                op,
                f"{op.kind} in a model that also uses {used[0].kind}",
                wanted="one activation, as a step processor has it",
            )
    return (used[0].kind,) if used else ()
