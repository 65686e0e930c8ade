"""VECTOR of the step processor: elementwise passes, reductions and quantizing (C3, C12, C15 to C22)."""

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.cache import bf16_values, quantize_rows
from elastix.compiler.numbers.fp32 import (
    Float32,
    Int64,
    add,
    flush,
    from_integer,
    multiply,
    scale_by_power_of_two,
)
from elastix.compiler.numbers.functions import (
    activation,
    exponential,
    exponential_weight,
    reciprocal_of_sum,
    rsqrt,
)
from elastix.compiler.numbers.step_oracle_state import COLUMNS, Place, Run
from elastix.compiler.processor.step.instructions import Instruction, Maximum, Operation, Target

WIDE_BITS = 16
"""Bits of queries, probabilities and what is squared."""


def elements(instruction: Instruction, row: int) -> int:
    """n, the elements of a pass for a token at position `row`."""
    return instruction["count"] + (row if instruction["to_position"] else 0)


def vector(run: Run, instruction: Instruction, lane: int) -> None:
    """One pass. All of it is read before any of it is written."""
    operation = Operation(instruction["operation"])
    a: Float32 = run.state.read(Place.VECTOR, instruction["a"], elements(instruction, run.position + lane))
    if operation is Operation.QUANTIZE:
        _quantize(run, instruction, lane, a)
    elif operation in (Operation.SQUARES, Operation.MEAN):
        _reduce(run, instruction, a)
    else:
        results = (
            _exponentials(run, instruction, a) if operation is Operation.EXPONENTIAL else _each(run, instruction, a)
        )
        _put(run, instruction, results)


def _each(run: Run, instruction: Instruction, a: Float32) -> Float32:
    flags, n = run.flags, len(a)

    def scalar() -> Float32:
        return run.state.read(Place.SCALAR, instruction["scalar_register"], 1)[0]

    def constants(name: str) -> Float32:
        period = instruction["period"] or n
        found = run.state.read(Place.CONSTANT, instruction[name], min(n, period))
        return found[np.arange(n) % period]

    match Operation(instruction["operation"]):
        case Operation.ADD:
            return add(a, run.state.read(Place.VECTOR, instruction["b"], n), flags)
        case Operation.ADD_CONSTANT:
            return add(a, constants("c"), flags)
        case Operation.MULTIPLY:
            return multiply(a, run.state.read(Place.VECTOR, instruction["b"], n), flags)
        case Operation.SCALE:
            return multiply(a, immediate(instruction["k"]), flags)
        case Operation.SCALE_BY:
            return multiply(a, scalar(), flags)
        case Operation.SUBTRACT:
            return add(a, -scalar(), flags)
        case Operation.NORMALIZE:
            return multiply(multiply(a, scalar(), flags), constants("c"), flags)
        case Operation.NORMALIZE_SHIFT:
            return add(multiply(multiply(a, scalar(), flags), constants("c"), flags), constants("d"), flags)
        case Operation.ROTATE:
            half = instruction["period"] // 2
            partner = a.reshape(-1, 2, half)[:, ::-1].reshape(n)
            return add(multiply(a, constants("c"), flags), multiply(partner, constants("d"), flags), flags)
        case Operation.ACTIVATE:
            return activation(run.parameters.activations[0], a, flags)
        case _:
            return flush(a)


def immediate(pattern: int) -> Float32:
    """An fp32 pattern in an instruction, flushed."""
    return flush(np.array(pattern, np.uint32).view(np.float32))


def _exponentials(run: Run, instruction: Instruction, score: Float32) -> Float32:
    """C21: weights of one query, and the reciprocal of their sum."""
    largest = run.state.read(Place.SCALAR, instruction["scalar_register"], 1)[0]
    p = exponential(score, largest)
    scales = run.state.read(Place.VALUE_SCALE, instruction["bank"] * run.parameters.max_context, len(score))
    r = reciprocal_of_sum(p.sum(), run.flags)
    run.state.write(Place.SCALAR, instruction["result_register"], np.array([r], np.float32))
    return exponential_weight(p, bf16_values(scales), run.flags)


def _put(run: Run, instruction: Instruction, results: Float32) -> None:
    target = Target(instruction["target"])
    if target is Target.VECTOR:
        run.state.write(Place.VECTOR, instruction["to"], results)
    elif target is Target.CONSTANT:
        run.state.write(Place.CONSTANT, instruction["to"], results)
    run.track(Maximum(instruction["maximum"]), instruction["max_register"], results)


def _magnitude(run: Run, instruction: Instruction, a: Float32) -> Float32:
    """max|a| as its register has it. Raises ElastixError where the register holds less: the program is wrong."""
    held: Float32 = run.state.read(Place.SCALAR, instruction["scalar_register"], 1)[0]
    found = np.abs(a).max(initial=0)
    if held < found:
        raise ElastixError(
            f"scalar register {instruction['scalar_register']} holds {held}, a magnitude is {found}",
            wanted="the largest magnitude of what is quantized or reduced",
        )
    return held


def to_integers(x: Float32, largest: Float32, bits: int) -> tuple[Int64, int]:
    """C3 with the largest magnitude given: x̂ and e."""
    if largest == 0:
        return np.zeros(x.shape, np.int64), 0
    e = (int(largest.view(np.uint32)) >> 23 & 0xFF) - 127 - (bits - 2)
    limit = (1 << (bits - 1)) - 1
    exact = np.ldexp(x.astype(np.float64), -e)
    return np.clip(np.rint(exact), -limit, limit).astype(np.int64), e


def _reduce(run: Run, instruction: Instruction, a: Float32) -> None:
    """C19: s = rsqrt(mean square + ε), or the mean."""
    x16, e = to_integers(a, _magnitude(run, instruction, a), WIDE_BITS)
    k = immediate(instruction["k"])
    if instruction["operation"] == Operation.SQUARES:
        mean = scale_by_power_of_two(multiply(from_integer((x16 * x16).sum()), k, run.flags), 2 * e, run.flags)
        result = rsqrt(add(mean, immediate(instruction["epsilon"]), run.flags), run.flags)
    else:
        result = scale_by_power_of_two(multiply(from_integer(x16.sum()), k, run.flags), e, run.flags)
    run.state.write(Place.SCALAR, instruction["result_register"], np.array([result], np.float32))


def _quantize(run: Run, instruction: Instruction, lane: int, a: Float32) -> None:
    p, state, target = run.parameters, run.state, Target(instruction["target"])
    largest = _magnitude(run, instruction, a)
    if target in (Target.KEY, Target.VALUE):
        _keep(run, instruction, lane, a, largest)
        return
    integers, e = to_integers(a, largest, instruction["bits"])
    x, exponent = integers.astype(np.int16), np.array([e], np.int32)
    if target is Target.ACTIVATIONS:
        padded = np.append(x, np.zeros(-(instruction["to"] + len(x)) % COLUMNS, np.int16))
        state.write(Place.ACTIVATIONS, lane * p.max_tiles * COLUMNS + instruction["to"], padded)
        state.write(Place.ACTIVATION_EXPONENT, lane, exponent)
    elif target is Target.QUERY:
        state.write(Place.QUERY, instruction["bank"] * p.group * p.head_dim, x)
        state.write(Place.QUERY_EXPONENT, instruction["bank"], exponent)
    else:
        row = instruction["bank"] * p.group + instruction["head"]
        state.write(Place.PROBABILITY, row * p.max_context, x)
        state.write(Place.PROBABILITY_EXPONENT, instruction["bank"], exponent)


def _keep(run: Run, instruction: Instruction, lane: int, a: Float32, largest: Float32) -> None:
    """C12: a row of keys or values, to the current rows and to memory."""
    p, state = run.parameters, run.state
    # The largest magnitude joins the row, so that it decides the scale, and leaves again.
    kept = quantize_rows(np.append(a, largest)[None], 8)
    z: NDArray[np.int8] = kept.z[0, :-1]
    key = instruction["target"] == Target.KEY
    head = lane * p.kv_heads + instruction["head"]
    state.write(Place.CURRENT_KEY if key else Place.CURRENT_VALUE, head * p.head_dim, z)
    state.write(Place.CURRENT_KEY_SCALE if key else Place.CURRENT_VALUE_SCALE, head, kept.scales)
    channel, row = p.row_place(run.position + lane)
    at = instruction["rows"] + 64 * instruction["channel_stride"] * channel
    codes = np.append(z.view(np.uint8), np.zeros(p.row_bytes - len(z), np.uint8))
    state.write(Place.MEMORY, at + row * p.row_bytes, codes)
    scale = kept.scales.astype("<u2").view(np.uint8)
    state.write(Place.MEMORY, at + instruction["scales"] + 2 * row, scale)
