"""One channel of the stream: requests in the order of the program, beats to whoever asked for them."""

from collections.abc import Mapping
from dataclasses import asdict
from enum import IntEnum
from functools import cache
from itertools import pairwise

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.axi import ADDRESS_BITS, offset_bits
from elastix.compiler.processor.burst_reader import BLOCK_BEATS_BITS, burst_reader, stream_reader_shape
from elastix.compiler.processor.segment_check import segment_check
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.queue import queue

CONSUMER_BITS = 2
COUNT_BITS = 32
READ_INPUTS = {"arready": 1, "rvalid": 1, "rresp": 2, "rlast": 1}
READ_OUTPUTS = ("arvalid", "araddr", "arlen", "arsize", "arburst", "rready")


class Consumer(IntEnum):
    """Who gets the beats of a request."""

    MATRIX = 0
    ATTENTION = 1
    LOAD = 2
    EMBED = 3


def consumers(p: StepParameters, channel: int) -> tuple[Consumer, ...]:
    """Who may take beats of a channel."""
    wanted = {
        Consumer.MATRIX: True,
        Consumer.ATTENTION: channel < p.attention_channels and "attention" in p.features,
        Consumer.LOAD: channel == 0,
        Consumer.EMBED: "embed" in p.features,
    }
    return tuple(each for each in Consumer if wanted[each])


def stream_control(p: StepParameters, channel: int) -> Module:
    """The stream of channels that have the same consumers as this one."""
    return _stream_control(p, consumers(p, channel))


@cache
def _stream_control(p: StepParameters, takers: tuple[Consumer, ...]) -> Module:
    """One channel of the stream: requests in the order of the program, beats to whoever asked for them.

    request_*: `count` beats from beat `address` on, for `consumer`; for the matrix unit `count` blocks of `block_beats`
    and a CRC beat, which is compared here and goes nowhere. Data of the next request is asked for while that of
    the one before is still delivered. <consumer>_valid, <consumer>_ready, data: the beats.
    ar*, r*, timeout, idle, fault, stuck, fault_address: as burst_reader. `quiet`: nothing to be delivered.
    `bad` (pulse): a wrong CRC, of `segment`.
    Events of a cycle: beats taken; `starving`: inside a segment the engine wanted a beat that was not there; `stalled`:
    a beat was there and nothing took it; `empty`: the one whose turn it is wanted a beat and none was there (the
    attention engine takes its time over a beat; attention_wanted: it would look at one).
    """
    which = "first" if Consumer.LOAD in takers else "cached" if Consumer.ATTENTION in takers else "other"
    m = Module(f"stream_control_{which}", _stream_control.__doc__, asdict(p))
    offset = offset_bits(p.beat)
    beat_bits = ADDRESS_BITS - offset
    clear, timeout = m.input("clear"), m.input("timeout", 32)
    request_valid, address = m.input("request_valid"), m.input("request_address", beat_bits)
    count, block_beats = m.input("request_count", COUNT_BITS), m.input("request_block_beats", BLOCK_BEATS_BITS)
    consumer = m.input("request_consumer", CONSUMER_BITS)
    axi = {name: m.input(name, width) for name, width in READ_INPUTS.items()}
    r_data = m.input("rdata", p.beat)

    room = m.wire("room", 1)
    m.output("request_ready", room)
    start, ready = m.wire("start", 1), m.wire("ready", 1)
    requests = m.instance(
        "requests",
        queue(beat_bits + COUNT_BITS + BLOCK_BEATS_BITS + CONSUMER_BITS),
        clear=clear,
        push=request_valid & room,
        push_data=concat(block_beats, count, address, consumer),
        take=start,
    )
    room.assign(requests["room"])
    who, where, many, blocks_of = _split(requests["data"], CONSUMER_BITS, beat_bits, COUNT_BITS, BLOCK_BEATS_BITS)
    to_matrix = m.named("to_matrix", who == Consumer.MATRIX)
    reader = m.instance(
        "reader",
        burst_reader(stream_reader_shape(p.beat, p.max_burst, p.fifo_beats)),
        start=start,
        cancel=clear,
        address=where,
        beats=mux(to_matrix, 1, many),
        blocks=mux(to_matrix, many, 0),
        block_beats=blocks_of,
        timeout=timeout,
        rdata=r_data,
        ready=ready,
        **axi,
    )

    # Turns: the consumers of what the reader has been asked for, in order.
    begin_turn = m.wire("begin_turn", 1)
    turns = m.instance(
        "turns",
        queue(beat_bits + CONSUMER_BITS),
        clear=clear,
        push=start,
        push_data=concat(where, who),
        take=begin_turn,
    )
    start.assign(requests["valid"] & reader["request_ready"] & turns["room"] & ~clear)
    in_turn = m.state("in_turn", 1, reset=0)
    turn = m.register("turn", turns["data"][0:CONSUMER_BITS], enable=begin_turn)
    segment = m.register("segment_q", turns["data"][CONSUMER_BITS : CONSUMER_BITS + beat_bits], enable=begin_turn)
    here = {each: m.named(f"turn_{each.name.lower()}", in_turn & (turn == each)) for each in takers}
    end = m.named("end_of_turn", reader["valid"] & ready & reader["last"])
    # A CRC is compared three cycles after its beat, and before the next segment begins.
    segment_end = m.register("segment_end", end & here[Consumer.MATRIX], reset=0)
    pause = m.named("pause", segment_end | m.register("segment_end_1", segment_end, reset=0))
    begin_turn.assign(~in_turn & ~pause & turns["valid"] & ~clear)
    in_turn.next(~clear & (begin_turn | (in_turn & ~end)))

    ready_of = {each: m.input(f"{each.name.lower()}_ready") for each in here}
    wants = {each: here[each] & ready_of[each] for each in here}
    check = _check(m, p, begin_turn, reader["valid"] & here[Consumer.MATRIX], reader, ready_of[Consumer.MATRIX])
    for name in ("taken", "finished"):
        m.unused(check[name])
    for each in here:
        valid = check["out_valid"] if each is Consumer.MATRIX else reader["valid"] & here[each]
        m.output(f"{each.name.lower()}_valid", valid)
    looks = here[Consumer.ATTENTION] & m.input("attention_wanted") if Consumer.ATTENTION in here else m.constant(0, 1)
    wanted = m.named("wanted", concat(*wants.values()).any())
    ready.assign(wanted | (here[Consumer.MATRIX] & check["in_ready"]))
    m.output("data", reader["data"])
    m.output("bad", check["bad"])
    m.output("segment", concat(segment, m.constant(0, offset)))

    taken = m.named("taken_now", reader["valid"] & ready)
    of_matrix = m.named("taken_by_matrix", taken & here[Consumer.MATRIX])
    begun = m.state("segment_begun", 1, reset=0)
    begun.next(~clear & ~end & (begun | of_matrix))
    constant = [here[each] for each in (Consumer.LOAD, Consumer.EMBED) if each in here]
    events = {
        "taken_matrix": of_matrix,
        "taken_attention": taken & here.get(Consumer.ATTENTION, m.constant(0, 1)),
        "taken_constant": taken & (concat(*constant).any() if constant else m.constant(0, 1)),
        "starving": wants[Consumer.MATRIX] & ~reader["valid"] & begun,
        "stalled": reader["valid"] & ~ready,
        "empty": (wanted | looks) & ~reader["valid"],
    }
    for name, event in events.items():
        m.output(name, event)
    for name in (*READ_OUTPUTS, "fault", "stuck", "fault_address"):
        m.output(name, reader[name])
    m.output("idle", reader["idle"] & ~requests["valid"])
    m.output("quiet", ~(requests["valid"] | turns["valid"] | in_turn))
    return m


def _split(word: Signal, *widths: int) -> list[Signal]:
    """Neighbouring parts of those widths, the lowest first."""
    ends = [sum(widths[:i]) for i in range(len(widths) + 1)]
    return [word[low:high] for low, high in pairwise(ends)]


def _check(
    m: Module, p: StepParameters, start: Signal, valid: Signal, reader: Mapping[str, Signal], out_ready: Signal
) -> Mapping[str, Signal]:
    """The CRC of the segments among the turns; `start` at any turn does no harm."""
    data = {"in_data": reader["data"]} if p.crc else {}
    return m.instance(
        "check",
        segment_check(p.beat, p.crc),
        start=start,
        in_valid=valid,
        in_last=reader["last"],
        out_ready=out_ready,
        **data,
    )
