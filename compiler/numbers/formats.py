"""The weight format of a layer, and everything about a layer's shape in memory that follows from it.

Rules: compiler/numbers/README.md; stream layout: compiler/processor/README.md.
"""

from dataclasses import dataclass
from typing import Final

from elastix.compiler.errors import ElastixError


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


@dataclass(frozen=True)
class ScaleFormat:
    """An entry of the header, one for each row and group: `scale_bits` of s, above them the top `zero_bits` of c8."""

    name: str
    scale_bits: int
    zero_bits: int = 0

    @property
    def entry_bits(self) -> int:
        """Bits of an entry."""
        return self.scale_bits + self.zero_bits

    @property
    def first(self) -> int:
        """Entries in the upper 16 bits of the row-scale word."""
        return 16 // self.entry_bits

    @property
    def per_word(self) -> int:
        """Entries in each header word after the row-scale word."""
        return 32 // self.entry_bits

    def header_words(self, groups: int) -> int:
        """Words of a row before its first plane: the row-scale word, then as many as the entries need."""
        return 1 + _ceil(max(groups - self.first, 0), self.per_word)


SCALE_FORMATS: Final = (ScaleFormat("s8", 8), ScaleFormat("s6", 6), ScaleFormat("s8c8", 8, 8))
"""In the order of the descriptor's code."""
SCALES: Final = tuple(layout.name for layout in SCALE_FORMATS)
ZEROS: Final = ("symmetric", "half_step", "asymmetric")
TILE: Final = 32
"""Columns of a tile: the bits of one row's slice of a beat."""
BEATS: Final = (64, 128, 256, 512)
ACTIVATION_BITS: Final = range(8, 13)
SEGMENT_ALIGNMENT: Final = 4096


@dataclass(frozen=True)
class Format:
    """How the weights of one layer are written: w = rowscale · s · (q − z).

    bits: 1 … 8; group: columns that share a scale, a multiple of 32 from 32 to 256; scale: one of SCALES;
    zero: one of ZEROS, `asymmetric` exactly when the scale format holds zero points. Raises ElastixError otherwise.
    """

    bits: int
    group: int = 64
    scale: str = "s8"
    zero: str = "symmetric"

    def __post_init__(self) -> None:
        if self.bits not in range(1, 9):
            raise ElastixError(f"weights of {self.bits} bits", wanted="1 to 8 bits")
        if self.group % TILE or not TILE <= self.group <= 256:
            raise ElastixError(f"a group of {self.group} columns", wanted="a multiple of 32 from 32 to 256")
        if self.scale not in SCALES:
            raise ElastixError(f"scale format {self.scale!r}", wanted=" or ".join(SCALES))
        if self.zero not in ZEROS:
            raise ElastixError(f"zero point {self.zero!r}", wanted=" or ".join(ZEROS))
        if (self.zero == "asymmetric") != (self.scale_format.zero_bits > 0):
            free = " or ".join(layout.name for layout in SCALE_FORMATS if layout.zero_bits)
            fixed = " or ".join(layout.name for layout in SCALE_FORMATS if not layout.zero_bits)
            raise ElastixError(
                f"scale format {self.scale} with zero point {self.zero}",
                wanted=f"{free} with asymmetric, {fixed} with symmetric or half_step",
            )

    @property
    def scale_format(self) -> ScaleFormat:
        """The entries of the header."""
        return SCALE_FORMATS[self.scale_code]

    @property
    def z16(self) -> int:
        """Z, 16 times the zero point; for asymmetric formats, where it is free per group, the middle."""
        return (1 << self.bits + 3) - (8 if self.zero == "half_step" else 0)

    @property
    def zero_bits(self) -> int:
        """Top bits of c8 that an engine looks at, the others being 0; 0 where the zero point is not free."""
        return min(self.scale_format.zero_bits, 2 * self.bits + 1)

    @property
    def c8_step(self) -> int:
        """What c8 is a multiple of, 1 … 256: from one zero point to the next."""
        return 1 << (8 - self.zero_bits)

    @property
    def z_step(self) -> float:
        """From one free zero point to the next, in codes: z is a multiple of it, from 0 to 2^b − z_step."""
        return self.c8_step * (1 << self.bits) / 256

    @property
    def c9(self) -> int:
        """The common zero point in the descriptor, 9 bits, aligned at the top (C1); 0 when asymmetric."""
        return {"symmetric": 256, "half_step": 255, "asymmetric": 0}[self.zero]

    @property
    def scale_code(self) -> int:
        """The descriptor's scale format: the place in SCALE_FORMATS."""
        return SCALES.index(self.scale)

    @property
    def scale_maximum(self) -> int:
        """Largest group scale: 255 or 63."""
        return (1 << self.scale_format.scale_bits) - 1

    @property
    def group_tiles(self) -> int:
        """Tiles of a full group, 1 … 8."""
        return self.group // TILE

    def __str__(self) -> str:
        return f"{self.bits}b g{self.group} {self.scale} {self.zero}"

    @classmethod
    def parse(cls, text: str) -> "Format":
        """Read the short form that `str` prints, `4b g64 s6 half_step`; raises ElastixError if it is another."""
        words = text.split()
        wanted = "a format such as '4b g64 s6 half_step'"
        if len(words) != 4 or not words[0].endswith("b") or not words[1].startswith("g"):
            raise ElastixError(f"weight format {text!r}", wanted=wanted)
        bits, group = words[0][:-1], words[1][1:]
        if not (bits.isascii() and bits.isdecimal() and group.isascii() and group.isdecimal()):
            raise ElastixError(f"weight format {text!r}", wanted=wanted)
        return cls(int(bits), int(group), words[2], words[3])


def accumulator_bits(k: int, activation_bits: int) -> int:
    """Bits of a signed accumulator that holds every row sum of k columns, whatever the format (bound of C2)."""
    bound = 255 * k * (1 << (activation_bits - 1)) * 4095
    return bound.bit_length() + 1


@dataclass(frozen=True)
class Geometry:
    """A layer of `rows` × `columns` weights as its stream: beats of `beat` bits over `channels` channels."""

    format: Format
    rows: int
    columns: int
    beat: int
    channels: int = 1

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise ElastixError(f"a layer of {self.rows} × {self.columns} weights", wanted="at least one row and column")
        if self.beat not in BEATS:
            raise ElastixError(f"a beat of {self.beat} bits", wanted="64, 128, 256 or 512")
        if self.channels < 1:
            raise ElastixError(f"{self.channels} channels", wanted="at least 1")
        if self.tiles >= 1 << 16:
            raise ElastixError(f"a layer of {self.columns} columns", wanted=f"at most {((1 << 16) - 1) * TILE}")

    @property
    def block_rows(self) -> int:
        """R, the rows of a beat."""
        return self.beat // TILE

    @property
    def beat_bytes(self) -> int:
        """Bytes of a beat."""
        return self.beat // 8

    @property
    def row_blocks(self) -> int:
        """Row blocks of all channels together."""
        return _ceil(self.rows, self.block_rows)

    @property
    def tiles(self) -> int:
        """Tiles of a row, K padded to a multiple of 32."""
        return _ceil(self.columns, TILE)

    @property
    def groups(self) -> int:
        """Groups of a row, the last of which may be short."""
        return _ceil(self.tiles, self.format.group_tiles)

    @property
    def header_words(self) -> int:
        """Beats before the first plane of a block: row scale with the first entries, then the others."""
        return self.format.scale_format.header_words(self.groups)

    @property
    def block_beats(self) -> int:
        """Beats of a row block."""
        return self.header_words + self.format.bits * self.tiles

    def channel_blocks(self, channel: int) -> int:
        """Row blocks dealt to a channel."""
        return len(range(channel, self.row_blocks, self.channels))

    def segment_beats(self, channel: int = 0) -> int:
        """Beats of a channel's segment, its CRC beat included; channel 0's is the longest."""
        return self.channel_blocks(channel) * self.block_beats + 1

    def segment_bytes(self, channel: int = 0) -> int:
        """Bytes of a channel's segment, its CRC beat included."""
        return self.segment_beats(channel) * self.beat_bytes

    @property
    def channel_stride(self) -> int:
        """Bytes from one channel's segment to the next, a multiple of 4096."""
        return _ceil(self.segment_bytes(0), SEGMENT_ALIGNMENT) * SEGMENT_ALIGNMENT

    @property
    def total_bytes(self) -> int:
        """Bytes of all segments in memory, gaps between segments included, a multiple of 4096."""
        return self.channels * self.channel_stride

    @property
    def stream_bytes(self) -> int:
        """Bytes that cross the channels in one pass: headers, padding and CRC beats included."""
        return sum(self.segment_bytes(c) for c in range(self.channels))

    @property
    def bits_per_weight(self) -> float:
        """Bits moved per weight of the layer: headers, padding and CRC beats included."""
        return 8 * self.stream_bytes / (self.rows * self.columns)

    @property
    def activation_bytes(self) -> int:
        """Bytes of one token's activation image."""
        return 64 * (self.tiles + 1)

    @property
    def result_bytes(self) -> int:
        """Bytes of one token's results."""
        return self.row_blocks * self.beat_bytes
