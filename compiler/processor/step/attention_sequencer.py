"""What the attention engine does in each cycle of SCORES and VALUES."""

from dataclasses import asdict
from enum import IntEnum
from functools import cache

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.step.attention_ports import (
    LANE_BITS,
    SCALE_BITS,
    channel_bits,
    chunks_of,
    lane_place,
    lanes_of,
    row_bits,
    scales_at_once,
)
from elastix.compiler.processor.step.parameters import StepParameters


class State(IntEnum):
    """SETUP: what follows from the instruction. KEY_SCALES, VALUE_SCALES: from the stream. OWN_SCALES: those of the
    run's own rows. ROWS: memory's, then the run's own."""

    IDLE = 0
    SETUP = 1
    KEY_SCALES = 2
    VALUE_SCALES = 3
    OWN_SCALES = 4
    ROWS = 5


@cache
def attention_sequencer(p: StepParameters) -> Module:
    """Carries out an instruction that begins with `begun` (pulse), while `idle` is 1; `values`: it is VALUES.

    last_row, memory_rows, some_memory, has_rows, has_own: of this channel, as attention_deal says. Rows wait while
    `busy` is 1: results of earlier rows go out. `wanted`: bytes or scales of the beat at `valid` would be used;
    `ready`: its last. `scale_write`: scales for the rows from `row` on, of part `scale_part` of the beat, or where
    `own` is 1 the scale of this run's row of token `own_lane` alone; `scale_is_value` of which kind. `issue`: chunk
    `chunk` of row `row`, part `byte_part` of the beat or of token `own_lane`; with it first_row, last_chunk, and
    last_in_word (the row is the last of L, or of all). `reserve`: the words that begin, one a query, need places;
    `room` says that there are. `values_end`: the rows of VALUES are issued; `none`, from the next cycle on: there were
    none. channel, first_position (lowest bits): of several channels, which one this is, and POSITION.
    """
    m = Module("attention_sequencer", attention_sequencer.__doc__, asdict(p))
    clear, begun, is_values = m.input("clear"), m.input("begun"), m.input("is_values")
    bits, several = row_bits(p), p.attention_channels > 1
    valid, room, busy = m.input("valid"), m.input("room"), m.input("busy")
    memory_rows_now = m.input("memory_rows", bits)

    state = m.state("state", 3, reset=State.IDLE)
    at = {which: m.named(f"in_{which.name.lower()}", state == which) for which in State}
    values = m.register("values_q", is_values, enable=begun)
    position = m.register("position_q", m.input("last_row", bits), enable=begun)
    memory_rows = m.register("memory_rows_q", memory_rows_now, enable=begun)
    some_memory, has_rows, has_own = (
        m.register(f"{name}_q", m.input(name), enable=begun) for name in ("some_memory", "has_rows", "has_own")
    )
    last_memory_row = m.register("last_memory_row", memory_rows - 1)

    row = m.state("row_q", bits)
    at_end = m.named("at_end", row == position)
    from_memory = m.state("from_memory_q", 1)
    own_value = m.state("own_value", 1, reset=0)

    # Scales: a beat gives some a cycle; what lies beyond the last row is written too, and over it what follows.
    in_scales = m.named("in_scales", at[State.KEY_SCALES] | at[State.VALUE_SCALES])
    at_once, per_beat = scales_at_once(p), p.beat // SCALE_BITS
    low, high = at_once.bit_length() - 1, per_beat.bit_length() - 1
    last_part = m.named("last_part", row[low:high].all() if low < high else m.constant(1, 1))
    last_beat = row[high:bits] == last_memory_row[high:bits] if high < bits else m.constant(1, 1)
    scale_take = m.named("scale_take", in_scales & valid)
    scales_end = m.named("scales_end", scale_take & last_part & last_beat)
    own_step = m.named("own_step", at[State.OWN_SCALES] & own_value)
    own_end = m.named("own_end", own_step & at_end)
    own_value.next(at[State.OWN_SCALES] & ~own_value & ~clear)

    running = m.named("running", at[State.ROWS] & ~busy)
    # Beside `values`, which much else hangs on: the stream waits for what rows want.
    scoring = m.register("scoring", ~is_values, enable=begun)
    rows = _Rows(m, p, running & has_rows, scoring, row, from_memory, valid, room)
    row_end = rows.row_end
    rows_end = m.named("rows_end", (row_end & at_end) | (running & ~has_rows))
    values_end = m.named("values_end_now", rows_end & values)
    memory_ends = m.named("memory_ends", row_end & (row == last_memory_row))
    from_memory.next(mux(at[State.ROWS], from_memory & ~memory_ends, some_memory))

    # The row where a phase begins is right from its first cycle on.
    value_scales_end = m.named("value_scales_end", at[State.VALUE_SCALES] & scales_end)
    step = mux(in_scales, m.constant(at_once, bits), 1)
    moved = mux(scales_end, mux(at[State.VALUE_SCALES] & has_own, memory_rows, 0), row + step)
    from_zero = m.named("from_zero", at[State.SETUP] | own_end)
    row.next(mux(from_zero, 0, moved), enable=at[State.SETUP] | scale_take | own_step | row_end)
    if several:
        own_lane = _own_lane(m, p, row)
    else:
        own_lane = m.state("own_lane_q", index_bits(p.lanes))
        own_lane_moves = m.named("own_lane_moves", own_step | (row_end & ~from_memory))
        own_lane.next(mux(from_zero, 0, own_lane + 1), enable=at[State.SETUP] | own_lane_moves)

    def to(which: State) -> Signal:
        return m.constant(which, 3)

    after_scales = mux(has_own, to(State.OWN_SCALES), to(State.ROWS))
    after_setup = mux(values, to(State.ROWS), mux(some_memory, to(State.KEY_SCALES), after_scales))
    steps = (
        (begun, to(State.SETUP)),
        (at[State.SETUP], after_setup),
        (at[State.KEY_SCALES] & scales_end, to(State.VALUE_SCALES)),
        (value_scales_end, after_scales),
        (own_end, to(State.ROWS)),
        (rows_end | clear, to(State.IDLE)),
    )
    following: Signal = state
    for condition, target in steps:
        following = mux(condition, target, following)
    state.next(following)

    m.output("idle", at[State.IDLE])
    m.output("values", values)
    m.output("wanted", in_scales | rows.wanted)
    m.output("ready", (in_scales & last_part) | rows.ready)
    m.output("row", row)
    m.output("own_lane", own_lane)
    m.output("scale_write", scale_take | at[State.OWN_SCALES])
    m.output("scale_part", row[low:high] if low < high else m.constant(0, 1))
    m.output("scale_is_value", at[State.VALUE_SCALES] | own_value)
    m.output("own", at[State.OWN_SCALES])
    m.output("issue", rows.issue)
    m.output("chunk", rows.chunk)
    m.output("byte_part", rows.byte_part)
    m.output("from_memory", from_memory)
    m.output("first_row", ~row.any())
    m.output("last_chunk", rows.last_chunk)
    m.output("last_in_word", at_end | rows.last_of_word)
    m.output("reserve", rows.reserve)
    m.output("values_end", values_end)
    m.output("none", m.register("none_q", ~has_rows, enable=values_end))
    return m


def _own_lane(m: Module, p: StepParameters, row: Signal) -> Signal:
    """The token of a row of the run's own: its place in the cache less POSITION, of which the lowest bits tell."""
    place, bits = lane_place(p), index_bits(p.lanes)
    channel, first = m.input("channel", channel_bits(p)), m.input("first_position", LANE_BITS)
    parts = [row[place : row.width], channel] + ([row[0:place]] if place else [])
    whole = concat(*parts)
    for value in (channel, first):  # of few tokens, their lowest bits tell
        m.unused(value)
    if p.lanes == 1:
        return m.constant(0, 1)
    return (whole if whole.width >= bits else whole.zext(bits))[0:bits] - first[0:bits]


class _Rows:
    """The chunks of rows in state ROWS."""

    def __init__(
        self,
        m: Module,
        p: StepParameters,
        running: Signal,
        scoring: Signal,
        row: Signal,
        from_memory: Signal,
        valid: Signal,
        room: Signal,
    ) -> None:
        chunks, lanes = chunks_of(p), p.vector_lanes
        step = m.state("step", index_bits(chunks), reset=0)
        first_step = m.named("first_step", ~step.any())
        self.last_chunk = m.named("last_chunk_now", step == chunks - 1)
        self.last_of_word = row[0 : lanes.bit_length() - 1].all() if lanes > 1 else m.constant(1, 1)
        word_begins = ~row[0 : lanes.bit_length() - 1].any() if lanes > 1 else m.constant(1, 1)
        needs_room = m.named("needs_room", running & scoring & first_step & word_begins)
        free = m.named("free", running & (~needs_room | room))
        here = m.named("bytes_here", ~from_memory | valid)
        self.issue = m.named("issue_now", free & here)
        self.row_end = m.named("row_end", self.issue & self.last_chunk)
        step.next(mux(self.row_end | ~running, 0, step + 1), enable=self.issue | ~running)

        self.chunk = step
        per_beat = min(p.beat // 8, p.head_dim) // lanes_of(p)
        part = step[0 : per_beat.bit_length() - 1] if per_beat > 1 else None
        self.byte_part = part if part is not None else m.constant(0, 1)
        self.wanted = m.named("row_wanted", free & from_memory)
        self.ready = m.named("row_ready", self.wanted & part.all() if part is not None else self.wanted)
        self.reserve = m.named("reserve_now", self.issue & needs_room)
