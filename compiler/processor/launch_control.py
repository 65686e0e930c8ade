"""The course of a run, from the start bit to the last write response, or to the last outstanding transaction."""

from dataclasses import asdict
from enum import IntEnum

from elastix.compiler.circuit import Module, Register, Signal, concat, mux
from elastix.compiler.processor.axi import ADDRESS_BITS, offset_bits
from elastix.compiler.processor.burst_reader import BLOCK_BEATS_BITS
from elastix.compiler.processor.descriptor_fields import (
    DESCRIPTOR_BITS,
    LOOKED_AT_BITS,
    DescriptorFields,
    descriptor_fields,
)
from elastix.compiler.processor.divider import divider
from elastix.compiler.processor.parameters import ProcessorParameters, index_bits

SLOT_BITS = 512


class State(IntEnum):
    """FETCH: the descriptor. SETTLE, CHECK: is it one. LAUNCH: a channel a cycle. RUN: until all is written.
    STOP: ask for no more. DRAIN: until what was asked for has come. CLEAR: the end of a soft reset."""

    IDLE = 0
    FETCH = 1
    SETTLE = 2
    CHECK = 3
    LAUNCH = 4
    RUN = 5
    STOP = 6
    DRAIN = 7
    CLEAR = 8


def launch_control(p: ProcessorParameters) -> Module:
    """Starts everything else. Masters are counted 0 … C−1 (weight readers), C (io reader), C + 1 (writer).

    `start`, `soft_reset` (pulses) from the registers. io_*: request to the io reader, whose beats come back on in_*.
    weight_start: a pulse for each channel's reader, with weight_address (in beats), blocks_<c> and block_beats.
    `launch` (pulse): engines, loader and writer take the fields, which stay until the next start. `checked` (levels): a
    channel's segment has ended with the right CRC; `written`: every result has its response.
    `error` (pulse, while `watching`) stops the run. `ended` (pulse): the run is over, well or not, and all is drained.
    `cancel` (pulse): ask for no more. `clear` (pulse): the end of a soft reset, `resetting` until then.
    A master that makes no progress for the time-out while draining is given up: what it awaits stays owed to it.
    """
    m = Module("launch_control", launch_control.__doc__, asdict(p))
    masters = p.channels + 2
    start, soft_reset, error = m.input("start"), m.input("soft_reset"), m.input("error")
    descriptor = m.input("descriptor", ADDRESS_BITS)
    in_valid, in_data = m.input("in_valid"), m.input("in_data", min(p.beat, LOOKED_AT_BITS))
    checked = m.input("checked", p.channels)
    written = m.input("written")
    idle, stuck = m.input("master_idle", masters), m.input("master_stuck", masters)

    state = m.state("state", 4, reset=State.IDLE)
    at = {which: m.named(f"in_{which.name.lower()}", state == which) for which in State}
    begin = m.named("begin", at[State.IDLE] & start & ~soft_reset)
    fields = descriptor_fields(m, p, begin, at[State.FETCH] & in_valid, in_data, descriptor)
    quotient, remainder, divided = _deal(m, p, fields, at[State.SETTLE])

    channel = m.state("channel", index_bits(p.channels), reset=0)
    last_channel = m.named("last_channel", channel == p.channels - 1)
    channel.next(mux(at[State.LAUNCH], channel + 1, 0))
    launch = m.named("launch_now", at[State.LAUNCH] & (channel == 0))
    finished = m.named("finished", at[State.RUN] & checked.all() & written)
    # One cycle later, when an error of the last transactions has been seen too.
    complete = m.register("complete", finished, reset=0)

    gave_up = m.state("gave_up", masters, reset=0)
    gave_up.next(mux(at[State.DRAIN], gave_up | stuck, 0))
    quiet = m.register("quiet", at[State.DRAIN] & (idle | gave_up).all(), reset=0)
    drained = m.named("drained", at[State.DRAIN] & quiet)
    resetting = m.state("resetting_q", 1, reset=0)
    reset_wanted = m.named("reset_wanted", resetting | soft_reset)
    resetting.next(~at[State.CLEAR] & reset_wanted)
    ending = m.named("stopping", at[State.STOP] | at[State.DRAIN] | at[State.CLEAR])
    watching = m.named("watching_now", ~ending & ~at[State.IDLE])

    def step(source: State, condition: Signal, target: State) -> tuple[Signal, State]:
        return at[source] & condition, target

    always = m.constant(1, 1)
    steps = (
        (begin, State.FETCH),
        (fields.complete, State.SETTLE),
        step(State.SETTLE, always, State.CHECK),
        step(State.CHECK, ~fields.bad & divided, State.LAUNCH),
        step(State.LAUNCH, last_channel, State.RUN),
        step(State.RUN, complete, State.IDLE),
        step(State.STOP, always, State.DRAIN),
        (drained & reset_wanted, State.CLEAR),
        (drained & ~reset_wanted, State.IDLE),
        step(State.CLEAR, always, State.IDLE),
        (watching & error, State.STOP),
        (~ending & soft_reset, State.STOP),
    )
    following: Signal = state
    for condition, target in steps:  # later ones win
        following = mux(condition, target, following)
    state.next(following)

    m.output("bad_descriptor", m.register("bad_descriptor_q", at[State.CHECK] & fields.bad, reset=0))
    m.output("busy", ~at[State.IDLE])
    m.output("watching", watching)
    m.output("resetting", resetting)
    m.output("started", begin)
    m.output("ended", (at[State.RUN] & complete & ~error & ~soft_reset) | (drained & ~reset_wanted))
    m.output("clear", at[State.CLEAR])
    m.output("cancel", at[State.STOP])
    m.output("launch", launch)
    _io_request(m, p, fields, begin, launch, descriptor)
    _weight_requests(m, p, fields, at[State.LAUNCH], channel)
    _configuration(m, p, fields, quotient, remainder)
    return m


def _deal(m: Module, p: ProcessorParameters, fields: DescriptorFields, begin: Signal) -> tuple[Signal, Signal, Signal]:
    """row_blocks divided by the channels: quotient, remainder, and whether they are there."""
    bits = p.channels.bit_length() - 1
    if p.channels == 1 << bits:
        low = fields.row_blocks[0:bits] if bits else m.constant(0, 1)
        return fields.row_blocks >> bits, low, m.constant(1, 1)
    divided = m.instance("deal", divider(p.channels), start=begin, dividend=fields.row_blocks)
    return divided["quotient"], divided["remainder"], divided["done"]


def _io_request(
    m: Module, p: ProcessorParameters, fields: DescriptorFields, begin: Signal, launch: Signal, descriptor: Signal
) -> None:
    """The io reader's request: the descriptor, or one image of tiles + 1 slots for each token."""
    beats = DESCRIPTOR_BITS // p.beat
    offset = offset_bits(p.beat)
    slots = fields.tiles.zext(BLOCK_BEATS_BITS) + 1
    m.output("io_start", begin | launch)
    m.output("io_address", mux(begin, descriptor, fields.x)[offset:ADDRESS_BITS])
    m.output("io_beats", mux(begin, m.constant(beats, 32), 0))
    m.output("io_blocks", mux(begin, 0, fields.tokens.zext(32)))
    m.output("io_block_beats", slots << ((SLOT_BITS // p.beat).bit_length() - 1))


def _weight_requests(
    m: Module, p: ProcessorParameters, fields: DescriptorFields, launching: Signal, channel: Register
) -> None:
    """One reader's start a cycle, with the address of its segment."""
    offset = offset_bits(p.beat)
    segment = m.state("segment", ADDRESS_BITS)
    segment.next(mux(launching, segment + fields.channel_stride.zext(ADDRESS_BITS), fields.weights))
    m.output("weight_start", concat(*(launching & (channel == c) for c in reversed(range(p.channels)))))
    m.output("weight_address", segment[offset:ADDRESS_BITS])


def _configuration(
    m: Module, p: ProcessorParameters, fields: DescriptorFields, quotient: Signal, remainder: Signal
) -> None:
    """What the other parts need of the descriptor."""
    m.output("bits", fields.bits)
    m.output("scale_format", fields.scale_format)
    m.output("tokens", fields.tokens)
    m.output("row_blocks", fields.row_blocks)
    m.output("tiles", fields.tiles)
    m.output("group_tiles", fields.group_tiles)
    m.output("c9", fields.c9)
    m.output("header_words", fields.header_words)
    m.output("block_beats", fields.block_beats)
    m.output("x", fields.x)
    m.output("y_beat", fields.y[offset_bits(p.beat) : ADDRESS_BITS])
    for c in range(p.channels):
        m.output(f"blocks_{c}", quotient + (remainder > c).zext(32))
