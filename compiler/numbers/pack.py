"""Quantized layers, descriptors and activations as the bytes that the processor reads.

Layout: compiler/processor/README.md. Everything is little endian.
"""

import zlib
from collections.abc import Iterator
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.formats import SCALE_FORMATS, Format, Geometry

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class QuantizedRows:
    """Rows of a layer as integers: w = 16·rowscale · s · (q − z), rowscale being the stored one.

    codes: uint8 [rows, K]; scales: uint8 [rows, groups]; rowscale: uint16 [rows], bf16 patterns, a sixteenth of the
    row's scale; zeros: uint8 [rows, groups], c8 of each group, z = c8·2^b/256, for asymmetric formats and no others.
    """

    format: Format
    codes: NDArray[np.uint8]
    scales: NDArray[np.uint8]
    rowscale: NDArray[np.uint16]
    zeros: NDArray[np.uint8] | None = None

    @property
    def rows(self) -> int:
        return self.codes.shape[0]

    @property
    def columns(self) -> int:
        return self.codes.shape[1]

    @property
    def z16(self) -> NDArray[np.int64]:
        """Z of each group (C1): int64 [rows, groups]."""
        if self.zeros is None:
            return np.full(self.scales.shape, self.format.z16, np.int64)
        return (self.zeros.astype(np.int64) << self.format.bits) >> 4

    def slice(self, start: int, stop: int) -> "QuantizedRows":
        """Rows start … stop − 1."""
        here = slice(start, stop)
        zeros = None if self.zeros is None else self.zeros[here]
        return QuantizedRows(self.format, self.codes[here], self.scales[here], self.rowscale[here], zeros)


def _header_words(rows: QuantizedRows, geometry: Geometry) -> NDArray[np.uint32]:
    """Row-scale word with the first entries, then the words of the others: uint32 [rows, header_words]."""
    form, layout = rows.format, rows.format.scale_format
    entries = rows.scales.astype(np.uint32)
    if rows.zeros is not None:
        if (rows.zeros % form.c8_step).any():
            raise ElastixError(f"zero points that {form} has no bits for", wanted=f"c8 a multiple of {form.c8_step}")
        entries |= rows.zeros.astype(np.uint32) >> (8 - layout.zero_bits) << layout.scale_bits
    words = np.zeros((rows.rows, geometry.header_words), np.uint32)
    words[:, 0] = rows.rowscale
    for group in range(geometry.groups):
        if group < layout.first:
            word, shift = 0, 16 + group * layout.entry_bits
        else:
            word, place = divmod(group - layout.first, layout.per_word)
            word, shift = word + 1, place * layout.entry_bits
        words[:, word] |= entries[:, group] << np.uint32(shift)
    return words


def _plane_words(codes: NDArray[np.uint8], plane: int) -> NDArray[np.uint32]:
    """One bit plane of codes [..., 32·n] as words [..., n], bit j of a word being column j."""
    return np.packbits(codes & np.uint8(1 << plane), axis=-1, bitorder="little").view("<u4")


def pack_blocks(rows: QuantizedRows, geometry: Geometry) -> Bytes:
    """Whole row blocks, in order and without CRC: uint8 [blocks, block_beats · D/8]. The last one is padded."""
    form, r = rows.format, geometry.block_rows
    blocks = -(-rows.rows // r)
    words = np.zeros((blocks, geometry.block_beats, r), "<u4")

    header = np.zeros((blocks * r, geometry.header_words), np.uint32)
    header[: rows.rows] = _header_words(rows, geometry)
    words[:, : geometry.header_words] = header.reshape(blocks, r, -1).transpose(0, 2, 1)

    padded = rows.codes
    if padded.shape != (blocks * r, 32 * geometry.tiles):
        padded = np.zeros((blocks * r, 32 * geometry.tiles), np.uint8)
        padded[: rows.rows, : rows.columns] = rows.codes

    # Full groups as one array [blocks, group, plane, tile, r]; then the short last group, if there is one.
    full, gt, b = geometry.tiles // form.group_tiles, form.group_tiles, form.bits
    body = words[:, geometry.header_words :]
    groups = body[:, : full * b * gt].reshape(blocks, full, b, gt, r)
    rest = body[:, full * b * gt :].reshape(blocks, b, -1, r)
    for plane in range(b):
        bits = _plane_words(padded, plane).reshape(blocks, r, -1).transpose(0, 2, 1)
        groups[:, :, b - 1 - plane] = bits[:, : full * gt].reshape(blocks, full, gt, r)
        rest[:, b - 1 - plane] = bits[:, full * gt :]
    return words.view(np.uint8).reshape(blocks, -1)


def crc_beat(crc: int, geometry: Geometry) -> bytes:
    """The last beat of a segment."""
    return crc.to_bytes(4, "little").ljust(geometry.beat_bytes, b"\0")


def pack_layer(rows: QuantizedRows, geometry: Geometry) -> list[bytes]:
    """The segment of each channel, CRC beat included; a channel without blocks gets the CRC of nothing, 0."""
    if (rows.rows, rows.columns, rows.format) != (geometry.rows, geometry.columns, geometry.format):
        raise ElastixError(
            f"{rows.rows} × {rows.columns} weights in format {rows.format}",
            wanted=f"{geometry.rows} × {geometry.columns} in format {geometry.format}",
        )
    blocks = pack_blocks(rows, geometry)
    bodies = [blocks[channel :: geometry.channels].tobytes() for channel in range(geometry.channels)]
    return [body + crc_beat(zlib.crc32(body), geometry) for body in bodies]


def place_segments(segments: list[bytes], geometry: Geometry) -> Iterator[tuple[int, bytes]]:
    """Each segment with its offset from channel 0's."""
    for channel, segment in enumerate(segments):
        yield channel * geometry.channel_stride, segment


@dataclass(frozen=True)
class Descriptor:
    """One launch, 64 bytes in memory. Addresses and channel_stride in bytes."""

    bits: int
    scale_code: int
    tokens: int
    row_blocks: int
    tiles: int
    group_tiles: int
    c9: int
    weights: int
    channel_stride: int
    header_words: int
    x: int
    y: int
    block_beats: int

    def __post_init__(self) -> None:
        limits = (256, 256, 256, 1 << 32, 1 << 16, 1 << 16, 512, 1 << 64, 1 << 32, 1 << 16, 1 << 64, 1 << 64, 1 << 32)
        for name, value, limit in zip(self.__dataclass_fields__, astuple(self), limits, strict=True):
            if not 0 <= value < limit:
                raise ElastixError(f"a descriptor with {name} = {value}", wanted=f"0 to {limit - 1}")

    @classmethod
    def of(cls, geometry: Geometry, *, weights: int, x: int, y: int, tokens: int = 1) -> "Descriptor":
        """The launch of a layer at these addresses over this many tokens."""
        form = geometry.format
        return cls(
            bits=form.bits,
            scale_code=form.scale_code,
            tokens=tokens,
            row_blocks=geometry.row_blocks,
            tiles=geometry.tiles,
            group_tiles=form.group_tiles,
            c9=form.c9,
            weights=weights,
            channel_stride=geometry.channel_stride,
            header_words=geometry.header_words,
            x=x,
            y=y,
            block_beats=geometry.block_beats,
        )

    def encode(self) -> bytes:
        """The 64 bytes, CRC included."""
        low = 0xFFFFFFFF
        words = [
            1 | self.bits << 8 | self.scale_code << 16 | self.tokens << 24,
            self.row_blocks,
            self.tiles | self.group_tiles << 16,
            self.c9,
            self.weights & low,
            self.weights >> 32,
            self.channel_stride,
            self.header_words,
            self.x & low,
            self.x >> 32,
            self.y & low,
            self.y >> 32,
            self.block_beats,
            0,
            0,
        ]
        body = np.array(words, "<u4").tobytes()
        return body + zlib.crc32(body).to_bytes(4, "little")

    @classmethod
    def decode(cls, raw: bytes) -> "Descriptor":
        """The inverse of `encode`; raises ElastixError on a wrong length, CRC or opcode."""
        if len(raw) != 64 or zlib.crc32(raw[:60]) != int.from_bytes(raw[60:], "little"):
            raise ElastixError("64 bytes that are no descriptor", wanted="a descriptor with its CRC")
        w = [int(word) for word in np.frombuffer(raw, "<u4")]
        if w[0] & 255 != 1 or (w[0] >> 16 & 255) >= len(SCALE_FORMATS):
            wanted = f"opcode 1 and scale format 0 to {len(SCALE_FORMATS) - 1}"
            raise ElastixError(f"a descriptor that begins with {w[0]:#010x}", wanted=wanted)
        return cls(
            bits=w[0] >> 8 & 255,
            scale_code=w[0] >> 16 & 255,
            tokens=w[0] >> 24,
            row_blocks=w[1],
            tiles=w[2] & 0xFFFF,
            group_tiles=w[2] >> 16,
            c9=w[3],
            weights=w[4] | w[5] << 32,
            channel_stride=w[6],
            header_words=w[7],
            x=w[8] | w[9] << 32,
            y=w[10] | w[11] << 32,
            block_beats=w[12],
        )


def activation_images(x: NDArray[np.int16], e: NDArray[np.int32]) -> Bytes:
    """x̂ [tokens, K] and e [tokens] as images, uint8 [tokens, 64 · (tiles + 1)]."""
    tokens, k = x.shape
    images = np.zeros((tokens, 32 * (-(-k // 32) + 1)), "<i2")
    images[:, 0] = e
    images[:, 32 : 32 + k] = x
    return images.view(np.uint8)


def read_results(memory: Bytes, address: int, geometry: Geometry, tokens: int = 1) -> NDArray[np.float32]:
    """Results at y without their padding: fp32 [tokens, rows]."""
    raw = memory[address : address + tokens * geometry.result_bytes].tobytes()
    return np.frombuffer(raw, "<f4").reshape(tokens, -1)[:, : geometry.rows].astype(np.float32)
