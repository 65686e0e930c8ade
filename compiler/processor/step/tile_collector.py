"""Quantized activations, L a cycle, to tiles with their sum, for the matrix engines' buffers."""

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.parameters import COLUMNS
from elastix.compiler.processor.pipeline import delay_event
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.vector_sequencer import to_word_bits

CODE_BITS = 16
LATENCY = 2
"""Clocks from a word to the tile that ends with it."""


def tile_collector(p: StepParameters) -> Module:
    """Takes words of L integers of A bits in rising order, and writes a tile with its last word.

    valid, codes (16 bits each, 0 where masked), word (its place, in words of L columns), last (of the row: the rest of
    the tile is 0, and the token's exponent follows), lane, exponent: in. x_*, e_*: out, as the matrix engine has them.
    """
    lanes, a = p.vector_lanes, p.activation_bits
    m = Module("tile_collector", tile_collector.__doc__)
    clear, valid, last = m.input("clear"), m.input("valid"), m.input("last")
    codes, word = m.input("codes", CODE_BITS * lanes), m.input("word", to_word_bits(p))
    lane = m.input("lane", 4)
    for value in (codes, word, lane):
        m.unused(value)
    slots = COLUMNS // lanes
    slot_bits = (slots - 1).bit_length()
    narrow = [codes[CODE_BITS * n : CODE_BITS * n + a] for n in range(lanes)]

    # The sum of a word, then that of the words so far, while the word takes its place.
    level = [code.sext(p.sum_bits) for code in narrow]
    while len(level) > 1:
        level = [left + right for left, right in zip(level[0::2], level[1::2], strict=True)]
    word_sum, codes_1 = m.register("word_sum", level[0]), m.register("codes_1", concat(*reversed(narrow)))
    slot, tile = m.register("slot", word[0:slot_bits]), word[slot_bits : slot_bits + p.tile_index_bits]
    takes, last_1 = delay_event(m, "word_taken", valid, 1, clear)[-1], m.register("last_1", last)
    starts = m.named("starts", slot == 0)
    running = m.state("running_sum", p.sum_bits)
    running.next(word_sum + mux(starts, 0, running), enable=takes)
    places = list[Signal]()
    for index in range(slots):
        place = m.state(f"codes_of_{index}", a * lanes)
        if index:
            # The first word of a tile clears the places behind it.
            place.next(mux(starts, 0, codes_1), enable=takes & (starts | (slot == index)))
        else:
            place.next(codes_1, enable=takes & starts)
        places.append(place)

    ends = m.named("tile_ends", takes & (last_1 | slot.all()))
    lane_1 = m.register("lane_1", lane[0 : p.lane_bits])
    m.output("x_write", m.register("x_write_q", ends & ~clear, reset=0))
    m.output("x_lane", m.register("x_lane_q", lane_1))
    m.output("x_tile", m.register("x_tile_q", m.register("tile", tile)))
    m.output("x_data", concat(*reversed(places)))
    m.output("x_sum", running)
    m.output("e_write", m.register("e_write_q", takes & last_1 & ~clear, reset=0))
    m.output("e_lane", m.register("e_lane_q", lane_1))
    m.output("e_data", m.register("e_data_q", m.register("exponent_1", m.input("exponent", 16))))
    return m
