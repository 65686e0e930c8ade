"""AXI4 write bursts of stretches of memory, from a stream of beats."""

from dataclasses import asdict, dataclass
from enum import IntEnum

from elastix.compiler.circuit import Memory, Module, Signal, concat, mux
from elastix.compiler.processor.axi import ADDRESS_BITS, BOUNDARY_BYTES, OKAY, offset_bits, write_address_channel
from elastix.compiler.processor.watchdog import watchdog


class State(IntEnum):
    """IDLE: takes a request. MEASURE, CUT: a burst is cut off it. SEND: its address and data go out."""

    IDLE = 0
    MEASURE = 1
    CUT = 2
    SEND = 3


@dataclass(frozen=True)
class WriterShape:
    """beat: bits; burst: most beats of a request, a power of two; outstanding: most bursts without response."""

    beat: int
    burst: int
    outstanding: int = 16


def burst_writer(shape: WriterShape) -> Module:
    """Writes stretches of beats in AXI4 bursts; aw*, w*, b*: the write channels.

    Writes `beats` (>= 1) beats from beat `beat_address` on, for each request taken (`request`, `request_ready`).

    A request becomes one burst, or two where it crosses 4 KB. The word at `data` must be the request's first two cycles
    after it is taken, and the next one in the cycle after each `take`. Several bursts may be without response.
    `cancel` (pulse): no burst begins; one that has begun ends, with empty strobes; `ending` (level) until it has. The
    word at `data` must not change before. Responses to bursts before `cancel` make no `fault`.
    `fault` (pulse): a response other than OKAY. `stuck` (pulse): no progress for `timeout` cycles (0: never).
    `fault_address`: of the burst that `fault` or `stuck` is about. `idle`: nothing to send, no response awaited.
    """
    m = Module("burst_writer", burst_writer.__doc__, asdict(shape))
    offset = offset_bits(shape.beat)
    beat_bits, length_bits = ADDRESS_BITS - offset, shape.burst.bit_length()
    cancel = m.input("cancel")
    request, beat_address = m.input("request"), m.input("beat_address", beat_bits)
    beats, data = m.input("beats", length_bits), m.input("data", shape.beat)
    timeout = m.input("timeout", 32)
    aw_ready, w_ready = m.input("awready"), m.input("wready")
    b_valid, b_resp = m.input("bvalid"), m.input("bresp", 2)

    state = m.state("state", 2, reset=State.IDLE)
    idle, measuring, cutting, sending = (m.named(f"in_{which.name.lower()}", state == which) for which in State)
    taken = m.named("taken", idle & request & ~cancel)
    left, here = m.state("left", length_bits, reset=0), m.state("next_beat", beat_bits, reset=0)
    boundary = BOUNDARY_BYTES * 8 // shape.beat
    page_bits = boundary.bit_length() - 1
    to_boundary = m.constant(boundary, page_bits + 1) - here[0:page_bits].zext(page_bits + 1)
    wide = max(length_bits, page_bits + 1)
    crossing = m.named("crossing", left.zext(wide) > to_boundary.zext(wide))
    piece = m.register("piece", mux(crossing, to_boundary.zext(wide), left.zext(wide))[0:length_bits], reset=0)

    may_begin = m.wire("may_begin", 1)
    begin = m.named("begin", cutting & may_begin & ~cancel)
    left.next(mux(taken, beats, left - piece), enable=taken | begin)
    here.next(mux(taken, beat_address, here + piece.zext(beat_bits)), enable=taken | begin)

    aw_valid, w_valid = m.state("aw_valid", 1, reset=0), m.state("w_valid", 1, reset=0)
    to_send = m.state("to_send", length_bits, reset=0)
    last = m.named("last", to_send == 1)
    take = m.named("take_word", w_valid & w_ready)
    aw_valid.next(begin | (aw_valid & ~aw_ready))
    w_valid.next(begin | (w_valid & ~(w_ready & last)))
    to_send.next(mux(begin, piece, to_send - 1), enable=begin | take)
    sent = m.named("sent", sending & (~aw_valid | aw_ready) & (~w_valid | (w_ready & last)))

    # After a cancel the words still to come are written nowhere; the one that waits must not change.
    quiet = m.state("quiet", 1, reset=0)
    quiet.next(~sent & ~idle & (quiet | (cancel & sending)))
    strobe = m.state("strobe", 1, reset=0)
    strobe.next(begin, enable=begin | (take & (quiet | cancel)))
    following = mux(taken, int(State.MEASURE), mux(begin, int(State.SEND), state))
    following = mux(measuring, int(State.CUT), following)
    following = mux((measuring | cutting) & cancel, int(State.IDLE), following)
    after = mux(left.any() & ~quiet & ~cancel, m.constant(State.MEASURE, 2), int(State.IDLE))
    state.next(mux(sent, after, following))

    start_beat = m.register("aw_beat", here, enable=begin, reset=0)
    write_address_channel(
        m, "", aw_valid, start_beat, m.register("aw_length", piece, enable=begin, reset=0), shape.beat
    )
    m.output("wvalid", w_valid)
    m.output("wdata", data)
    m.output("wstrb", strobe.replicate(shape.beat // 8))
    m.output("wlast", last)
    m.output("bready", m.constant(1, 1))
    m.output("take", take)
    m.output("request_ready", idle)
    m.output("ending", quiet)

    in_progress = m.named("in_progress", aw_valid | w_valid)
    pending = _responses(m, shape, cancel, begin, here, b_valid, b_resp)
    may_begin.assign(~pending.full)
    moving = (aw_valid & aw_ready) | take | b_valid
    stuck = watchdog(m, in_progress | pending.some, moving, timeout)
    m.output("stuck", stuck)
    m.output("fault_address", concat(mux(stuck, pending.oldest, pending.fault_beat), m.constant(0, offset)))
    m.output("idle", idle & ~pending.some)
    return m


@dataclass(frozen=True)
class _Pending:
    """Bursts without response: some, as many as allowed, first beat of the oldest, and of the one last found faulty."""

    some: Signal
    full: Signal
    oldest: Signal
    fault_beat: Signal


def _responses(
    m: Module,
    shape: WriterShape,
    cancel: Signal,
    begin: Signal,
    beat: Signal,
    b_valid: Signal,
    b_resp: Signal,
) -> _Pending:
    """Counts bursts from their begin to their response, and keeps their addresses in order; gives `fault` out."""
    addresses = Memory(m, "pending_beats", shape.outstanding, beat.width, latency=0)
    count_bits = addresses.address_bits + 1
    count, stale = m.state("pending", count_bits, reset=0), m.state("stale", count_bits, reset=0)
    write_at = m.state("pending_tail", addresses.address_bits, reset=0)
    read_at = m.state("pending_head", addresses.address_bits, reset=0)
    answered = m.named("answered", b_valid & count.any())
    addresses.write(write_at, beat, begin)
    oldest = addresses.read(read_at)

    after = m.named("pending_after", count + begin.zext(count_bits) - answered.zext(count_bits))
    count.next(after)
    stale.next(mux(cancel, after, stale - (answered & stale.any()).zext(count_bits)))
    write_at.next(write_at + 1, enable=begin)
    read_at.next(read_at + 1, enable=answered)

    wrong = m.named("wrong", answered & ~stale.any() & (b_resp != OKAY))
    m.output("fault", m.register("fault_q", wrong, reset=0))
    fault_beat = m.register("fault_beat", oldest, enable=wrong, reset=0)
    return _Pending(count.any(), count == shape.outstanding, oldest, fault_beat)
