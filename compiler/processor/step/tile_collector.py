"""Quantized activations, L a cycle, to tiles with their sum, for the matrix engines' buffers."""

from collections.abc import Sequence

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.parameters import COLUMNS
from elastix.compiler.processor.pipeline import delay_event, delay_stages
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.vector_sequencer import to_word_bits

CODE_BITS = 16
SUMMED = 8
"""Codes that are added in a clock."""


def latency(p: StepParameters) -> int:
    """Clocks from a word to the tile that ends with it."""
    return 2 if p.vector_lanes <= SUMMED else 3


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
    terms, stages = [code.sext(p.sum_bits) for code in narrow], latency(p) - 1
    if stages > 1:
        terms = [m.register(f"sum_from_{at}", _sum(terms[at : at + SUMMED])) for at in range(0, lanes, SUMMED)]

    def later(name: str, value: Signal) -> Signal:
        return delay_stages(m, name, value, stages)[-1]

    word_sum, codes_now = m.register("word_sum", _sum(terms)), later("codes", concat(*reversed(narrow)))
    slot, tile = later("slot", word[0:slot_bits]), later("tile", word[slot_bits : slot_bits + p.tile_index_bits])
    takes, last_now = delay_event(m, "word_taken", valid, stages, clear)[-1], later("last", last)
    starts = m.named("starts", slot == 0)
    running = m.state("running_sum", p.sum_bits)
    running.next(word_sum + mux(starts, 0, running), enable=takes)
    places = list[Signal]()
    for index in range(slots):
        place = m.state(f"codes_of_{index}", a * lanes)
        if index:
            # The first word of a tile clears the places behind it.
            place.next(mux(starts, 0, codes_now), enable=takes & (starts | (slot == index)))
        else:
            place.next(codes_now, enable=takes & starts)
        places.append(place)

    ends = m.named("tile_ends", takes & (last_now | slot.all()))
    lane_now = later("lane", lane[0 : p.lane_bits])
    m.output("x_write", m.register("x_write_q", ends & ~clear, reset=0))
    m.output("x_lane", m.register("x_lane_q", lane_now))
    m.output("x_tile", m.register("x_tile_q", tile))
    m.output("x_data", concat(*reversed(places)))
    m.output("x_sum", running)
    m.output("e_write", m.register("e_write_q", takes & last_now & ~clear, reset=0))
    m.output("e_lane", m.register("e_lane_q", lane_now))
    m.output("e_data", m.register("e_data_q", later("exponent", m.input("exponent", 16))))
    return m


def _sum(terms: Sequence[Signal]) -> Signal:
    """Of a power of two of them, in pairs."""
    level = list(terms)
    while len(level) > 1:
        level = [left + right for left, right in zip(level[0::2], level[1::2], strict=True)]
    return level[0]
