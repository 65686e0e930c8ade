"""Group scales and zero points of R rows, out of the header words of their block."""

from elastix.compiler.circuit import Memory, Module, Signal, concat, mux, select
from elastix.compiler.processor.block_sequencer import S6, S8C8
from elastix.compiler.processor.parameters import COLUMNS, ProcessorParameters
from elastix.compiler.processor.pipeline import delay_stages

SCALE_LATENCY = 3
DIGIT_LATENCY = 4


def scale_decoder(parameters: ProcessorParameters) -> Module:
    """SCALE_LATENCY cycles after `read_word` and `slot`: R scales of 8 bits; DIGIT_LATENCY cycles after them and
    `plane`: R digits of 2 bits (C1).

    Reads come in the order of the stream, so the words of the next block may overwrite those of this one.
    """
    m = Module("scale_decoder", "Group scales and zero points out of the header words.")
    rows = parameters.rows
    scale_format, c9 = m.input("scale_format", 2), m.input("c9", 9)
    write, write_word = m.input("write"), m.input("write_word", parameters.scale_index_bits)
    data = m.input("data", parameters.beat)
    read_word, slot = m.input("read_word", parameters.scale_index_bits), m.input("slot", 3)
    plane = delay_stages(m, "plane", m.input("plane", 3), 3)
    memory = Memory(m, "words", parameters.max_scale_words, parameters.beat)
    memory.write(write_word, data, write)
    header = m.register("header", memory.read(read_word))

    six, paired = m.register("is_s6", scale_format == S6), m.register("is_s8c8", scale_format == S8C8)
    slot_1 = m.register("slot_1", slot)
    # Places: 0 … 3 bytes; 4 … 6 the 6-bit fields that lie across bytes (field 4 is byte 3, whose top bits are zero).
    six_place = select(slot_1, [m.constant(place, 3) for place in (0, 4, 5, 6, 3)])
    byte_place = mux(paired, concat(m.constant(0, 1), slot_1[0], m.constant(0, 1)), slot_1 & 3)
    place = m.register("place", mux(six, six_place, byte_place))
    second_pair = m.register("second_pair", slot_1[0])

    first_plane = m.register("first_plane", plane[2] == 0)
    common_low = m.register("common_low", select(plane[2], [c9[7 - p] for p in range(8)]))
    scales, digits = list[Signal](), list[Signal]()
    for row in range(rows):
        word = header[COLUMNS * row : COLUMNS * (row + 1)]
        scales.append(m.register(f"scale_{row}", _scale(m, word, place, six)))
        c8 = m.register(f"c8_{row}", mux(second_pair, word[24:32], word[8:16]))
        own_low = select(plane[3], [*(c8[6 - p] for p in range(7)), m.constant(0, 1)])
        high = first_plane & mux(paired, c8[7], c9[8])
        digits.append(m.register(f"digit_{row}", concat(high, mux(paired, own_low, common_low))))
    m.output("scales", concat(*reversed(scales)))
    m.output("digits", concat(*reversed(digits)))
    return m


def _scale(m: Module, word: Signal, place: Signal, six: Signal) -> Signal:
    low = select(place, [word[start : start + 6] for start in (0, 8, 16, 24, 6, 12, 18)])
    high = select(place[0:2], [word[start : start + 2] for start in (6, 14, 22, 30)])
    return concat(mux(six, 0, high), low)
