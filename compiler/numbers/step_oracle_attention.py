"""SCORES and VALUES of the step processor: the integer sums of C21 over the rows of a cache."""

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.numbers.fp32 import Int64, from_bf16, from_integer, multiply, scale_by_power_of_two
from elastix.compiler.numbers.step_oracle_state import Place, Run
from elastix.compiler.processor.step.instructions import Instruction, Maximum


def _cached(run: Run, address: int, stride: int, size: int) -> NDArray[np.uint8]:
    """Rows 0 … position − 1 of `size` bytes from the channels that they are dealt to, `stride` · 64 bytes apart."""
    lanes, channels, position = run.parameters.vector_lanes, run.parameters.attention_channels, run.position
    found = np.zeros((position, size), np.uint8)
    for channel in range(channels):
        rows = [t for t in range(position) if t // lanes % channels == channel]
        at = address + 64 * stride * channel
        found[rows] = run.state.read(Place.MEMORY, at, len(rows) * size).reshape(len(rows), size)
    return found


def _codes(run: Run, lane: int, head: int, rows: int, stride: int, current: Place) -> Int64:
    """z of rows 0 … position + lane: those of this run's tokens from the current rows, the others from memory."""
    p = run.parameters
    earlier = _cached(run, rows, stride, p.row_bytes)
    own = [run.state.read(current, (token * p.kv_heads + head) * p.head_dim, p.head_dim) for token in range(lane + 1)]
    return np.concatenate([earlier[:, : p.head_dim].view(np.int8), np.stack(own)]).astype(np.int64)


def _scales(run: Run, lane: int, head: int, address: int, stride: int, current: Place) -> NDArray[np.uint16]:
    """The bf16 scales of the same rows."""
    earlier = np.frombuffer(_cached(run, address, stride, 2).tobytes(), "<u2")
    own = [run.state.read(current, token * run.parameters.kv_heads + head, 1) for token in range(lane + 1)]
    return np.concatenate([earlier, *own])


def scores(run: Run, instruction: Instruction, lane: int) -> None:
    """SCORES: of every query of the group and every row, their maxima, and the value scales for later."""
    p, state, bank, head = run.parameters, run.state, instruction["bank"], instruction["head"]
    queries: Int64 = state.read(Place.QUERY, bank * p.group * p.head_dim, p.group * p.head_dim).astype(np.int64)
    e = int(state.read(Place.QUERY_EXPONENT, bank, 1)[0])
    stride = instruction["channel_stride"]
    keys = _codes(run, lane, head, instruction["keys"], stride, Place.CURRENT_KEY)
    at = instruction["keys"] + instruction["key_scales"], instruction["values"] + instruction["value_scales"]
    key_scales = _scales(run, lane, head, at[0], stride, Place.CURRENT_KEY_SCALE)
    value_scales = _scales(run, lane, head, at[1], stride, Place.CURRENT_VALUE_SCALE)
    state.write(Place.VALUE_SCALE, bank * p.max_context, value_scales)
    for j, query in enumerate(queries.reshape(p.group, p.head_dim)):
        scaled = multiply(from_integer(keys @ query), from_bf16(key_scales), run.flags)
        score = scale_by_power_of_two(scaled, e, run.flags)
        state.write(Place.VECTOR, instruction["to"] + j * instruction["stride"], score)
        run.track(Maximum.SIGNED, instruction["max_register"] + j, score)


def values(run: Run, instruction: Instruction, lane: int) -> None:
    """VALUES: the weighted sum of the rows for every query of the group."""
    p, state, bank, head = run.parameters, run.state, instruction["bank"], instruction["head"]
    rows = _codes(run, lane, head, instruction["values"], instruction["channel_stride"], Place.CURRENT_VALUE)
    e = int(state.read(Place.PROBABILITY_EXPONENT, bank, 1)[0])
    for j in range(p.group):
        at = (bank * p.group + j) * p.max_context
        weights = state.read(Place.PROBABILITY, at, len(rows)).astype(np.int64)
        result = scale_by_power_of_two(from_integer(weights @ rows), e, run.flags)
        state.write(Place.VECTOR, instruction["to"] + j * p.head_dim, result)
