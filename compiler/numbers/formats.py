"""The weight format of a layer, and everything about a layer's shape in memory that follows from it.

Rules: compiler/numbers/README.md; stream layout: compiler/processor/README.md.
"""

from dataclasses import dataclass
from typing import Final

from elastix.compiler.errors import ElastixError

SCALES: Final = ("s8", "s6", "s8c8")
"""Scale formats, in the order of the descriptor's code."""
ZEROS: Final = ("symmetric", "half_step", "asymmetric")
TILE: Final = 32
"""Columns of a tile: the bits of one row's slice of a beat."""
BEATS: Final = (64, 128, 256, 512)
ACTIVATION_BITS: Final = range(8, 13)
SEGMENT_ALIGNMENT: Final = 4096
_PER_WORD: Final = {"s8": 4, "s6": 5, "s8c8": 2}
_SCALE_MAXIMUM: Final = {"s8": 255, "s6": 63, "s8c8": 255}


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


@dataclass(frozen=True)
class Format:
    """How the weights of one layer are written: w = rowscale · s · (q − c/2).

    bits: 1 … 8; group: columns that share a scale, a multiple of 32 from 32 to 256; scale: one of SCALES;
    zero: one of ZEROS, `asymmetric` exactly when scale is `s8c8`. Raises ElastixError otherwise.
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
        if (self.zero == "asymmetric") != (self.scale == "s8c8"):
            raise ElastixError(
                f"scale format {self.scale} with zero point {self.zero}",
                wanted="s8c8 with asymmetric, s8 or s6 with symmetric or half_step",
            )

    @property
    def c(self) -> int:
        """Twice the zero point; for asymmetric formats, where c is free per group, the middle 2^b."""
        return (1 << self.bits) - (1 if self.zero == "half_step" else 0)

    @property
    def c9(self) -> int:
        """c in the descriptor: 9 bits, aligned at the top (C1); 0 when asymmetric, where nothing looks at it."""
        return {"symmetric": 256, "half_step": 255, "asymmetric": 0}[self.zero]

    @property
    def scale_code(self) -> int:
        """The descriptor's scale format: 0 `s8`, 1 `s6`, 2 `s8c8`."""
        return SCALES.index(self.scale)

    @property
    def scale_maximum(self) -> int:
        """Largest group scale: 255 or 63."""
        return _SCALE_MAXIMUM[self.scale]

    @property
    def scales_per_word(self) -> int:
        """Group scales in a 32-bit slice of a header beat."""
        return _PER_WORD[self.scale]

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
    bound = 255 * k * (1 << (activation_bits - 1)) * 511
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
        """Beats before the first plane of a block: row scale, then group scales."""
        return 1 + _ceil(self.groups, self.format.scales_per_word)

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
