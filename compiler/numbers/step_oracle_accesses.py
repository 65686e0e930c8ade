"""What an instruction reads and writes, from its fields, the number of tokens and the position alone."""

from collections.abc import Iterator

from elastix.compiler.numbers.step_oracle_state import COLUMNS, Place, Span
from elastix.compiler.processor.step.instructions import Instruction, Maximum, Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import StepParameters

Touched = tuple[list[Span], list[Span]]
_WITH_C = (Operation.ADD_CONSTANT, Operation.NORMALIZE, Operation.NORMALIZE_SHIFT, Operation.ROTATE)
_WITH_D = (Operation.NORMALIZE_SHIFT, Operation.ROTATE)
_WITH_B = (Operation.ADD, Operation.MULTIPLY)
_WITH_SCALAR = (
    Operation.SCALE_BY,
    Operation.SUBTRACT,
    Operation.NORMALIZE,
    Operation.NORMALIZE_SHIFT,
    Operation.EXPONENTIAL,
    Operation.SQUARES,
    Operation.MEAN,
    Operation.QUANTIZE,
)
_TO_RESULT_REGISTER = (Operation.EXPONENTIAL, Operation.SQUARES, Operation.MEAN)


def accesses(instruction: Instruction, parameters: StepParameters, tokens: int, position: int) -> Touched:
    """Spans read and spans written in a run of `tokens` tokens at `position`; none for END and skipped lanes."""
    opcode = instruction.opcode
    if opcode is Opcode.END or (opcode is not Opcode.LINEAR and instruction["lane"] >= tokens):
        return [], []
    match opcode:
        case Opcode.LINEAR:
            found = _linear(instruction, parameters, tokens)
        case Opcode.VECTOR:
            found = _vector(instruction, parameters, position)
        case Opcode.SCORES:
            found = _scores(instruction, parameters, position)
        case Opcode.VALUES:
            found = _values(instruction, parameters, position)
        case Opcode.LOAD:
            found = _load(instruction, position)
        case _:
            found = _embed(instruction, parameters)
    reads: list[Span] = []
    writes: list[Span] = []
    for written, span in found:
        if span.count > 0:
            (writes if written else reads).append(span)
    return reads, writes


Found = Iterator[tuple[bool, Span]]


def _read(place: Place, first: int, count: int, padding: bool = False) -> tuple[bool, Span]:
    return False, Span(place, first, count, padding)


def _written(place: Place, first: int, count: int) -> tuple[bool, Span]:
    return True, Span(place, first, count)


def _tracked(instruction: Instruction, register: int) -> Found:
    if instruction["maximum"] == Maximum.MAGNITUDE_KEEP:
        yield False, Span(Place.SCALAR, register, 1, tracked=True)
    if instruction["maximum"] != Maximum.NONE:
        yield True, Span(Place.SCALAR, register, 1, tracked=True)


def _linear(instruction: Instruction, p: StepParameters, tokens: int) -> Found:
    for channel in range(p.channels):
        blocks = len(range(channel, instruction["row_blocks"], p.channels))
        at = instruction["weights"] + channel * instruction["channel_stride"]
        yield _read(Place.MEMORY, at, (blocks * instruction["block_beats"] + 1) * p.beat // 8)
    rows, all_rows = instruction["rows"], instruction["row_blocks"] * p.rows
    for token in range(tokens):
        yield _read(Place.ACTIVATIONS, token * p.max_tiles * COLUMNS, instruction["tiles"] * COLUMNS)
        yield _read(Place.ACTIVATION_EXPONENT, token, 1)
        stride = token * instruction["lane_stride"]
        second = None
        if instruction["operation"] in _WITH_B:
            second = Place.VECTOR, instruction["from"] + stride
        elif instruction["operation"] == Operation.ADD_CONSTANT:
            second = Place.CONSTANT, instruction["from"]
        if second is not None:
            yield _read(*second, rows)
            yield _read(second[0], second[1] + rows, all_rows - rows, padding=True)
        to = instruction["to"] + stride
        if instruction["target"] == Target.MEMORY:
            yield _written(Place.MEMORY, to, 4 * all_rows)
        else:
            yield _written(Place.VECTOR, to, all_rows)
        yield from _tracked(instruction, instruction["max_register"] + token)
        if instruction["arg_max"]:
            yield _written(Place.ARG_MAX, token, 1)


def _vector(instruction: Instruction, p: StepParameters, position: int) -> Found:
    operation, lane = Operation(instruction["operation"]), instruction["lane"]
    n = instruction["count"] + (position + lane if instruction["to_position"] else 0)
    repeated = min(n, instruction["period"] or n)
    yield _read(Place.VECTOR, instruction["a"], n)
    if operation in _WITH_B:
        yield _read(Place.VECTOR, instruction["b"], n)
    if operation in _WITH_C:
        yield _read(Place.CONSTANT, instruction["c"], repeated)
    if operation in _WITH_D:
        yield _read(Place.CONSTANT, instruction["d"], repeated)
    if operation in _WITH_SCALAR:
        yield _read(Place.SCALAR, instruction["scalar_register"], 1)
    if operation is Operation.EXPONENTIAL:
        yield _read(Place.VALUE_SCALE, instruction["bank"] * p.max_context, n)
    if operation in _TO_RESULT_REGISTER:
        yield _written(Place.SCALAR, instruction["result_register"], 1)
    if operation is Operation.QUANTIZE:
        yield from _quantize(instruction, p, position + lane, n)
    elif operation not in (Operation.SQUARES, Operation.MEAN):
        if instruction["target"] == Target.VECTOR:
            yield _written(Place.VECTOR, instruction["to"], n)
        elif instruction["target"] == Target.CONSTANT:
            yield _written(Place.CONSTANT, instruction["to"], n)
        yield from _tracked(instruction, instruction["max_register"])


def _quantize(instruction: Instruction, p: StepParameters, row: int, n: int) -> Found:
    lane, bank, head = instruction["lane"], instruction["bank"], instruction["head"]
    match Target(instruction["target"]):
        case Target.ACTIVATIONS:
            end = -(-(instruction["to"] + n) // COLUMNS) * COLUMNS
            at = lane * p.max_tiles * COLUMNS + instruction["to"]
            yield _written(Place.ACTIVATIONS, at, end - instruction["to"])
            yield _written(Place.ACTIVATION_EXPONENT, lane, 1)
        case Target.QUERY:
            yield _written(Place.QUERY, bank * p.group * p.head_dim, n)
            yield _written(Place.QUERY_EXPONENT, bank, 1)
        case Target.PROBABILITY:
            yield _written(Place.PROBABILITY, (bank * p.group + head) * p.max_context, n)
            yield _written(Place.PROBABILITY_EXPONENT, bank, 1)
        case target:
            codes, scale = _current(target is Target.KEY)
            yield _written(codes, (lane * p.kv_heads + head) * p.head_dim, n)
            yield _written(scale, lane * p.kv_heads + head, 1)
            channel, row = p.row_place(row)
            at = instruction["rows"] + 64 * instruction["channel_stride"] * channel
            yield _written(Place.MEMORY, at + row * p.row_bytes, p.row_bytes)
            yield _written(Place.MEMORY, at + instruction["scales"] + 2 * row, 2)


def _current(key: bool) -> tuple[Place, Place]:
    if key:
        return Place.CURRENT_KEY, Place.CURRENT_KEY_SCALE
    return Place.CURRENT_VALUE, Place.CURRENT_VALUE_SCALE


def _cached(instruction: Instruction, p: StepParameters, position: int, address: int, size: int) -> Found:
    """Rows of `size` bytes on all channels that they are dealt to."""
    for channel in range(p.attention_channels):
        at = address + 64 * instruction["channel_stride"] * channel
        yield _read(Place.MEMORY, at, p.rows_on(channel, position) * size)


def _cached_codes(instruction: Instruction, p: StepParameters, position: int, address: int, current: Place) -> Found:
    yield from _cached(instruction, p, position, address, p.row_bytes)
    for token in range(instruction["lane"] + 1):
        yield _read(current, (token * p.kv_heads + instruction["head"]) * p.head_dim, p.head_dim)


def _cached_scales(instruction: Instruction, p: StepParameters, position: int, address: int, current: Place) -> Found:
    yield from _cached(instruction, p, position, address, 2)
    for token in range(instruction["lane"] + 1):
        yield _read(current, token * p.kv_heads + instruction["head"], 1)


def _scores(instruction: Instruction, p: StepParameters, position: int) -> Found:
    bank, n = instruction["bank"], position + instruction["lane"] + 1
    keys, values = instruction["keys"], instruction["values"]
    yield _read(Place.QUERY, bank * p.group * p.head_dim, p.group * p.head_dim)
    yield _read(Place.QUERY_EXPONENT, bank, 1)
    yield from _cached_codes(instruction, p, position, keys, Place.CURRENT_KEY)
    yield from _cached_scales(instruction, p, position, keys + instruction["key_scales"], Place.CURRENT_KEY_SCALE)
    yield from _cached_scales(instruction, p, position, values + instruction["value_scales"], Place.CURRENT_VALUE_SCALE)
    yield _written(Place.VALUE_SCALE, bank * p.max_context, n)
    for j in range(p.group):
        yield _written(Place.VECTOR, instruction["to"] + j * instruction["stride"], n)
        yield _written(Place.SCALAR, instruction["max_register"] + j, 1)


def _values(instruction: Instruction, p: StepParameters, position: int) -> Found:
    bank, n = instruction["bank"], position + instruction["lane"] + 1
    yield from _cached_codes(instruction, p, position, instruction["values"], Place.CURRENT_VALUE)
    yield _read(Place.PROBABILITY_EXPONENT, bank, 1)
    for j in range(p.group):
        yield _read(Place.PROBABILITY, (bank * p.group + j) * p.max_context, n)
        yield _written(Place.VECTOR, instruction["to"] + j * p.head_dim, p.head_dim)


def _load(instruction: Instruction, position: int) -> Found:
    at = instruction["address"] + (position + instruction["lane"]) * instruction["stride"]
    yield _read(Place.MEMORY, at, 4 * instruction["count"])
    place = Place.CONSTANT if instruction["target"] == Target.CONSTANT else Place.VECTOR
    yield _written(place, instruction["to"], instruction["count"])


def _embed(instruction: Instruction, p: StepParameters) -> Found:
    """Of memory the whole table: which row it is comes with the token."""
    for channel in range(p.channels):
        blocks = len(range(channel, instruction["row_blocks"], p.channels))
        at = instruction["weights"] + channel * instruction["channel_stride"]
        yield _read(Place.MEMORY, at, blocks * instruction["block_beats"] * p.beat // 8)
    yield _written(Place.VECTOR, instruction["to"], instruction["tiles"] * COLUMNS)
