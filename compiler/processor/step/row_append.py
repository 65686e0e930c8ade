"""Rows of keys and values on their way to memory: the run's own rows, read again and sent as beats."""

from dataclasses import asdict
from enum import IntEnum

from elastix.compiler.circuit import Memory, Module, Signal, concat, mux
from elastix.compiler.processor.axi import ADDRESS_BITS, offset_bits
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.step.attention_memory import LATENCY
from elastix.compiler.processor.step.attention_ports import (
    CODE_BITS,
    SCALE_BITS,
    STRIDE_BITS,
    channel_bits,
    chunks_of,
    lanes_of,
)
from elastix.compiler.processor.step.current_rows import slot_bits
from elastix.compiler.processor.step.dealt_rows import DealtRow
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters


class State(IntEnum):
    """IDLE: nothing waits. CHANNEL: to the rows of one. PLACE, SCALE_PLACE: addresses are added up. READ: codes of a
    beat. BEAT: it waits to be taken. SCALE: the scale's beat is made. SCALE_BEAT: it waits."""

    IDLE = 0
    PLACE = 1
    SCALE_PLACE = 2
    READ = 3
    BEAT = 4
    SCALE = 5
    SCALE_BEAT = 6
    CHANNEL = 7


def row_append(p: StepParameters) -> Module:
    """Sends each row that was pushed: its beats, padding 0, then the two bytes of its scale.

    `push` takes a row's place in the current rows (`slot`), its `row` in the cache, and where row 0 and, from there,
    its scale lie (`rows`, `scales`: bytes, whole beats; of several channels,
    channel 0's, and `channel_stride`). There is room for as many rows as there are current ones.
    While `may_read` is 1 the current rows answer: `codes` two cycles after `read_chunk`, `scale` at once, of
    `read_slot`. row_*: to the row writer. `waiting` (level): a row was not sent yet; `may_read` may fall when it is 0.
    """
    m = Module("row_append", row_append.__doc__, asdict(p))
    clear, push, may_read = m.input("clear"), m.input("push"), m.input("may_read")
    offset, slots = offset_bits(p.beat), slot_bits(p)
    several = p.attention_channels > 1
    fields = {"slot": slots, "row": ELEMENT_BITS, "rows": ADDRESS_BITS, "scales": 32}
    stride = [m.input("channel_stride", STRIDE_BITS)] if several else []
    given = {name: m.input(name, width) for name, width in fields.items()}
    for name in ("rows", "scales"):
        m.unused(given[name])
    queued = [*stride, given["slot"], given["row"], given["rows"][offset:40], given["scales"][offset:32]]
    queue = Memory(m, "queue", 1 << slots, sum(each.width for each in queued), latency=0)
    tail, count = m.state("tail", slots, reset=0), m.state("count", slots + 1, reset=0)
    head, done = m.state("head", slots, reset=0), m.wire("done", 1)
    queue.write(tail, concat(*queued), push)
    tail.next(mux(clear, 0, tail + 1), enable=clear | push)
    leaves = m.named("leaves", clear | done)
    head.next(mux(clear, 0, head + 1), enable=leaves)
    count.next(mux(clear, 0, count + push.zext(slots + 1) - done.zext(slots + 1)))
    waiting = m.named("some_wait", count.any())
    entry = queue.read(head)
    low, scales = 32 - offset, m.named("scales_beat", entry[0 : 32 - offset])
    rows = m.named("rows_beat", entry[low : low + ADDRESS_BITS - offset])
    row = m.named("row_number", entry[low + rows.width : low + rows.width + ELEMENT_BITS])
    slots_at = low + rows.width + ELEMENT_BITS
    slot = m.named("slot_number", entry[slots_at : slots_at + slots])

    state = m.state("state", 3, reset=State.IDLE)
    at = {which: m.named(f"in_{which.name.lower()}", state == which) for which in State}
    per_beat = min(p.beat // 8, p.head_dim) // lanes_of(p)
    step = m.state("step", index_bits(per_beat + LATENCY), reset=0)
    step.next(mux(at[State.READ], step + 1, 0))
    read = m.named("beat_read", at[State.READ] & (step == per_beat + LATENCY - 1))
    ready = m.input("row_ready")
    sent = m.named("beat_sent", at[State.BEAT] & ready)
    done.assign(at[State.SCALE_BEAT] & ready)
    last_beat, read_chunk = _beats(m, p, at[State.PLACE], sent, step)

    def to(which: State) -> Signal:
        return m.constant(which, 3)

    begins, there = m.named("begins", at[State.IDLE] & waiting & may_read), m.constant(1, 1)
    if several:
        rows, row, there = _channel(m, p, begins, at[State.CHANNEL], rows, row, entry[slots_at + slots : entry.width])
    steps = (
        (begins, to(State.CHANNEL) if several else to(State.PLACE)),
        (at[State.CHANNEL] & there, to(State.PLACE)),
        (at[State.PLACE], to(State.READ)),
        (read, to(State.BEAT)),
        (sent, mux(last_beat, to(State.SCALE_PLACE), to(State.READ))),
        (at[State.SCALE_PLACE], to(State.SCALE)),
        (at[State.SCALE], to(State.SCALE_BEAT)),
        (leaves, to(State.IDLE)),
    )
    following: Signal = state
    for condition, target in steps:
        following = mux(condition, target, following)
    state.next(following)

    address = m.state("address", rows.width)
    per_scale_beat = (p.beat // SCALE_BITS).bit_length() - 1
    base = mux(at[State.PLACE] | at[State.SCALE_PLACE], rows, address)
    wide = row.zext(rows.width)
    added = mux(at[State.PLACE], wide << p.row_beats.bit_length() - 1, 1)
    added = mux(at[State.SCALE_PLACE], scales.zext(rows.width), added)
    added = m.named("added", mux(at[State.SCALE], wide >> per_scale_beat, added))
    moves = at[State.PLACE] | sent | at[State.SCALE_PLACE] | at[State.SCALE]
    address.next(base + added, enable=moves)
    chosen = m.named("bytes_chosen", at[State.PLACE] | at[State.SCALE])
    strobes = [
        m.register(f"strobe_{k}", at[State.PLACE] | (row[0:per_scale_beat] == k), enable=chosen)
        for k in range(p.beat // SCALE_BITS)
    ]

    m.output("waiting", waiting)
    m.output("read_slot", slot)
    m.output("read_chunk", read_chunk)
    m.output("row_valid", at[State.BEAT] | at[State.SCALE_BEAT])
    m.output("row_beat", address)
    m.output("row_data", _data(m, p, at, step, per_beat))
    m.output("row_strobe", concat(*(strobe.replicate(2) for strobe in reversed(strobes))))
    return m


def _channel(
    m: Module, p: StepParameters, begins: Signal, searching: Signal, rows: Signal, row: Signal, stride: Signal
) -> tuple[Signal, Signal, Signal]:
    """Where the rows of the row's channel begin, its place among them, and whether it is there: from channel 0 on, one
    a cycle while `searching`."""
    dealt = DealtRow.of(p, row)
    place = m.named("row_of_channel", dealt.on_channel.zext(row.width))
    to_go, here = m.state("channels_to_go", channel_bits(p)), m.state("rows_here", rows.width)
    there = m.named("channel_there", ~to_go.any())
    in_beats = m.named("stride_beats", stride.zext(rows.width) << (6 - offset_bits(p.beat)))
    to_go.next(mux(begins, dealt.channel, to_go - 1), enable=begins | (searching & ~there))
    here.next(mux(begins, rows, here + in_beats), enable=begins | (searching & ~there))
    return here, place, there


def _beats(m: Module, p: StepParameters, place: Signal, sent: Signal, step: Signal) -> tuple[Signal, Signal]:
    """Whether the beat is the row's last, and the chunk to be read."""
    chunk_bits = index_bits(chunks_of(p))
    if p.row_beats == 1:
        return m.constant(1, 1), step[0:chunk_bits]
    beat = m.state("beat_of_row", index_bits(p.row_beats))
    beat.next(mux(place, 0, beat + 1), enable=place | sent)
    inside = chunk_bits - beat.width
    return m.named("last_beat", beat == p.row_beats - 1), concat(beat, step[0:inside]) if inside else beat


def _data(m: Module, p: StepParameters, at: dict[State, Signal], step: Signal, per_beat: int) -> Signal:
    """The beat: codes part by part and zeros above them, or the scale at every place it might have."""
    width = CODE_BITS * lanes_of(p)
    codes, scale = m.input("codes", width), m.input("scale", SCALE_BITS)
    scales = m.named("scales_beat_data", scale.replicate(p.beat // SCALE_BITS))
    parts = list[Signal]()
    for part in range(per_beat):
        comes = at[State.SCALE] | (at[State.READ] & (step == part + LATENCY))
        value = mux(at[State.SCALE], scales[width * part : width * (part + 1)], codes)
        parts.append(m.register(f"part_{part}", value, enable=comes))
    codes_end = width * per_beat
    if codes_end < p.beat:
        padding = mux(at[State.SCALE], scales[codes_end : p.beat], 0)
        parts.append(m.register("padding", padding, enable=at[State.SCALE] | at[State.PLACE]))
    return concat(*reversed(parts))
