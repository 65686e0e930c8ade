"""The packer against blocks written out by hand from compiler/processor/README.md."""

import zlib

import numpy as np
import pytest

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.numbers.pack import Descriptor, QuantizedRows, activation_images, pack_layer


def words(segment: bytes) -> list[list[int]]:
    """64-bit beats as two slices each."""
    return np.frombuffer(segment, "<u4").reshape(-1, 2).tolist()


def test_a_block_by_hand() -> None:
    # Two rows, 65 columns: 3 tiles, in groups of 2 tiles, the second of which is short; 2 bits.
    codes = np.zeros((2, 65), np.uint8)
    codes[0, [0, 31, 32, 64]] = [3, 1, 2, 3]
    codes[1, 1] = 2
    rows = QuantizedRows(
        Format(2, 64, "s6", "half_step"),
        codes,
        np.array([[1, 63], [2, 5]], np.uint8),
        np.array([0x3F80, 0x4000], np.uint16),
    )
    (segment,) = pack_layer(rows, Geometry(rows.format, 2, 65, 64))
    body = [
        [0x3F80 | 1 << 16 | 63 << 22, 0x4000 | 2 << 16 | 5 << 22],
        [1, 2],  # group 0, plane 1, tile 0
        [1, 0],  # group 0, plane 1, tile 1
        [1 | 1 << 31, 0],  # group 0, plane 0, tile 0
        [0, 0],  # group 0, plane 0, tile 1
        [1, 0],  # group 1, plane 1
        [1, 0],  # group 1, plane 0
    ]
    crc = zlib.crc32(np.array(body, "<u4").tobytes())
    assert words(segment) == [*body, [crc, 0]]


def test_pairs_of_scale_and_zero_point() -> None:
    rows = QuantizedRows(
        Format(3, 32, "s8c8", "asymmetric"),
        np.zeros((1, 96), np.uint8),
        np.array([[200, 7, 255]], np.uint8),
        np.array([0x3F80], np.uint16),
        np.array([[254, 0, 0x92]], np.uint8),
    )
    (segment,) = pack_layer(rows, Geometry(rows.format, 1, 96, 64))
    # The padded row is all zero.
    assert words(segment)[:2] == [[0x3F80 | 200 << 16 | 254 << 24, 0], [7 | 255 << 16 | 0x92 << 24, 0]]


@pytest.mark.parametrize(("bits", "c8"), [(1, 16), (2, 4), (3, 1)])
def test_zero_points_finer_than_the_engine_looks_are_refused(bits: int, c8: int) -> None:
    rows = QuantizedRows(
        Format(bits, 32, "s8c8", "asymmetric"),
        np.zeros((1, 32), np.uint8),
        np.ones((1, 1), np.uint8),
        np.array([0x3F80], np.uint16),
        np.array([[c8]], np.uint8),
    )
    with pytest.raises(ElastixError, match=f"zero points that .* has no bits for; wanted: c8 a multiple of {2 * c8}"):
        pack_layer(rows, Geometry(rows.format, 1, 32, 64))


def test_four_scales_in_a_word() -> None:
    rows = QuantizedRows(
        Format(1, 32),
        np.zeros((1, 224), np.uint8),
        np.array([[1, 2, 3, 4, 5, 6, 7]], np.uint8),
        np.array([0x3F80], np.uint16),
    )
    (segment,) = pack_layer(rows, Geometry(rows.format, 1, 224, 64))
    assert words(segment)[:3] == [[0x02013F80, 0], [0x06050403, 0], [7, 0]]


def test_blocks_are_dealt_to_channels_in_turn() -> None:
    rows = QuantizedRows(
        Format(1, 32),
        np.zeros((5, 1), np.uint8),
        np.zeros((5, 1), np.uint8),
        np.array([1, 2, 3, 4, 5], np.uint16) << 7,
    )
    first, second = pack_layer(rows, Geometry(rows.format, 5, 1, 64, channels=2))
    assert [beat for beat in words(first)[:-1] if any(beat)] == [[1 << 7, 2 << 7], [5 << 7, 0]]
    assert [beat for beat in words(second)[:-1] if any(beat)] == [[3 << 7, 4 << 7]]


def test_a_channel_without_blocks_has_the_crc_of_nothing() -> None:
    rows = QuantizedRows(Format(1, 32), np.ones((1, 1), np.uint8), np.ones((1, 1), np.uint8), np.ones(1, np.uint16))
    assert pack_layer(rows, Geometry(rows.format, 1, 1, 64, channels=2))[1] == bytes(8)


def test_the_descriptor_by_hand() -> None:
    geometry = Geometry(Format(4, 64, "s6", "half_step"), 19, 172, 256, channels=2)
    raw = Descriptor.of(geometry, weights=0x1_0000_2000, x=0x4000, y=0x2_0000_0000, tokens=3).encode()
    expected = [0x03010401, 3, 6 | 2 << 16, 255, 0x2000, 1, 4096, 2, 0x4000, 0, 0, 2, 26, 0, 0]
    assert np.frombuffer(raw, "<u4").tolist() == [*expected, zlib.crc32(raw[:60])]


def test_what_is_no_descriptor() -> None:
    raw = Descriptor.of(Geometry(Format(4), 1, 1, 64), weights=0, x=0, y=0).encode()
    for bad in (raw[:63], bytes([raw[0] ^ 2]) + raw[1:]):
        with pytest.raises(ElastixError, match="64 bytes that are no descriptor"):
            Descriptor.decode(bad)
    with pytest.raises(ElastixError, match="a descriptor with tokens = 256; wanted: 0 to 255"):
        Descriptor.of(Geometry(Format(4), 1, 1, 64), weights=0, x=0, y=0, tokens=256)


def test_activation_images() -> None:
    x = np.arange(1, 34, dtype=np.int16)[None] * -1
    image = activation_images(x, np.array([-5], np.int32))
    assert image.shape == (1, 192)
    slots = image.view("<i2").reshape(3, 32).tolist()
    assert slots == [[-5, *[0] * 31], list(range(-1, -33, -1)), [-33, *[0] * 31]]


def test_a_layer_of_another_shape_is_refused() -> None:
    rows = QuantizedRows(Format(1, 32), np.ones((1, 1), np.uint8), np.ones((1, 1), np.uint8), np.ones(1, np.uint16))
    with pytest.raises(ElastixError, match="1 × 1 weights in format 1b g32 s8 symmetric; wanted: 2 × 1"):
        pack_layer(rows, Geometry(rows.format, 2, 1, 64))
