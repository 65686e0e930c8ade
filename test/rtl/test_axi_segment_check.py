"""The CRC of a segment against zlib's, at every width, with pauses on both sides."""

import zlib
from functools import cache
from random import Random

import pytest
from simulated import Simulated

from elastix.compiler.processor.segment_check import segment_check

BEATS = (64, 128, 256, 512)


@cache
def simulated(beat: int, check: bool = True) -> Simulated:
    return Simulated(segment_check(beat, check))


def stream(
    dut: Simulated, segment: list[bytes], random: Random, willing: float, check: bool = True
) -> tuple[list[bytes], bool, bool]:
    """What comes out, whether the end was `finished`, whether `bad` was seen."""
    dut.set(start=1, in_valid=0, in_last=0, out_ready=0)
    dut.step()
    dut.set(start=0)
    out, at, bad = list[bytes](), 0, False
    for _ in range(100 + 20 * len(segment)):
        offered = at < len(segment) and random.random() < willing
        values = {"in_data": int.from_bytes(segment[at], "little")} if offered and check else {}
        dut.set(in_valid=int(offered), in_last=int(offered and at == len(segment) - 1), out_ready=0, **values)
        dut.set(out_ready=int(random.random() < willing))
        dut.settle()
        bad |= bool(dut.get("bad"))
        assert dut.get("taken") == int(offered and dut.get("in_ready"))
        if offered and dut.get("in_ready"):
            if dut.get("out_valid"):
                out.append(segment[at])
            at += 1
        dut.step()
    return out, bool(dut.get("finished")), bad


def random_segment(random: Random, beat: int, blocks: int) -> list[bytes]:
    body = [random.randbytes(beat // 8) for _ in range(blocks)]
    return [*body, zlib.crc32(b"".join(body)).to_bytes(4, "little") + random.randbytes(beat // 8 - 4)]


@pytest.mark.parametrize("beat", BEATS)
@pytest.mark.parametrize("willing", [1.0, 0.5])
def test_right_segments_pass_and_lose_their_last_beat(beat: int, willing: float) -> None:
    random = Random(beat)
    for blocks in (0, 1, 2, 3, 37):
        segment = random_segment(random, beat, blocks)
        assert stream(simulated(beat), segment, random, willing) == (segment[:-1], True, False)


@pytest.mark.parametrize("beat", BEATS)
def test_any_flipped_bit_is_noticed(beat: int) -> None:
    random = Random(beat)
    for _ in range(40):
        segment = random_segment(random, beat, random.randrange(1, 6))
        at = random.randrange(len(segment))
        bit = random.randrange(32 if at == len(segment) - 1 else beat)
        word = int.from_bytes(segment[at], "little") ^ 1 << bit
        segment[at] = word.to_bytes(beat // 8, "little")
        assert stream(simulated(beat), segment, random, 1.0) == (segment[:-1], False, True)


def test_a_processor_without_check_takes_any_crc() -> None:
    random = Random(1)
    segment = [random.randbytes(8) for _ in range(5)]
    assert stream(simulated(64, check=False), segment, random, 0.7, check=False) == (segment[:-1], True, False)
