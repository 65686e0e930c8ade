"""The module says which processor it is compiled for."""

from elastix.compiler.ir import build_at, compiler_pass, shape_of
from elastix.compiler.ir.core import InsertionPoint, IntegerAttr, Location, ModuleOp
from elastix.compiler.processor.parameters import COLUMNS, ProcessorParameters
from elastix.compiler.step_function import all_ops
from elastix.dialects.elx import QuantizedLinearOp
from elastix.dialects.epu import ProcessorOp
from elastix.passes.s3_precision.assign_precision import ACTIVATION_BITS_ATTRIBUTE


@compiler_pass
def choose_processor(
    module: ModuleOp, *, beat: int = 256, lanes: int = 1, channels: int = 1, max_burst: int = 64, fifo_beats: int = 256
) -> None:
    """Add the `epu.processor` that the module's quantized linear layers need.

    Its activation buffer holds the longest row of all layers; its activations have the bits that `assign-precision`
    noted. A module that names a processor keeps it. Refuses parameters that no processor can have.

    beat: bits that an engine takes a cycle: 64, 128, 256 or 512.
    lanes: tokens that share one pass over the weights.
    channels: weight streams, each with an engine of its own.
    max_burst: beats of an AXI burst.
    fifo_beats: beats of a channel's FIFO, a power of two.
    """
    if any(isinstance(op, ProcessorOp) for op in module.body.operations):
        return
    columns = [shape_of(op.weight)[1] for op in all_ops(module) if isinstance(op, QuantizedLinearOp)]
    attributes = module.operation.attributes
    noted = ACTIVATION_BITS_ATTRIBUTE in attributes
    parameters = ProcessorParameters(
        beat=beat,
        activation_bits=IntegerAttr(attributes[ACTIVATION_BITS_ATTRIBUTE]).value if noted else 11,
        lanes=lanes,
        channels=channels,
        max_tiles=-(-max(columns, default=1) // COLUMNS),
        max_burst=max_burst,
        fifo_beats=fifo_beats,
    )
    with build_at(InsertionPoint.at_block_begin(module.body), Location.unknown(module.context)):
        ProcessorOp(sym_name="processor", **vars(parameters))
