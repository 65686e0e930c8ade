"""What a word's operation selects in the lanes, each at the cycle in which the lanes look at it."""

from elastix.compiler.circuit import Module, Signal
from elastix.compiler.processor.pipeline import delay_stages
from elastix.compiler.processor.step.instructions import Operation
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.vector_sequencer import is_one_of
from elastix.compiler.processor.step.vector_timing import ADDRESS, PRODUCT, READ, Timing

FIRST_PRODUCT = (
    Operation.SCALE,
    Operation.SCALE_BY,
    Operation.NORMALIZE,
    Operation.NORMALIZE_SHIFT,
    Operation.ROTATE,
)
SECOND_PRODUCT = (
    Operation.MULTIPLY,
    Operation.NORMALIZE,
    Operation.NORMALIZE_SHIFT,
    Operation.ROTATE,
    Operation.ACTIVATE,
    Operation.EXPONENTIAL,
)
SUM = (Operation.ADD, Operation.ADD_CONSTANT, Operation.SUBTRACT, Operation.NORMALIZE_SHIFT, Operation.ROTATE)
LATE_CONSTANT = (Operation.ADD_CONSTANT, Operation.NORMALIZE, Operation.NORMALIZE_SHIFT, Operation.ROTATE)


def selections(p: StepParameters) -> dict[str, tuple[int, tuple[Operation, ...]]]:
    """Of what is generated: name, the cycle at which it is looked at, the operations for which it is 1."""
    timing, features = Timing(p), p.features
    found: dict[str, tuple[int, tuple[Operation, ...]]] = {
        "first_product": (PRODUCT, FIRST_PRODUCT),
        "late_constant": (timing.factors, LATE_CONSTANT),
        "second_product": (timing.second_product, SECOND_PRODUCT),
        "subtract": (timing.factors, (Operation.SUBTRACT,)),
        "summed": (timing.sum, SUM),
    }
    if "rotate" in features:
        found |= {"by_constant": (READ, (Operation.ROTATE,)), "partner": (timing.factors, (Operation.ROTATE,))}
    if timing.attention:
        found["exponential_taken"] = (timing.factors, (Operation.EXPONENTIAL,))
    if p.activations:
        found["activate"] = (timing.factors, (Operation.ACTIVATE,))
    if "normalize_shift" in features:
        found["shift"] = (timing.factors, (Operation.NORMALIZE_SHIFT,))
    return found


def operation_decode(p: StepParameters) -> Module:
    """`operation` of the word whose addresses are asked for; the outputs of `selections`, at their cycles."""
    m = Module("operation_decode", operation_decode.__doc__)
    operation = m.input("operation", 4)
    for name, (cycle, operations) in selections(p).items():
        found: Signal = m.register(f"{name}_decoded", is_one_of(operation, operations))
        m.output(name, delay_stages(m, name, found, cycle - ADDRESS - 1)[-1])
    return m
