"""AXI4 read bursts of one stretch of memory, as a stream of beats."""

from dataclasses import asdict, dataclass, replace

from elastix.compiler.circuit import Memory, Module, Register, Signal, concat, mux
from elastix.compiler.processor.axi import ADDRESS_BITS, OKAY, burst_beats, offset_bits, read_address_channel
from elastix.compiler.processor.fifo import fifo
from elastix.compiler.processor.watchdog import watchdog

BLOCK_BEATS_BITS = 20
"""Bits of the beats of a row block."""
QUEUED_BURSTS = 16
"""Bursts under way at most, where several requests may be."""


@dataclass(frozen=True)
class ReaderShape:
    """beat: bits; burst: most beats of a burst, a power of two that divides 4 KB; window: most beats asked for and not
    yet taken, a power of two >= burst; buffered: a FIFO of `window` beats follows, else the taker must always be ready.
    queued: a request may begin while beats of earlier ones are awaited.
    """

    name: str
    beat: int
    burst: int
    window: int
    buffered: bool
    queued: bool = False


def weight_reader_shape(beat: int, max_burst: int, fifo_beats: int) -> ReaderShape:
    """The reader of a weight channel. It never starves while fifo_beats >= latency + burst + 6 cycles."""
    burst = min(burst_beats(beat, max_burst), max(1, fifo_beats // 2))
    return ReaderShape("burst_reader", beat, burst, max(2, fifo_beats), True)


def stream_reader_shape(beat: int, max_burst: int, fifo_beats: int) -> ReaderShape:
    """The reader of a channel of many requests; otherwise as that of a weight channel."""
    shape = weight_reader_shape(beat, max_burst, fifo_beats)
    return replace(shape, name="stream_reader", queued=True)


def io_reader_shape(beat: int, max_burst: int, fifo_beats: int) -> ReaderShape:
    """The reader of descriptors and activations, whose takers never wait."""
    burst = burst_beats(beat, max_burst)
    return ReaderShape("io_reader", beat, burst, max(2 * burst, fifo_beats), False)


def burst_reader(shape: ReaderShape) -> Module:
    """Reads `beats + blocks · block_beats` beats from beat `address` on, given with the pulse `start`, as a stream.

    ar*, r*: AXI4 read channels. valid, data, last (of the request), ready: the stream. `idle`: no request, nothing
    awaited.

    Bursts are cut at multiples of `burst` beats, hence at 4 KB. A burst is asked for only when all its beats have
    room. `cancel` (pulse) drops what is buffered and asks for no more; beats asked for are thrown away when they
    come, also after the next start, which waits for them. `fault` (pulse): a response other than OKAY or a
    misplaced RLAST. `stuck` (pulse): no progress for `timeout` cycles. `fault_address`: the burst that `fault` or
    `stuck` is about. `request_ready` (of a queued reader): `start` may come. Others take it when `idle`, or cancelled.
    """
    m = Module(shape.name, burst_reader.__doc__, asdict(shape))
    offset, burst_bits = offset_bits(shape.beat), shape.burst.bit_length() - 1
    beat_bits = ADDRESS_BITS - offset
    count_bits, length_bits = shape.window.bit_length(), burst_bits + 1

    start, cancel = m.input("start"), m.input("cancel")
    address = m.input("address", beat_bits)
    beats, blocks = m.input("beats", 32), m.input("blocks", 32)
    block_beats = m.input("block_beats", BLOCK_BEATS_BITS)
    timeout = m.input("timeout", 32)
    ar_ready = m.input("arready")
    r_valid, r_data, r_resp, r_last = (
        m.input("rvalid"),
        m.input("rdata", shape.beat),
        m.input("rresp", 2),
        m.input("rlast"),
    )

    # Planning, a burst at a time: measure it, then cut it off. The number of beats grows by a block a cycle meanwhile,
    # so that no multiplier is needed.
    requesting, growing = m.state("requesting", 1, reset=0), m.state("growing", 1, reset=0)
    measured, planned = m.state("measured", 1, reset=0), m.state("planned", 1, reset=0)
    next_beat = m.state("next_beat", beat_bits, reset=0)
    remaining, blocks_left = m.state("remaining", 32, reset=0), m.state("blocks_left", 32, reset=0)
    issue = m.wire("issue", 1)
    to_boundary = m.constant(shape.burst, length_bits)
    if burst_bits:
        to_boundary = to_boundary - next_beat[0:burst_bits].zext(length_bits)
    enough = m.named("enough", remaining >= to_boundary.zext(32))
    plan = m.named("plan", measured & ~planned)
    measured.next(~cancel & mux(measured, planned, requesting & (enough | ~growing)))
    length = m.register("length", mux(enough, to_boundary, remaining[0:length_bits]), enable=~measured, reset=0)
    last = m.register("last_of_request", ~growing & (remaining <= to_boundary.zext(32)), enable=~measured, reset=0)
    planned_now = mux(plan, length, 0)
    if shape.queued:
        block_beats = m.register("block_beats_q", block_beats, enable=start)
        m.output("request_ready", ~requesting)
    change = mux(growing, block_beats, 0).zext(BLOCK_BEATS_BITS + 1) - planned_now.zext(BLOCK_BEATS_BITS + 1)
    remaining.next(mux(start, beats, remaining + change.sext(32)))
    blocks_left.next(mux(start, blocks, blocks_left - 1), enable=start | growing)
    growing.next(mux(start, blocks.any(), growing & ~cancel & (blocks_left != 1)))
    requesting.next(start | (requesting & ~(plan & last) & ~cancel))
    planned.next((plan | (planned & ~issue)) & ~cancel)
    next_beat.next(mux(start, address, next_beat + planned_now.zext(beat_bits)))
    planned_beat = m.register("planned_beat", next_beat, enable=plan, reset=0)
    planned_length = m.register("planned_length", length, enable=plan, reset=0)
    planned_last = m.register("planned_last", last, enable=plan, reset=0) if shape.queued else None
    place = m.wire("place", 1)

    # Issuing: `room` counts the beats that fit beside those awaited and those buffered. What a cancelled request still
    # awaits is stale: it comes first and goes nowhere, and nothing is asked for until it has come.
    awaited, stale = m.state("awaited", count_bits, reset=0), m.state("stale", 1, reset=0)
    room = m.state("room", count_bits, reset=shape.window)
    ar_valid = m.state("ar_valid", 1, reset=0)
    # Room only grows until the next issue, so that this may be a cycle late.
    fits = m.register("fits", planned & place & (room >= planned_length.zext(count_bits)) & ~issue, reset=0)
    issue.assign(planned & fits & ~stale & ~cancel & (~ar_valid | ar_ready))
    ar_valid.next(issue | (ar_valid & ~ar_ready))
    ar_beat = m.register("ar_beat", planned_beat, enable=issue, reset=0)
    ar_length = m.register("ar_length", planned_length, enable=issue, reset=0)
    read_address_channel(m, "", ar_valid, ar_beat, ar_length, shape.beat)

    waiting = m.named("waiting", awaited.any())
    arrived = m.named("arrived", r_valid & waiting)
    fresh = m.named("fresh", arrived & ~stale)
    asked = mux(issue, planned_length, 0).zext(count_bits)
    awaited.next(awaited + asked - arrived.zext(count_bits))
    stale.next(cancel | (stale & waiting))
    m.output("rready", m.constant(1, 1))

    if planned_last is not None:
        asked_burst = _Burst(planned_beat, planned_length, planned_last)
        walk = _queue_walk(m, issue, cancel, asked_burst, fresh, r_last, r_resp)
    else:
        final = m.named("final", ~requesting & ~planned & (awaited == 1))
        walk = _return_walk(m, start, address, fresh, r_last, r_resp, final, burst_bits)
    place.assign(walk.place)
    stuck = watchdog(m, waiting, (ar_valid & ar_ready) | r_valid, timeout)
    m.output("stuck", stuck)
    m.output("fault_address", concat(mux(stuck, walk.burst_start, walk.fault_beat), m.constant(0, offset)))
    m.output("idle", ~(requesting | planned | waiting))

    if not shape.buffered:
        room.next(mux(cancel, shape.window, room - asked + fresh.zext(count_bits)))
        m.output("valid", fresh)
        m.output("data", r_data)
        return m
    ready = m.input("ready")
    queue = m.instance(
        "queue",
        fifo(shape.window, shape.beat + 1),
        clear=cancel,
        push=fresh & ~cancel,
        push_data=concat(walk.final, r_data),
        ready=ready,
    )
    taken = m.named("taken", queue["valid"] & ready)
    room.next(mux(cancel, shape.window, room - asked + taken.zext(count_bits)))
    m.output("valid", queue["valid"])
    m.output("data", queue["data"][0 : shape.beat])
    m.output("last", queue["data"][-1])
    return m


@dataclass(frozen=True)
class _Burst:
    """Its first beat, its length in beats, whether it is the last of its request."""

    beat: Signal
    length: Signal
    last: Signal


@dataclass(frozen=True)
class _Walk:
    """burst_start: of the beat that comes next; fault_beat: burst of the last fault; final: the beat that comes now
    is its request's last; place: one more burst may be asked for."""

    burst_start: Signal
    fault_beat: Signal
    final: Signal
    place: Signal


def _return_walk(
    m: Module,
    start: Signal,
    address: Signal,
    fresh: Signal,
    r_last: Signal,
    r_resp: Signal,
    final: Signal,
    burst_bits: int,
) -> _Walk:
    """Follows the returning beats of one request through its bursts, and gives out `fault`."""
    position = m.state("return_beat", address.width, reset=0)
    burst_start = m.state("return_burst", address.width, reset=0)
    following = position + 1
    boundary = position[0:burst_bits].all() if burst_bits else m.constant(1, 1)
    last_here = m.named("last_here", final | boundary)
    position.next(mux(start, address, following), enable=start | fresh)
    burst_start.next(mux(start, address, following), enable=start | (fresh & last_here))
    fault_beat = _fault(m, fresh, last_here, r_last, r_resp, burst_start)
    return _Walk(burst_start, fault_beat, final, m.constant(1, 1))


def _queue_walk(
    m: Module, issue: Signal, cancel: Signal, asked: _Burst, fresh: Signal, r_last: Signal, r_resp: Signal
) -> _Walk:
    """The same for bursts of any requests, which wait in a queue for their beats."""
    length_bits, beat_bits = asked.length.width, asked.beat.width
    queue = Memory(m, "bursts", QUEUED_BURSTS, beat_bits + length_bits + 1, latency=0)
    count = m.state("bursts_awaited", queue.address_bits + 1, reset=0)
    tail, head = (
        m.state("bursts_tail", queue.address_bits, reset=0),
        m.state("bursts_head", queue.address_bits, reset=0),
    )
    queue.write(tail, concat(asked.last, asked.length, asked.beat), issue)
    burst = queue.read(head)
    burst_start, length = m.named("burst_start", burst[0:beat_bits]), burst[beat_bits : beat_bits + length_bits]

    position = m.state("beat_of_burst", length_bits, reset=1)
    last_here = m.named("last_here", position == length)
    leaves = m.named("burst_leaves", fresh & last_here)
    position.next(mux(cancel | leaves, 1, position + 1), enable=cancel | fresh)
    tail.next(mux(cancel, 0, tail + 1), enable=cancel | issue)
    head.next(mux(cancel, 0, head + 1), enable=cancel | leaves)
    count.next(mux(cancel, 0, count + issue.zext(count.width) - leaves.zext(count.width)))
    fault_beat = _fault(m, fresh, last_here, r_last, r_resp, burst_start)
    return _Walk(burst_start, fault_beat, last_here & burst[-1], count != QUEUED_BURSTS)


def _fault(
    m: Module, fresh: Signal, last_here: Signal, r_last: Signal, r_resp: Signal, burst_start: Signal
) -> Register:
    """Gives out `fault`; the first beat of the burst that it was about."""
    wrong = m.named("wrong", fresh & ((r_resp != OKAY) | (r_last != last_here)))
    m.output("fault", m.register("fault_q", wrong, reset=0))
    fault_beat = m.state("fault_beat", burst_start.width, reset=0)
    return fault_beat.next(burst_start, enable=wrong)
