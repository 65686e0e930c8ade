"""Every op learns which side it runs on, and why."""

from collections import Counter
from typing import Final

from elastix.compiler.ir import RefusedOp, compiler_pass, shape_of
from elastix.compiler.ir.core import FlatSymbolRefAttr, ModuleOp, OpResult, OpView, StringAttr
from elastix.compiler.processor.parameters import COLUMNS, ProcessorParameters
from elastix.compiler.step_function import all_ops, processor_of, step_function
from elastix.dialects.elx import EmbeddingOp, LinearOp, QuantizedEmbeddingOp, QuantizedLinearOp, QuantizeOp

SIDE: Final = "elx.side"
REASON: Final = "elx.reason"
PROCESSOR: Final = "processor"
HOST: Final = "host"


_SPELLED_IN_PLACE = ("torch.constant.", "torch.prim.ListConstruct")
"""Torch ops that compute nothing."""

_RANDOM: Final = ("rand", "normal", "bernoulli", "multinomial", "uniform", "exponential", "native_dropout")
"""How the names of torch ops that draw random numbers begin."""


@compiler_pass
def partition(module: ModuleOp) -> None:
    """Mark each op with the side it runs on (`elx.side`) and the reason (`elx.reason`).

    A quantized linear layer runs on the module's `epu.processor` if its rows fit the activation buffer. Refuses
    activations quantized to another width than the processor's, and ops that draw random numbers: compiled code would
    not follow the caller's seed.
    """
    parameters = processor_of(module).parameters()
    for op in step_function(module).block.operations:
        name = op.operation.name
        if name.startswith(("elx.", "torch.")) and not name.startswith(_SPELLED_IN_PLACE):
            side, reason = _decide(op, parameters)
            op.attributes[SIDE] = StringAttr.get(side)
            op.attributes[REASON] = StringAttr.get(reason)


def reasons(module: ModuleOp) -> dict[tuple[str, str, str], int]:
    """How many ops of a partitioned step have this name, side and reason: `(name, side, reason)` to count.

    After `outline-torch` too: the ops of an outlined function count once for each call of it.
    """
    with module.context:
        calls = Counter(
            FlatSymbolRefAttr(op.attributes["callee"]).value
            for op in step_function(module).block.operations
            if op.operation.name == "func.call"
        )
        found: Counter[tuple[str, str, str]] = Counter()
        for function in all_ops(module):
            # A func.func's own `name` is its symbol.
            if function.operation.name == "func.func":
                times = calls.get(StringAttr(function.attributes["sym_name"]).value, 1)
                for op in all_ops(function):
                    if SIDE in op.attributes and REASON in op.attributes:
                        side, reason = (StringAttr(op.attributes[key]).value for key in (SIDE, REASON))
                        found[op.operation.name, side, reason] += times
    return dict(found)


def _decide(op: OpView, processor: ProcessorParameters) -> tuple[str, str]:
    match op:
        case QuantizedLinearOp():
            return _decide_linear(op, processor)
        case QuantizeOp():
            return HOST, "the host quantizes activations as it uploads them"
        case LinearOp() | EmbeddingOp():
            return HOST, "no weight format was chosen"
        case QuantizedEmbeddingOp():
            return HOST, "the host reads the rows out of the packed image"
        case _ if op.operation.name.startswith("torch."):
            if op.operation.name.removeprefix("torch.aten.").startswith(_RANDOM):
                raise RefusedOp(op, "it draws random numbers", wanted="ops that follow from their inputs")
            return HOST, "no elx op covers it"
        case _:
            return HOST, "the processor multiplies matrices only"


def _decide_linear(op: QuantizedLinearOp, processor: ProcessorParameters) -> tuple[str, str]:
    quantize = op.x.owner if isinstance(op.x, OpResult) else None
    if isinstance(quantize, QuantizeOp) and quantize.activation_bits > processor.activation_bits:
        raise RefusedOp(
            op,
            f"activations of {quantize.activation_bits} bits",
            wanted=f"at most {processor.activation_bits} bits, as the processor has",
            do="choose a width that it takes",
        )
    columns = shape_of(op.weight)[1]
    tiles = -(-columns // COLUMNS)
    if tiles > processor.max_tiles:
        return HOST, f"{columns} columns are {tiles} tiles, more than the processor's {processor.max_tiles}"
    return PROCESSOR, f"{op.format}, {tiles} tiles of the processor's {processor.max_tiles}"
