"""Norms as passes of the vector engine: statistics to scalar registers, then one pass that scales."""

from dataclasses import dataclass

import numpy as np

from elastix.compiler.processor.step.instructions import Maximum, Operation, Target
from elastix.compiler.step.emitter import At, Emitter, Held


def fp32_bits(value: float) -> int:
    """The pattern of a number rounded to fp32."""
    return int(np.float32(value).view(np.uint32))


def rms_norm(emitter: Emitter, x: Held, weight: str, *, eps: float, maximum: bool, rows: int = 1) -> Held:
    """Each of a token's rows over the root of its mean square, times the stored weight.

    x: with its maxima if it is one row. maximum: whether those of the result are wanted, of one row.
    """
    constants = {"c": (emitter.parameter(weight), 0)}
    held = emitter.hold("norm", x.count, maximum=maximum)
    width = x.count // rows
    for lane in emitter.lanes:
        for row in range(rows):
            of = _Row(lane, width, x.at(lane, row * width), held.at(lane, row * width))
            largest = (x.maximum, lane) if rows == 1 else _largest(emitter, of)
            into = (held.maximum, lane) if held.maximum else None
            _normalize(emitter, of, largest, into, eps, Operation.NORMALIZE, constants)
    return held


def layer_norm(emitter: Emitter, x: Held, weight: str, bias: str, *, eps: float) -> Held:
    """Each token's row less its mean, over the root of its variance, times the stored weight, plus the stored bias."""
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
        row = _Row(lane, x.count, centred.at(lane), held.at(lane))
        largest, into = (centred.maximum, lane), (held.maximum, lane)
        _normalize(emitter, row, largest, into, eps, Operation.NORMALIZE_SHIFT, constants)
    return held


@dataclass(frozen=True)
class _Row:
    """`count` elements of a lane that are normed together, and where the result goes."""

    lane: int
    count: int
    x: At
    to: At


def _largest(emitter: Emitter, row: _Row) -> At:
    """A register with the largest magnitude of the row."""
    register = (emitter.registers("max.row"), 0)
    emitter.track(row.lane, row.count, row.x, register)
    return register


def _normalize(
    emitter: Emitter,
    row: _Row,
    largest: At,
    into: At | None,
    eps: float,
    operation: Operation,
    constants: dict[str, At],
) -> None:
    root = (emitter.registers("root"), 0)
    emitter.vector(
        Operation.SQUARES,
        row.lane,
        row.count,
        target=Target.NONE,
        values={"k": fp32_bits(1 / row.count), "epsilon": fp32_bits(eps)},
        a=row.x,
        scalar_register=largest,
        result_register=root,
    )
    emitter.vector(
        operation,
        row.lane,
        row.count,
        maximum=Maximum.NONE if into is None else Maximum.MAGNITUDE,
        a=row.x,
        to=row.to,
        scalar_register=root,
        others=constants if into is None else {**constants, "max_register": into},
    )
