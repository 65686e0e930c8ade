"""Results of all channels, gathered and put in the order of memory, a window of row blocks at a time."""

from dataclasses import asdict, dataclass

from elastix.compiler.circuit import Memory, Module, Register, Signal, concat, mux, select
from elastix.compiler.processor.axi import ADDRESS_BITS, burst_beats, offset_bits
from elastix.compiler.processor.burst_writer import WriterShape, burst_writer
from elastix.compiler.processor.parameters import ProcessorParameters, index_bits

WINDOW_BLOCKS = 16
"""Row blocks written together, hence beats of a burst, at most."""
AXI_INPUTS = (("awready", 1), ("wready", 1), ("bvalid", 1), ("bresp", 2))
AXI_OUTPUTS = ("awvalid", "awaddr", "awlen", "awsize", "awburst", "wvalid", "wdata", "wstrb", "wlast", "bready")


def result_writer(p: ProcessorParameters) -> Module:
    """Gathers the results of all channels and writes them, a window of row blocks at a time.

    `start` (pulse) takes row_blocks, tokens and y_beat. Takes y_* of every channel and writes row block i of token
    m at beat `y_beat` + m · row_blocks + i.

    A channel gives its blocks in order, and of each block the tokens in order. Channels may be ahead of each other
    by two windows of 16 row blocks; a window is written when it is complete. `finished` (level, from the end of
    the run to the next start): every result has its response. The AXI ports, `cancel`, `idle`, `fault`: as in
    burst_writer.
    """
    m = Module("result_writer", result_writer.__doc__, asdict(p))
    window = burst_beats(p.beat, min(p.max_burst, WINDOW_BLOCKS))
    bits = window.bit_length() - 1
    start, cancel = m.input("start"), m.input("cancel")
    row_blocks, tokens = m.input("row_blocks", 32), m.input("tokens", 4)
    y_beat, timeout = m.input("y_beat", ADDRESS_BITS - offset_bits(p.beat)), m.input("timeout", 32)
    axi = {name: m.input(name, width) for name, width in AXI_INPUTS}

    running = m.state("running", 1, reset=0)
    running.next(start | (running & ~cancel))
    number, left = m.state("window_number", 32, reset=0), m.state("blocks_left", 32, reset=0)
    window_done = m.wire("window_done", 1)
    size = m.named("window_size", mux(left >= window, m.constant(window, bits + 1), left[0 : bits + 1]))
    following_number = m.state("following_number", 32, reset=0)
    number.next(mux(start, 0, following_number), enable=start | window_done)
    following_number.next(mux(start, 1, following_number + 1), enable=start | window_done)
    left.next(mux(start, row_blocks, left - size.zext(32)), enable=start | window_done)

    # A cancelled run's last word may still wait to be taken: nothing is written over it.
    ending = m.wire("ending", 1)
    result = _gather(m, p, (number, following_number), bits, running & ~ending)
    memory = Memory(m, "window", (1 << p.lane_bits) * 2 * window, p.beat)
    memory.write(concat(result.lane, result.block[0 : bits + 1]), result.data, result.taken)

    # A window is complete when the last token's result of each of its blocks is there.
    whole = m.named("whole_block", result.taken & result.last)
    counts = list[Register]()
    for half in (0, 1):
        count = m.state(f"blocks_in_half_{half}", bits + 1, reset=0)
        leaves = window_done & (number[0] == half)
        count.next(mux(start | leaves, 0, count + (whole & (result.block[bits] == half)).zext(bits + 1)))
        counts.append(count)
    some_left = m.named("some_left", left.any())
    complete = m.named("complete", running & some_left & (select(number[0], counts) == size))

    # One request a token; the window's room is free again when the last one's words are taken.
    request_ready, take = m.wire("request_ready", 1), m.wire("take", 1)
    sending, lane = m.state("sending", 1, reset=0), m.state("lane", 4, reset=0)
    request = m.named("request", sending & (lane != tokens))
    requested = m.named("requested", request & request_ready)
    window_done.assign(sending & (lane == tokens) & request_ready & ~cancel)
    sending.next(~cancel & ~window_done & (sending | complete))
    lane.next(mux(sending, lane + 1, 0), enable=requested | ~sending)
    window_beat, lane_beat = m.state("window_beat", y_beat.width), m.state("lane_beat", y_beat.width)
    window_beat.next(mux(start, y_beat, window_beat + window), enable=start | window_done)
    lane_beat.next(
        mux(sending, lane_beat + row_blocks.zext(40)[0 : y_beat.width], window_beat), enable=requested | ~sending
    )
    word = m.state("word", memory.address_bits, reset=0)
    first_word = concat(lane[0 : p.lane_bits], number[0]).zext(memory.address_bits) << bits
    following = m.named("next_word", mux(take, word + 1, word))
    word.next(mux(requested, first_word, following))

    writer = m.instance(
        "bursts",
        burst_writer(WriterShape(p.beat, window)),
        cancel=cancel,
        request=request,
        beat_address=lane_beat,
        beats=size,
        data=memory.read(following),
        timeout=timeout,
        **axi,
    )
    request_ready.assign(writer["request_ready"])
    take.assign(writer["take"])
    ending.assign(writer["ending"])
    for name in (*AXI_OUTPUTS, "idle", "fault", "stuck", "fault_address"):
        m.output(name, writer[name])
    m.output("finished", running & ~some_left & writer["idle"])
    return m


@dataclass(frozen=True)
class _Result:
    """The result taken in this cycle, if `taken`: row block among all channels', token, the block's last?, D bits."""

    taken: Signal
    block: Signal
    lane: Signal
    last: Signal
    data: Signal


def _gather(m: Module, p: ProcessorParameters, windows: tuple[Signal, Signal], bits: int, taking: Signal) -> _Result:
    """One channel a cycle, round robin among those whose result belongs to this window or the next."""
    extra = p.channels.bit_length()
    valid, block, lane, last = list[Signal](), list[Signal](), list[Signal](), list[Signal]()
    data, eligible = list[Signal](), list[Signal]()
    for c in range(p.channels):
        valid.append(m.input(f"y_valid_{c}"))
        data.append(m.input(f"y_data_{c}", p.beat))
        lane.append(m.input(f"y_lane_{c}", p.lane_bits))
        last.append(m.input(f"y_last_{c}"))
        own = m.input(f"y_block_{c}", 32).zext(32 + extra)
        block.append(m.named(f"block_{c}", own * p.channels + c) if p.channels > 1 else own)
        window = block[c][bits : 32 + extra].zext(32 + extra)
        near = concat(*(window == number.zext(32 + extra) for number in windows)).any()
        eligible.append(m.named(f"eligible_{c}", valid[c] & taking & near))
    if p.channels == 1:
        m.output("y_ready_0", eligible[0])
        return _Result(eligible[0], block[0], lane[0], last[0], data[0])
    index = index_bits(p.channels)
    turn = m.state("turn", index, reset=0)
    chosen: Signal = m.constant(0, index)
    for from_turn in (False, True):  # the last that holds wins: the lowest from `turn` on, else the lowest
        for c in reversed(range(p.channels)):
            chosen = mux(eligible[c] & (turn <= c) if from_turn else eligible[c], c, chosen)
    chosen = m.named("chosen", chosen)
    taken = m.named("taken", concat(*eligible).any())
    turn.next(mux(chosen == p.channels - 1, 0, chosen + 1), enable=taken)
    for c in range(p.channels):
        m.output(f"y_ready_{c}", eligible[c] & (chosen == c))
    return _Result(taken, select(chosen, block), select(chosen, lane), select(chosen, last), select(chosen, data))
