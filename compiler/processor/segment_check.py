"""CRC-32 over a weight segment while it streams by; the last beat is compared and swallowed."""

import zlib
from functools import cache

from elastix.compiler.circuit import Module, Signal, concat, mux

CRC_BITS = 32
_ALL_ONES = (1 << CRC_BITS) - 1


@cache
def crc_masks(bits: int) -> tuple[int, ...]:
    """For each bit of the CRC register after `bits` bits of data (a multiple of 32): the data bits whose parity it is.

    The register begins with zeros here. One that begins with v gives the same as data whose first 32 bits are xored
    with v (CRC-32 of IEEE 802.3, reflected: the first bit is the lowest of the first byte, hence bit 0 of a beat).
    """
    size = bits // 8

    def register_after(data: int) -> int:
        # crc32 xors its start value and its result with ones; a difference of two of them is free of both.
        return zlib.crc32(data.to_bytes(size, "little")) ^ zlib.crc32(bytes(size))

    masks = [0] * CRC_BITS
    for position in range(bits):
        after = register_after(1 << position)
        for bit in range(CRC_BITS):
            masks[bit] |= (after >> bit & 1) << position
    return tuple(masks)


def _parities(data: Signal, masks: tuple[int, ...]) -> Signal:
    low = (1 << data.width) - 1
    return concat(*((data & (mask & low)).parity() for mask in reversed(masks)))


@cache
def segment_check(beat: int, check: bool) -> Module:
    """CRC-32 over a channel's stream, between reader and engine: all beats but the last go on, one a cycle.

    `start` (pulse): a new segment. in_valid, in_data, in_last, in_ready: the stream; out_valid, out_ready: the
    same beat for the engine. `taken`: a beat is taken in this cycle, the last one included. in_last marks the CRC
    beat. `finished` (level, from the segment's end to the next `start`): all beats are taken and the CRC was
    right. `bad` (pulse): it was not. Without `check` every segment counts as right.
    """
    m = Module("segment_check", segment_check.__doc__, {"beat": beat, "check": check})
    start = m.input("start")
    in_valid, in_last = m.input("in_valid"), m.input("in_last")
    out_ready = m.input("out_ready")
    taken = m.named("taken_now", in_valid & (in_last | out_ready))
    m.output("out_valid", in_valid & ~in_last)
    m.output("in_ready", in_last | out_ready)
    m.output("taken", taken)
    end = m.named("end", taken & in_last)
    finished = m.state("finished_q", 1, reset=0)
    m.output("finished", finished)
    if not check:
        finished.next(~start & (finished | end))
        m.output("bad", m.constant(0, 1))
        return m

    data = m.input("in_data", beat)
    # Two steps, since the CRC is linear: what the beat adds, then the register moved on by a beat.
    body = m.register("body", taken & ~in_last & ~start, reset=0)
    added = m.register("added", _parities(data, crc_masks(beat)), enable=taken)
    crc = m.state("crc", CRC_BITS, reset=_ALL_ONES)
    moved = _parities(crc, crc_masks(beat)) ^ added
    crc.next(mux(start, _ALL_ONES, moved), enable=start | body)
    expected = m.register("expected", data[0:CRC_BITS], enable=end)
    compare = m.delay("compare", end & ~start, 2, reset=0)
    right = m.named("right", ~crc == expected)
    finished.next(~start & (finished | (compare & right)))
    m.output("bad", m.register("bad_q", compare & ~right, reset=0))
    return m
