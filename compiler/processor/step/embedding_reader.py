"""EMBED: one row of a packed table, read out of its bit planes (C11), an element a cycle."""

from collections.abc import Mapping
from dataclasses import asdict
from enum import IntEnum

from elastix.compiler.circuit import Memory, Module, Signal, concat, mux, select
from elastix.compiler.numbers.formats import SCALE_FORMATS, ScaleFormat
from elastix.compiler.processor.arithmetic.fp32_multiply import LATENCY as MULTIPLY
from elastix.compiler.processor.arithmetic.fp32_multiply import fp32_multiply
from elastix.compiler.processor.arithmetic.integer_to_fp32 import LATENCY as CONVERT
from elastix.compiler.processor.arithmetic.integer_to_fp32 import integer_to_fp32
from elastix.compiler.processor.fifo import fifo
from elastix.compiler.processor.parameters import COLUMNS, MAX_BITS, MAX_GROUP_TILES, index_bits
from elastix.compiler.processor.pipeline import delay_event
from elastix.compiler.processor.step.fields import INSTRUCTION_BITS, field
from elastix.compiler.processor.step.instructions import Opcode
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters
from elastix.compiler.processor.step.word_lanes import word_lanes

_INTEGER_BITS = 25
_PRODUCT = 2
"""Cycles from a code to s · (16q − Z)."""
_WAITING = 32
"""Elements that find a place behind the pipeline."""


class State(IntEnum):
    """HEADER: words of the row's header come. ENTRY: the group's entry is looked up. ZERO: its zero point is worked
    out. PLANES: the group's planes come. TILE: the planes of a tile are put side by side. EMIT: its elements leave.
    FLUSH: until the last is written."""

    IDLE = 0
    HEADER = 1
    ENTRY = 2
    ZERO = 3
    PLANES = 4
    TILE = 5
    EMIT = 6
    FLUSH = 7


def embedding_reader(p: StepParameters) -> Module:
    """start (pulse), instruction, slice: an EMBED begins, of this row of its block. in_*: the block's beats; out_*:
    words with one element each, as load_* of the loader. done (level, from the last word to the next start).
    """
    m = Module("embedding_reader", embedding_reader.__doc__, asdict(p))
    clear, start = m.input("clear"), m.input("start")
    instruction = m.input("instruction", INSTRUCTION_BITS)
    in_valid, in_data, out_ready = m.input("in_valid"), m.input("in_data", p.beat), m.input("out_ready")
    q = {
        name: m.register(f"{name}_q", field(instruction, Opcode.EMBED, name)[0:width], enable=start)
        for name, width in (("bits", 4), ("scale_format", 2), ("c9", 9), ("group_tiles", 4))
    }
    given_bits = field(instruction, Opcode.EMBED, "bits")[0:4]
    last_plane_of = m.register("last_plane_of", given_bits - 1, enable=start)
    row_given = m.input("slice", 4)
    m.unused(instruction)
    m.unused(row_given)
    row = m.register("slice_q", row_given[0 : index_bits(p.rows)], enable=start)
    chosen = m.named("word_of_row", select(row, _slices(in_data, p.rows)))

    state = m.state("state", 3, reset=State.IDLE)
    at = {each: m.state(f"in_{each.name.lower()}", 1, reset=int(each is State.IDLE)) for each in State}
    ready = m.named("ready", at[State.HEADER] | at[State.PLANES])
    m.output("in_ready", ready)
    taken = m.named("taken", ready & in_valid)

    # Counting: header words; then tiles within planes; then planes within a tile; then columns.
    count, plane = m.state("count", 16), m.state("plane", 4)
    tiles_left = m.state("tiles_left", 16)
    # What is known of a group is looked up in ENTRY and ZERO, so these may be registers.
    short = m.named("short_group", tiles_left < q["group_tiles"].zext(16))
    group = m.register("tiles_here", mux(short, tiles_left[0:4], q["group_tiles"]))
    last_tile_of, last_group = (
        m.register("last_tile_of", group - 1),
        m.register("last_group", tiles_left == group.zext(16)),
    )
    last_tile = m.named("last_tile", count[0:4] == last_tile_of)
    header_taken = m.named("header_taken", taken & at[State.HEADER])
    header_words = field(instruction, Opcode.EMBED, "header_words")
    header_left, header_last = m.state("header_left", 16), m.state("header_last", 1)
    header_left.next(mux(start, header_words, header_left - 1), enable=start | header_taken)
    header_last.next(mux(start, header_words == 1, header_left == 2), enable=start | header_taken)
    header_end = m.named("header_end", header_taken & header_last)
    plane_end = m.named("plane_end", taken & at[State.PLANES] & last_tile)
    planes_end = m.named("planes_end", plane_end & (plane == last_plane_of))
    tile_ready = m.named("tile_ready", at[State.TILE] & (plane == q["bits"]))
    room = m.wire("room", 1)
    emit = m.named("emit", at[State.EMIT] & room)
    column = m.state("column", 5)
    column.next(mux(emit, column + 1, 0), enable=emit | ~at[State.EMIT])
    tile_end = m.named("tile_end", emit & (column == COLUMNS - 1))
    group_end = m.named("group_end", tile_end & last_tile)
    row_end = m.named("row_end", group_end & last_group)
    tiles_left.next(
        mux(start, field(instruction, Opcode.EMBED, "tiles"), tiles_left - group.zext(16)), enable=start | group_end
    )
    count.next(
        mux(start | header_end | plane_end | group_end, 0, count + 1), enable=start | taken | tile_end | group_end
    )
    plane.next(
        mux(at[State.TILE], plane + 1, mux(plane_end & ~planes_end, plane + 1, 0)),
        enable=start | plane_end | at[State.TILE] | at[State.EMIT],
    )
    empty = m.wire("all_written", 1)
    following: Signal = state
    for condition, target in (
        (at[State.FLUSH] & empty, State.IDLE),
        (group_end, State.ENTRY),
        (tile_end & ~group_end, State.TILE),
        (row_end, State.FLUSH),
        (tile_ready, State.EMIT),
        (planes_end, State.TILE),
        (at[State.ZERO], State.PLANES),
        (at[State.ENTRY], State.ZERO),
        (header_end, State.ENTRY),
        (start, State.HEADER),
        (clear, State.IDLE),
    ):
        following = mux(condition, m.constant(target, 3), following)
    # A row's last group ends it: that wins over the next group's entry.
    following = m.named("next_state", mux(row_end & ~clear, m.constant(State.FLUSH, 3), following))
    state.next(following)
    for each, here in at.items():  # registers, since so much hangs on them
        here.next(following == each)

    scale, zero, row_scale = _entries(m, p, q, chosen, header_taken, start, count, header_end, group_end, at)
    planes = _planes(m, q, chosen, taken & at[State.PLANES], count, plane, at, emit)

    # s · (16q − Z), exact, to fp32, times the row scale.
    code = m.named("code", concat(*reversed([each[0] for each in planes])))
    level = m.register("level", concat(code, m.constant(0, 4)).zext(13) - zero)
    product = m.register("product", level.sext(_INTEGER_BITS) * m.register("scale_1", scale).zext(_INTEGER_BITS))
    value = m.instance("to_float", integer_to_fp32(_INTEGER_BITS, signed=True), value=product)["y"]
    scaled = m.instance("times_row_scale", fp32_multiply(), a=value, b=concat(row_scale, m.constant(0, 16)))
    come = delay_event(m, "element", emit, _PRODUCT + CONVERT + MULTIPLY, clear | start)[-1]
    m.output("overflow", scaled["overflow"] & come)
    words = m.instance(
        "waiting", fifo(_WAITING, 32), clear=clear | start, push=come, push_data=scaled["y"], ready=out_ready
    )
    written = m.named("written", words["valid"] & out_ready)
    promised = m.state("promised", index_bits(_WAITING) + 1, reset=0)
    promised.next(mux(clear | start, 0, promised + emit.zext(promised.width) - written.zext(promised.width)))
    room.assign(~promised[-1])
    empty.assign(promised == 0)

    to = m.state("to", ELEMENT_BITS)
    to.next(mux(start, field(instruction, Opcode.EMBED, "to"), to + 1), enable=start | written)
    data, mask = word_lanes(m, p, 1, to, words["data"], m.constant(1, 1))
    m.output("out_valid", words["valid"])
    m.output("out_target", m.constant(0, 1))
    m.output("out_to", to & ((1 << ELEMENT_BITS) - p.vector_lanes))
    m.output("out_mask", mask)
    m.output("out_data", data)
    m.output("done", at[State.IDLE] & ~start)
    return m


def _slices(data: Signal, rows: int) -> list[Signal]:
    return [data[32 * r : 32 * r + 32] for r in range(rows)]


def _entries(
    m: Module,
    p: StepParameters,
    q: dict[str, Signal],
    word: Signal,
    header: Signal,
    start: Signal,
    count: Signal,
    header_end: Signal,
    group_end: Signal,
    at: Mapping[State, Signal],
) -> tuple[Signal, Signal, Signal]:
    """The group's s and Z (13 bits), and the row's scale. An entry word is shifted down as its entries are used."""
    bits = index_bits(p.max_header_words)
    memory = Memory(m, "header", p.max_header_words, 32)
    memory.write(count[0:bits], word, header)
    at_first = m.state("at_first_word", 1)
    at_first.next(start, enable=start | header)
    first_word = m.named("first_word", header & at_first)
    row_scale = m.register("row_scale", word[0:16], enable=first_word)
    entries, left = m.state("entries", 32), m.state("entries_left", 3)
    next_word = m.state("next_word", bits)
    form = q["scale_format"]
    first = select(form, [m.constant(each.first, 3) for each in _formats()])
    per_word = select(form, [m.constant(each.per_word, 3) for each in _formats()])
    shifted = select(form, [entries >> each.entry_bits for each in _formats()])
    used_up = m.named("used_up", at[State.ENTRY] & (left == 0))
    entries.next(
        mux(first_word, concat(m.constant(0, 16), word[16:32]), mux(used_up, memory.read(next_word), shifted)),
        enable=first_word | used_up | group_end,
    )
    left.next(mux(first_word, first, mux(used_up, per_word, left - 1)), enable=first_word | used_up | group_end)
    next_word.next(mux(first_word, 1, next_word + 1), enable=first_word | used_up)

    own_zero = m.named("own_zero", form == 2)
    s6 = m.named("six_bits", form == 1)
    scale = m.register("scale", mux(s6, entries[0:6].zext(8), entries[0:8]), enable=at[State.ZERO])
    nine = mux(own_zero, concat(entries[8:16], m.constant(0, 1)), q["c9"])
    shift = m.constant(MAX_BITS, 4) - q["bits"]
    moved = concat(nine, m.constant(0, 3)).zext(12) >> shift.zext(12)
    zero = m.register("zero_point", mux(own_zero, moved, moved & 0xFF8).zext(13), enable=at[State.ZERO])
    return scale, zero, row_scale


def _formats() -> list[ScaleFormat]:
    """By the two bits of the scale format; the fourth is none."""
    return [*SCALE_FORMATS, SCALE_FORMATS[-1]]


def _planes(
    m: Module,
    q: dict[str, Signal],
    word: Signal,
    taken: Signal,
    count: Signal,
    plane: Signal,
    at: Mapping[State, Signal],
    emit: Signal,
) -> list[Signal]:
    """The eight planes of a tile side by side, the lowest first, shifted a column down with every element."""
    memory = Memory(m, "planes", MAX_GROUP_TILES * MAX_BITS, 32)
    memory.write(concat(count[0:3], plane[0:3]), word, taken)
    found = memory.read(concat(count[0:3], plane[0:3]))
    # A plane is there a cycle after it was asked for, the last in the cycle in which TILE ends.
    fill = m.register("fill", at[State.TILE] & (plane != q["bits"]), reset=0)
    begin = m.register("begin_tile", plane == 0)
    planes = [m.state(f"plane_{each}", 32) for each in range(MAX_BITS)]
    for each, register in enumerate(planes):
        below = planes[each - 1] if each else found
        filled = below if each == 0 else mux(begin, 0, below)
        register.next(mux(fill, filled, register >> 1), enable=fill | emit)
    return list(planes)
