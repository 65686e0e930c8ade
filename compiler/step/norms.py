"""C19: norms as passes of the vector engine."""

import numpy as np

from elastix.compiler.processor.step.instructions import Maximum, Operation, Target
from elastix.compiler.step.emitter import At, Emitter, Held
from elastix.dialects.elx import LayerNormOp, RmsNormOp


def fp32_bits(value: float) -> int:
    """The pattern of a number rounded to fp32."""
    return int(np.float32(value).view(np.uint32))


def rms_norm(emitter: Emitter, op: RmsNormOp, x: Held, weight: str) -> Held:
    """Each lane's row over the root of its mean square, times the stored weight."""
    constants = {"c": (emitter.parameter(weight), 0)}
    held = emitter.hold("norm", x.count, maximum=True)
    for lane in emitter.lanes:
        _normalize(emitter, lane, x, held, op.eps, Operation.NORMALIZE, constants)
    return held


def layer_norm(emitter: Emitter, op: LayerNormOp, x: Held, weight: str, bias: str) -> Held:
    """Each lane's row less its mean, over the root of its variance, times the stored weight, plus the stored bias."""
    constants = {"c": (emitter.parameter(weight), 0), "d": (emitter.parameter(bias), 0)}
    held = emitter.hold("norm", x.count, maximum=True)
    centred = emitter.hold("centred", x.count, maximum=True)
    mean = emitter.registers("mean", emitter.parameters.lanes)
    for lane in emitter.lanes:
        emitter.vector(
            Operation.MEAN,
            lane,
            x.count,
            target=Target.NONE,
            values={"k": fp32_bits(1 / x.count)},
            a=x.at(lane),
            scalar_register=(x.maximum, lane),
            result_register=(mean, lane),
        )
        emitter.vector(
            Operation.SUBTRACT,
            lane,
            x.count,
            maximum=Maximum.MAGNITUDE,
            a=x.at(lane),
            to=centred.at(lane),
            scalar_register=(mean, lane),
            max_register=(centred.maximum, lane),
        )
        _normalize(emitter, lane, centred, held, op.eps, Operation.NORMALIZE_SHIFT, constants)
    return held


def _normalize(
    emitter: Emitter, lane: int, x: Held, held: Held, eps: float, operation: Operation, constants: dict[str, At]
) -> None:
    root = emitter.registers("root")
    emitter.vector(
        Operation.SQUARES,
        lane,
        x.count,
        target=Target.NONE,
        values={"k": fp32_bits(1 / x.count), "epsilon": fp32_bits(eps)},
        a=x.at(lane),
        scalar_register=(x.maximum, lane),
        result_register=(root, 0),
    )
    emitter.vector(
        operation,
        lane,
        x.count,
        maximum=Maximum.MAGNITUDE,
        a=x.at(lane),
        to=held.at(lane),
        scalar_register=(root, 0),
        max_register=(held.maximum, lane),
        **constants,
    )
