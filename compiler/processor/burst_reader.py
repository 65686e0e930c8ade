"""AXI4 read bursts of one stretch of memory, as a stream of beats."""

from dataclasses import asdict, dataclass

from elastix.compiler.circuit import Module, Register, Signal, concat, mux
from elastix.compiler.processor.axi import ADDRESS_BITS, OKAY, burst_beats, offset_bits, read_address_channel
from elastix.compiler.processor.fifo import fifo
from elastix.compiler.processor.watchdog import watchdog

BLOCK_BEATS_BITS = 20
"""Bits of the beats of a row block."""


@dataclass(frozen=True)
class ReaderShape:
    """beat: bits; burst: most beats of a burst, a power of two that divides 4 KB; window: most beats asked for and not
    yet taken, a power of two >= burst; buffered: a FIFO of `window` beats follows, else the taker must always be ready.
    """

    name: str
    beat: int
    burst: int
    window: int
    buffered: bool


def weight_reader_shape(beat: int, max_burst: int, fifo_beats: int) -> ReaderShape:
    """The reader of a weight channel. It never starves while fifo_beats >= latency + burst + 6 cycles."""
    burst = min(burst_beats(beat, max_burst), max(1, fifo_beats // 2))
    return ReaderShape("burst_reader", beat, burst, max(2, fifo_beats), True)


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
    `stuck` is about.
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
    change = mux(growing, block_beats, 0).zext(BLOCK_BEATS_BITS + 1) - planned_now.zext(BLOCK_BEATS_BITS + 1)
    remaining.next(mux(start, beats, remaining + change.sext(32)))
    blocks_left.next(mux(start, blocks, blocks_left - 1), enable=start | growing)
    growing.next(mux(start, blocks.any(), growing & ~cancel & (blocks_left != 1)))
    requesting.next(start | (requesting & ~(plan & last) & ~cancel))
    planned.next((plan | (planned & ~issue)) & ~cancel)
    next_beat.next(mux(start, address, next_beat + planned_now.zext(beat_bits)))
    planned_beat = m.register("planned_beat", next_beat, enable=plan, reset=0)
    planned_length = m.register("planned_length", length, enable=plan, reset=0)

    # Issuing: `room` counts the beats that fit beside those awaited and those buffered. What a cancelled request still
    # awaits is stale: it comes first and goes nowhere, and nothing is asked for until it has come.
    awaited, stale = m.state("awaited", count_bits, reset=0), m.state("stale", 1, reset=0)
    room = m.state("room", count_bits, reset=shape.window)
    ar_valid = m.state("ar_valid", 1, reset=0)
    # Room only grows until the next issue, so that this may be a cycle late.
    fits = m.register("fits", planned & (room >= planned_length.zext(count_bits)) & ~issue, reset=0)
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

    final = m.named("final", ~requesting & ~planned & (awaited == 1))
    burst_start, fault_address = _return_walk(m, start, address, fresh, r_last, r_resp, final, burst_bits)
    stuck = watchdog(m, waiting, (ar_valid & ar_ready) | r_valid, timeout)
    m.output("stuck", stuck)
    m.output("fault_address", concat(mux(stuck, burst_start, fault_address), m.constant(0, offset)))
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
        push_data=concat(final, r_data),
        ready=ready,
    )
    taken = m.named("taken", queue["valid"] & ready)
    room.next(mux(cancel, shape.window, room - asked + taken.zext(count_bits)))
    m.output("valid", queue["valid"])
    m.output("data", queue["data"][0 : shape.beat])
    m.output("last", queue["data"][-1])
    return m


def _return_walk(
    m: Module,
    start: Signal,
    address: Signal,
    fresh: Signal,
    r_last: Signal,
    r_resp: Signal,
    final: Signal,
    burst_bits: int,
) -> tuple[Register, Signal]:
    """Follows the returning beats through their bursts and gives out `fault`; the next beat's burst, the fault's."""
    position = m.state("return_beat", address.width, reset=0)
    burst_start = m.state("return_burst", address.width, reset=0)
    following = position + 1
    boundary = position[0:burst_bits].all() if burst_bits else m.constant(1, 1)
    last_here = m.named("last_here", final | boundary)
    position.next(mux(start, address, following), enable=start | fresh)
    burst_start.next(mux(start, address, following), enable=start | (fresh & last_here))
    wrong = m.named("wrong", fresh & ((r_resp != OKAY) | (r_last != last_here)))
    m.output("fault", m.register("fault_q", wrong, reset=0))
    return burst_start, m.register("fault_beat", burst_start, enable=wrong, reset=0)
