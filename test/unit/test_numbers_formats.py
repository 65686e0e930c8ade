"""Formats: what is refused, in which words; a layer's geometry worked out by hand."""

import pytest

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.formats import SCALE_FORMATS, Format, Geometry, accumulator_bits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 64, "s8", "symmetric"), "weights of 0 bits; wanted: 1 to 8 bits"),
        ((9, 64, "s8", "symmetric"), "weights of 9 bits; wanted: 1 to 8 bits"),
        ((4, 48, "s8", "symmetric"), "a group of 48 columns; wanted: a multiple of 32 from 32 to 256"),
        ((4, 288, "s8", "symmetric"), "a group of 288 columns; wanted: a multiple of 32 from 32 to 256"),
        ((4, 0, "s8", "symmetric"), "a group of 0 columns; wanted: a multiple of 32 from 32 to 256"),
        ((4, 64, "s7", "symmetric"), "scale format 's7'; wanted: s8 or s6 or s8c8"),
        ((4, 64, "s8", "zero"), "zero point 'zero'; wanted: symmetric or half_step or asymmetric"),
        (
            (4, 64, "s8", "asymmetric"),
            "scale format s8 with zero point asymmetric; "
            "wanted: s8c8 with asymmetric, s8 or s6 with symmetric or half_step",
        ),
        (
            (4, 64, "s8c8", "half_step"),
            "scale format s8c8 with zero point half_step; "
            "wanted: s8c8 with asymmetric, s8 or s6 with symmetric or half_step",
        ),
    ],
)
def test_what_is_no_format(arguments: tuple[int, int, str, str], message: str) -> None:
    with pytest.raises(ElastixError) as error:
        Format(*arguments)
    assert str(error.value) == message


def test_short_form() -> None:
    assert str(Format(4, 64, "s6", "half_step")) == "4b g64 s6 half_step"
    assert Format.parse("8b g256 s8c8 asymmetric") == Format(8, 256, "s8c8", "asymmetric")


@pytest.mark.parametrize(
    "text", ["", "4b", "4 g64 s6 half_step", "b g64 s6 half_step", "4b 64 s6 half_step", "²b g64 s6 half_step"]
)
def test_what_is_no_short_form(text: str) -> None:
    with pytest.raises(ElastixError, match="wanted: a format such as '4b g64 s6 half_step'"):
        Format.parse(text)


def test_zero_points() -> None:
    assert (Format(3).z16, Format(3).c9) == (4 * 16, 256)
    assert (Format(3, zero="half_step").z16, Format(3, zero="half_step").c9) == (3.5 * 16, 255)


@pytest.mark.parametrize(
    ("bits", "looked_at", "step"),
    [
        (1, 3, 1 / 4),
        (2, 5, 1 / 8),
        (3, 7, 1 / 16),
        (4, 8, 1 / 16),
        (5, 8, 1 / 8),
        (6, 8, 1 / 4),
        (7, 8, 1 / 2),
        (8, 8, 1),
    ],
)
def test_free_zero_points(bits: int, looked_at: int, step: float) -> None:
    form = Format(bits, 32, "s8c8", "asymmetric")
    assert (form.zero_bits, form.c8_step, form.z_step) == (looked_at, 256 >> looked_at, step)
    assert (Format(bits).zero_bits, form.z16) == (0, 2 ** (bits - 1) * 16)


def test_entries_of_the_header() -> None:
    """As many entries as fit beside the row scale, then as many as fit in each word."""
    found = {f.name: (f.first, f.per_word, [f.header_words(n) for n in (1, 2, 3, 6, 7, 18)]) for f in SCALE_FORMATS}
    assert found == {
        "s8": (2, 4, [1, 1, 2, 2, 3, 5]),
        "s6": (2, 5, [1, 1, 2, 2, 2, 5]),
        "s8c8": (1, 2, [1, 2, 2, 4, 4, 10]),
    }


def test_geometry_by_hand() -> None:
    # 172 columns: 6 tiles, 3 groups of 2 tiles, two scales with the row scale, one in a word; 19 rows: 3 blocks of 8.
    geometry = Geometry(Format(4, 64, "s6", "half_step"), 19, 172, 256, channels=2)
    assert (geometry.block_rows, geometry.row_blocks, geometry.tiles, geometry.groups) == (8, 3, 6, 3)
    assert (geometry.header_words, geometry.block_beats) == (2, 2 + 4 * 6)
    assert [geometry.channel_blocks(c) for c in (0, 1)] == [2, 1]
    assert [geometry.segment_beats(c) for c in (0, 1)] == [53, 27]
    assert geometry.segment_bytes() == 53 * 32
    assert (geometry.channel_stride, geometry.total_bytes) == (4096, 8192)
    assert geometry.bits_per_weight == 80 * 256 / (19 * 172)
    assert (geometry.activation_bytes, geometry.result_bytes) == (64 * 7, 96)


def test_one_weight() -> None:
    geometry = Geometry(Format(1), 1, 1, 64, channels=2)
    assert (geometry.row_blocks, geometry.tiles, geometry.groups, geometry.block_beats) == (1, 1, 1, 2)
    assert [geometry.segment_beats(c) for c in (0, 1)] == [3, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 5, 256, 1), "a layer of 0 × 5 weights"),
        ((5, 0, 256, 1), "a layer of 5 × 0 weights"),
        ((5, 5, 96, 1), "a beat of 96 bits; wanted: 64, 128, 256 or 512"),
        ((5, 5, 64, 0), "0 channels"),
        ((5, 1 << 21, 64, 1), "a layer of 2097152 columns; wanted: at most 2097120"),
    ],
)
def test_what_has_no_geometry(arguments: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(ElastixError, match=message):
        Geometry(Format(4), *arguments)


@pytest.mark.parametrize(("k", "a"), [(1, 8), (576, 11), (1536, 11), (2097120, 12)])
def test_accumulators_hold_the_largest_sum(k: int, a: int) -> None:
    largest = 255 * k * (1 << (a - 1)) * 4095
    assert largest < 1 << (accumulator_bits(k, a) - 1) <= 2 * largest
    assert accumulator_bits(k, a) <= 53
