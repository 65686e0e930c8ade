"""LINEAR, EMBED and LOAD of the step processor: the rules C1 to C11 of oracle.py with operands from a state."""

from collections.abc import Iterator

import numpy as np

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.fp32 import Float32, Int64, add, flush, multiply
from elastix.compiler.numbers.functions import activation
from elastix.compiler.numbers.oracle import (
    Launch,
    group_sum,
    leave_accumulator,
    read_segments,
    row_sum,
    unpack_block,
    weight_values,
)
from elastix.compiler.numbers.step_oracle_state import COLUMNS, Array, Place, Run
from elastix.compiler.processor.step.instructions import Instruction, Maximum, Operation, Target


def launch_of(instruction: Instruction) -> Launch:
    """The weights that LINEAR or EMBED names, as oracle.py wants them; x, y and tokens are not used."""
    names = ("bits", "scale_format", "row_blocks", "tiles", "group_tiles", "c9", "weights", "channel_stride")
    return Launch(
        tokens=1,
        header_words=instruction["header_words"],
        x=0,
        y=0,
        block_beats=instruction["block_beats"],
        **{name: instruction[name] for name in names},
    )


def linear(run: Run, instruction: Instruction) -> None:
    """LINEAR, for every token of the run."""
    launch, state = launch_of(instruction), run.state
    columns = COLUMNS * launch.tiles
    x: list[Int64] = []
    e: list[int] = []
    for token in range(len(run.token_ids)):
        at = token * run.parameters.max_tiles * COLUMNS
        x.append(state.read(Place.ACTIVATIONS, at, columns).astype(np.int64))
        e.append(int(state.read(Place.ACTIVATION_EXPONENT, token, 1)[0]))
    for token, y in enumerate(_products(run, launch, x, e)):
        _drain(run, instruction, token, y)


def _products(run: Run, launch: Launch, x: list[Int64], e: list[int]) -> Iterator[Float32]:
    """C1 to C9: the results of each token, fp32 [row_blocks · R]."""
    p, beat_bytes = run.parameters, run.parameters.beat // 8
    for channel in range(p.channels):
        blocks = len(range(channel, launch.row_blocks, p.channels))
        size = (blocks * launch.block_beats + 1) * beat_bytes
        run.state.read(Place.MEMORY, launch.weights + channel * launch.channel_stride, size)
    segments = read_segments(run.state.arrays[Place.MEMORY], launch, p)
    y = np.zeros((len(x), launch.row_blocks, p.rows), np.float32)
    width = COLUMNS * launch.group_tiles
    for i in range(launch.row_blocks):
        block = unpack_block(segments[i % p.channels][i // p.channels], launch)
        for token, row in enumerate(x):
            d = np.zeros_like(block.s)
            for g in range(launch.groups):
                here = slice(g * width, (g + 1) * width)
                d[:, g] = group_sum(block.q[:, here], row[here], block.z16[:, g])
            y[token, i] = leave_accumulator(row_sum(block.s, d), block.rowscale, e[token], run.flags)
    yield from y.reshape(len(x), -1)


def _drain(run: Run, instruction: Instruction, token: int, y: Float32) -> None:
    """The results of one token: their operation, their maxima, and where they go."""
    operation, target = Operation(instruction["operation"]), Target(instruction["target"])
    stride, rows = token * instruction["lane_stride"], instruction["rows"]
    if rows > len(y):
        raise ElastixError(f"linear: {rows} rows that count", wanted=f"at most {len(y)}, those that there are")

    def second(place: Place, first: int) -> Array:
        counted = run.state.read(place, first, rows)
        return np.concatenate([counted, run.state.read(place, first + rows, len(y) - rows, padding=True)])

    if operation is Operation.ADD:
        y = add(y, second(Place.VECTOR, instruction["from"] + stride), run.flags)
    elif operation is Operation.MULTIPLY:
        y = multiply(y, second(Place.VECTOR, instruction["from"] + stride), run.flags)
    elif operation is Operation.ADD_CONSTANT:
        y = add(y, second(Place.CONSTANT, instruction["from"]), run.flags)
    elif operation is Operation.ACTIVATE:
        y = activation(run.parameters.activations[0], y, run.flags)

    if target is Target.MEMORY:
        run.state.write(Place.MEMORY, instruction["to"] + stride, y.astype("<f4").view(np.uint8))
    else:
        run.state.write(Place.VECTOR, instruction["to"] + stride, y)
    run.track(Maximum(instruction["maximum"]), instruction["max_register"] + token, y[:rows])
    if instruction["arg_max"]:
        largest = int(y[:rows].argmax()) if rows else 0  # the first among equals; −0 and +0 are equal
        run.state.write(Place.ARG_MAX, token, np.array([largest], np.int64))


def embed(run: Run, instruction: Instruction, lane: int) -> None:
    """EMBED: one row of a packed table, of which one row block is read."""
    p, launch, row = run.parameters, launch_of(instruction), run.token_ids[lane]
    block_index, place = divmod(row, p.rows)
    if block_index >= launch.row_blocks:
        raise ElastixError(f"token {row}", wanted=f"below {launch.row_blocks * p.rows}, the rows of the table")
    size = launch.block_beats * p.beat // 8
    at = launch.weights + block_index % p.channels * launch.channel_stride + block_index // p.channels * size
    beats = run.state.read(Place.MEMORY, at, size).tobytes()
    block = unpack_block(np.frombuffer(beats, "<u4").reshape(launch.block_beats, p.rows), launch)
    group_of = np.arange(COLUMNS * launch.tiles) // (COLUMNS * launch.group_tiles)
    one = slice(place, place + 1)
    s, z16 = block.s[one, group_of], block.z16[one, group_of]
    run.state.write(
        Place.VECTOR, instruction["to"], weight_values(block.q[one], s, z16, block.rowscale[one], run.flags)[0]
    )


def load(run: Run, instruction: Instruction, lane: int) -> None:
    """LOAD: fp32 values of a position, flushed (C5)."""
    at = instruction["address"] + (run.position + lane) * instruction["stride"]
    values = np.frombuffer(run.state.read(Place.MEMORY, at, 4 * instruction["count"]).tobytes(), "<f4")
    place = Place.CONSTANT if instruction["target"] == Target.CONSTANT else Place.VECTOR
    run.state.write(place, instruction["to"], flush(values))
