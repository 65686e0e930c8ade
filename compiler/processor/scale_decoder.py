"""Group scales and zero points of R rows, out of the header words of their block."""

from collections.abc import Sequence
from typing import Final, TypeVar

from elastix.compiler.circuit import Memory, Module, Signal, concat, mux, select
from elastix.compiler.processor.header_slots import SLOT_BITS, SLOTS, lookup
from elastix.compiler.processor.parameters import COLUMNS, MAX_BITS, ProcessorParameters, index_bits
from elastix.compiler.processor.pipeline import delay_stages

T = TypeVar("T")
SCALE_LATENCY = 3
DIGIT_LATENCY = 4
FINE_BITS: Final = {bits: max(min(bits, 7 - bits), 0) for bits in range(1, MAX_BITS + 1)}
"""Bits of c8 below the digits that are looked at, by the bits of a code: one in each of as many planes, the last."""
NO_FINE_BIT: Final = 7

# Bits where an entry's s begins, those of 8-bit ones first; and where its c8 begins, with the bits that it has.
_EIGHT: Final = sorted({at for slots in SLOTS if slots.layout.scale_bits == 8 for at in slots.at})
_SCALES: Final = _EIGHT + sorted({at for slots in SLOTS for at in slots.at} - set(_EIGHT))
_ZEROS: Final = sorted(
    {
        (at + slots.layout.scale_bits, slots.layout.zero_bits)
        for slots in SLOTS
        for at in slots.at
        if slots.layout.zero_bits
    }
)


def scale_decoder(parameters: ProcessorParameters) -> Module:
    """SCALE_LATENCY cycles after `read_word` and `slot`: R scales of 8 bits; DIGIT_LATENCY cycles after them and
    `plane`: R digits of 2 bits and R fine bits (C1). `bits` is 0 for codes of 8.

    Reads come in the order of the stream, so the words of the next block may overwrite those of this one.
    """
    m = Module("scale_decoder", "Group scales and zero points out of the header words.")
    rows = parameters.rows
    bits, scale_format, c9 = m.input("bits", 3), m.input("scale_format", 2), m.input("c9", 9)
    write, write_word = m.input("write"), m.input("write_word", parameters.header_index_bits)
    data = m.input("data", parameters.beat)
    read_word, slot = m.input("read_word", parameters.header_index_bits), m.input("slot", SLOT_BITS)
    plane = delay_stages(m, "plane", m.input("plane", 3), 3)
    memory = Memory(m, "words", parameters.max_header_words, parameters.beat)
    memory.write(write_word, data, write)
    header = m.register("header", memory.read(read_word))

    slot_1 = m.register("slot_1", slot)
    wide = m.register("is_8_bits", lookup(m, scale_format, [int(slots.layout.scale_bits == 8) for slots in SLOTS], 1))
    free = m.register("zero_is_free", lookup(m, scale_format, [int(slots.layout.zero_bits > 0) for slots in SLOTS], 1))
    scale_place = m.register("scale_place", _place(m, scale_format, slot_1, [s.at for s in SLOTS], _SCALES))
    zero_at = [[(at + s.layout.scale_bits, s.layout.zero_bits) for at in s.at] for s in SLOTS]
    zero_place = m.register("zero_place", _place(m, scale_format, slot_1, zero_at, _ZEROS))

    # Plane j takes c8[6 − j] as its digit; the planes that have a fine bit take c8[6 − j − FINE_BITS] as that.
    first_plane = m.register("first_plane", plane[2] == 0)
    common_low = m.register("common_low", select(plane[2], [c9[7 - p] for p in range(8)]))
    fine_place = m.register("fine_place", mux(free, _fine_place(m, bits, plane[2]), NO_FINE_BIT))
    scales, digits, fines = list[Signal](), list[Signal](), list[Signal]()
    for row in range(rows):
        word = header[COLUMNS * row : COLUMNS * (row + 1)]
        scales.append(m.register(f"scale_{row}", _scale(word, scale_place, wide)))
        c8 = m.register(f"c8_{row}", select(zero_place, [_top(m, word[at : at + width]) for at, width in _ZEROS]))
        lower = [*(c8[6 - p] for p in range(7)), m.constant(0, 1)]
        high = first_plane & mux(free, c8[7], c9[8])
        digits.append(m.register(f"digit_{row}", concat(high, mux(free, select(plane[3], lower), common_low))))
        fines.append(m.register(f"fine_{row}", select(fine_place, lower)))
    m.output("scales", concat(*reversed(scales)))
    m.output("digits", concat(*reversed(digits)))
    m.output("fines", concat(*reversed(fines)))
    return m


def _place(m: Module, scale_format: Signal, slot: Signal, at: Sequence[Sequence[T]], all_places: Sequence[T]) -> Signal:
    """The number, among `all_places`, of a slot's place; 0 where the format has none."""
    width = index_bits(len(all_places))
    by_format = [
        lookup(m, slot, [all_places.index(place) if place in all_places else 0 for place in places], width)
        for places in at
    ]
    return select(scale_format, by_format)


def _fine_place(m: Module, bits: Signal, plane: Signal) -> Signal:
    """j + FINE_BITS for plane j of those that have a fine bit, else NO_FINE_BIT."""
    by_bits = [
        [plane + FINE_BITS[b] if b - FINE_BITS[b] <= plane < b else NO_FINE_BIT for plane in range(MAX_BITS)]
        for b in (MAX_BITS, *range(1, MAX_BITS))
    ]
    return select(bits, [lookup(m, plane, places, 3) for places in by_bits])


def _scale(word: Signal, place: Signal, wide: Signal) -> Signal:
    """s of the entry at a place, without the bits above it."""
    low = select(place, [word[at : at + 6] for at in _SCALES])
    high = select(place[0 : index_bits(len(_EIGHT))], [word[at + 6 : at + 8] for at in _EIGHT])
    return concat(mux(wide, high, 0), low)


def _top(m: Module, value: Signal) -> Signal:
    return concat(value, m.constant(0, 8 - value.width)) if value.width < 8 else value
