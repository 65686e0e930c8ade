"""Results gathered to beats of R, and the room that is left for them."""

from elastix.compiler.circuit import Memory, Module, concat, mux
from elastix.compiler.processor.parameters import ProcessorParameters, index_bits


def result_collector(parameters: ProcessorParameters) -> Module:
    """Takes one result a cycle and gives beats of R with lane, block and `y_last`.

    `room`, two cycles after `end_block`: another block may end, because its rows × `tokens` results have places
    reserved and because that many cycles have passed since the block before ended, which the drain needs.
    """
    m = Module("result_collector", "Results gathered to beats.")
    rows, lanes, slots = parameters.rows, parameters.lanes, parameters.result_slots
    start, tokens = m.input("start"), m.input("tokens", 4)
    push, result, end_block = m.input("push"), m.input("result", 32), m.input("end_block")
    y_ready = m.input("y_ready")

    full = m.state("beat_full", 1, reset=0)
    handshake = m.named("handshake", full & y_ready)
    write, read = m.state("write_pointer", index_bits(slots)), m.state("read_pointer", index_bits(slots))
    queue = Memory(m, "queue", slots, 32, latency=0)
    queue.write(write, result, push)
    # That something is queued stands in a register of its own: `pop` enables every register of the beat.
    queued, some_queued = m.state("queued", index_bits(slots) + 1), m.state("some_queued", 1, reset=0)
    pop = m.named("pop", some_queued & (~full | y_ready))
    some_queued.next(~start & (push | (some_queued & ~(pop & (queued == 1)))))
    count_after = queued + push.zext(queued.width) - pop.zext(queued.width)
    queued.next(mux(start, 0, count_after))
    write.next(mux(start, 0, write + 1), enable=start | push)

    moved = m.named("moved", start | pop)
    read.next(mux(start, 0, read + 1), enable=moved)
    word = m.state("word", index_bits(rows))
    beat_done = m.named("beat_done", pop & (word == rows - 1))
    word.next(mux(start, 0, word + 1), enable=moved)
    full.next(~start & (beat_done | (full & ~y_ready)))
    head, beat = queue.read(read), [m.state(f"word_{row}", 32) for row in range(rows)]
    for row, place in enumerate(beat):
        place.next(beat[row + 1] if row + 1 < rows else head, enable=pop)

    lane, block = m.state("lane", parameters.lane_bits), m.state("block", 32)
    last_lane = m.named("last_lane", lane.zext(4) == tokens - 1)
    lane.next(mux(start | last_lane, 0, lane + 1), enable=start | handshake)
    block.next(mux(start, 0, block + 1), enable=start | (handshake & last_lane))

    beats_free = m.state("beats_free", index_bits(slots // rows + 1))
    width = beats_free.width
    cost = tokens.zext(width) if width > 4 else tokens[0:width]
    after_end = mux(end_block, beats_free - cost, beats_free)
    beats_free.next(mux(start, slots // rows, after_end + handshake.zext(width)))
    span = concat(tokens[0 : index_bits(lanes + 1)], m.constant(0, index_bits(rows)))
    since_end = m.state("drain_left", span.width)
    drained = m.named("drained", since_end == 0)
    since_end.next(mux(start, 0, mux(end_block, span - 2, mux(drained, 0, since_end - 1))))
    m.output("room", m.register("room_q", (beats_free >= cost) & drained & ~end_block))
    m.output("y_valid", full)
    m.output("y_data", concat(*reversed(beat)))
    m.output("y_lane", lane)
    m.output("y_block", block)
    m.output("y_last", last_lane)
    return m
