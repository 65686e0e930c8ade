"""The descriptor's beats as registers, and whether the processor can carry it out; layout in README.md."""

from dataclasses import dataclass

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.numbers.formats import SCALE_FORMATS
from elastix.compiler.processor.axi import ADDRESS_BITS, offset_bits
from elastix.compiler.processor.burst_reader import BLOCK_BEATS_BITS
from elastix.compiler.processor.parameters import MAX_BITS, MAX_GROUP_TILES, ProcessorParameters

DESCRIPTOR_BITS = 512
LOOKED_AT_BITS = 15 * 32
"""The words before the CRC, which the host has checked."""
LINEAR = 1
_HIGH_ADDRESS_BITS = ADDRESS_BITS - 32
# Bits in use of each word; the others must be zero.
_USED = (
    32,
    32,
    32,
    9,
    32,
    _HIGH_ADDRESS_BITS,
    32,
    16,
    32,
    _HIGH_ADDRESS_BITS,
    32,
    _HIGH_ADDRESS_BITS,
    BLOCK_BEATS_BITS,
    0,
    0,
)


@dataclass(frozen=True)
class DescriptorFields:
    """Registers, valid when the descriptor is complete. `tiles` and `tokens` are full fields; addresses are in bytes.

    complete: pulse, the cycle in which the last beat comes. bad: level, right from two cycles after `complete` on.
    """

    bits: Signal
    scale_format: Signal
    tokens: Signal
    row_blocks: Signal
    tiles: Signal
    group_tiles: Signal
    c9: Signal
    weights: Signal
    channel_stride: Signal
    header_words: Signal
    x: Signal
    y: Signal
    block_beats: Signal
    complete: Signal
    bad: Signal


def descriptor_fields(
    m: Module, p: ProcessorParameters, start: Signal, valid: Signal, data: Signal, address: Signal
) -> DescriptorFields:
    """Registers in `m` that take the descriptor's beats, `data` (its first 480 bits, if a beat has more) when `valid`.

    Bad are, beside fields out of range: bits set that mean nothing, a descriptor at no multiple of 64, addresses or a
    stride that are no multiple of the beat, and beats of a block that do not follow from the other fields.
    """
    offset = offset_bits(p.beat)
    beats = DESCRIPTOR_BITS // p.beat
    words_per_beat = p.beat // 32
    if beats > 1:
        beat = m.state("descriptor_beat", (beats - 1).bit_length(), reset=0)
        beat.next(mux(start, 0, beat + 1), enable=start | valid)
        now = [valid & (beat == i) for i in range(beats)]
    else:
        now = [valid]

    def word(index: int) -> Signal:
        at = index % words_per_beat * 32
        return m.register(f"word_{index}", data[at : at + _USED[index]], enable=now[index // words_per_beat])

    words = [word(index) if used else None for index, used in enumerate(_USED)]
    w = [value for value in words if value is not None]
    reserved = list[Signal]()
    for index, used in enumerate(_USED):
        at = index % words_per_beat * 32
        if used < 32:
            reserved.append(now[index // words_per_beat] & data[at + used : at + 32].any())
    reserved_set = m.state("reserved_set", 1, reset=0)
    reserved_set.next(~start & (reserved_set | concat(*reserved).any()))

    opcode, bits, scale_format, tokens = (w[0][at : at + 8] for at in range(0, 32, 8))
    tiles, group_tiles = w[2][0:16], w[2][16:32]
    # bits x tiles as four additions; looked at two cycles later, with fields that no longer change.
    tile_beats = m.constant(0, BLOCK_BEATS_BITS)
    for bit in range(MAX_BITS.bit_length()):
        tile_beats = tile_beats + (mux(bits[bit], tiles, 0).zext(BLOCK_BEATS_BITS) << bit)
    wanted_beats = m.register("wanted_beats", tile_beats + w[7].zext(BLOCK_BEATS_BITS))
    unaligned = address[0:6].any() | concat(*(w[index][0:offset] for index in (4, 6, 8, 10))).any()
    out_of_range = (
        reserved_set
        | unaligned
        | (opcode != LINEAR)
        | (bits == 0)
        | (bits > MAX_BITS)
        | (scale_format >= len(SCALE_FORMATS))
        | (tokens == 0)
        | (tokens > p.lanes)
        | (tiles == 0)
        | (tiles > p.max_tiles)
        | (group_tiles == 0)
        | (group_tiles > MAX_GROUP_TILES)
        | (w[1] == 0)
        | (w[7] == 0)
    )
    bad = m.register("out_of_range", out_of_range) | (w[12] != wanted_beats)
    return DescriptorFields(
        bits=bits[0:4],
        scale_format=scale_format[0:2],
        tokens=tokens[0:4],
        row_blocks=w[1],
        tiles=tiles[0 : p.tile_count_bits],
        group_tiles=group_tiles[0:4],
        c9=w[3],
        weights=concat(w[5], w[4]),
        channel_stride=w[6],
        header_words=w[7],
        x=concat(w[9], w[8]),
        y=concat(w[11], w[10]),
        block_beats=w[12],
        complete=now[-1],
        bad=m.named("bad_fields", bad),
    )
