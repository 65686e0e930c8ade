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
    count_bits, length_bits = shape.window.bit_length() + 1, burst_bits + 1

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

    # Planning: a burst at a time, while the number of beats still grows by a block a cycle (so needs no multiplier).
    requesting = m.state("requesting", 1, reset=0)
    planned = m.state("planned", 1, reset=0)
    next_beat = m.state("next_beat", beat_bits, reset=0)
    remaining, blocks_left = m.state("remaining", 32, reset=0), m.state("blocks_left", 32, reset=0)
    issue = m.wire("issue", 1)
    growing = m.named("growing", blocks_left.any())
    to_boundary = m.constant(shape.burst, length_bits)
    if burst_bits:
        to_boundary = to_boundary - next_beat[0:burst_bits].zext(length_bits)
    enough = m.named("enough", remaining >= to_boundary.zext(32))
    length = m.named("length", mux(enough, to_boundary, remaining[0:length_bits]))
    plan = m.named("plan", requesting & (enough | ~growing) & (~planned | issue))
    last_plan = plan & ~growing & (remaining <= to_boundary.zext(32))
    grown = remaining + mux(growing, block_beats, 0).zext(32) - mux(plan, length, 0).zext(32)
    remaining.next(mux(start, beats, grown))
    blocks_left.next(mux(start, blocks, mux(cancel, 0, blocks_left - growing.zext(32))))
    requesting.next(start | (requesting & ~last_plan & ~cancel))
    planned.next((plan | (planned & ~issue)) & ~cancel)
    next_beat.next(mux(start, address, next_beat + mux(plan, length, 0).zext(beat_bits)))
    planned_beat = m.register("planned_beat", next_beat, enable=plan, reset=0)
    planned_length = m.register("planned_length", length, enable=plan, reset=0)

    # Issuing: `room` counts the beats that fit beside those asked for and those buffered.
    expected, stale = m.state("expected", count_bits, reset=0), m.state("stale", count_bits, reset=0)
    room = m.state("room", count_bits, reset=shape.window)
    ar_valid = m.state("ar_valid", 1, reset=0)
    fits = m.named("fits", room >= planned_length.zext(count_bits))
    issue.assign(planned & fits & ~stale.any() & ~cancel & (~ar_valid | ar_ready))
    ar_valid.next(issue | (ar_valid & ~ar_ready))
    ar_beat = m.register("ar_beat", planned_beat, enable=issue, reset=0)
    ar_length = m.register("ar_length", planned_length, enable=issue, reset=0)
    read_address_channel(m, "", ar_valid, ar_beat, ar_length, shape.beat)

    # Receiving. Beats of a cancelled request come first and go nowhere; nothing is asked for until they have.
    fresh = m.named("fresh", r_valid & expected.any())
    discard = m.named("discard", r_valid & stale.any())
    asked = mux(issue, planned_length, 0).zext(count_bits)
    after = m.named("after", expected + asked - fresh.zext(count_bits))
    expected.next(mux(cancel, 0, after))
    stale.next(stale - discard.zext(count_bits) + mux(cancel, after, 0))
    m.output("rready", m.constant(1, 1))

    final = m.named("final", ~requesting & ~planned & (expected == 1))
    burst_start, fault_address = _return_walk(m, start, address, fresh, r_last, r_resp, final, burst_bits)
    stuck = watchdog(m, ar_valid | expected.any() | stale.any(), (ar_valid & ar_ready) | r_valid, timeout)
    m.output("stuck", stuck)
    m.output("fault_address", concat(mux(stuck, burst_start, fault_address), m.constant(0, offset)))
    m.output("idle", ~(requesting | planned | expected.any() | stale.any()))

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
