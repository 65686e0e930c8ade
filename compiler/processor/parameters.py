"""The parameters of a processor and the widths that follow from them."""

from dataclasses import dataclass

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.formats import SCALE_FORMATS, accumulator_bits

COLUMNS = 32
MAX_BITS = 8
MAX_GROUP_TILES = 8


def index_bits(count: int) -> int:
    """Bits of an index below `count`, at least 1."""
    return max(1, (count - 1).bit_length())


@dataclass(frozen=True)
class ProcessorParameters:
    """What is generated; the fields of `epu.processor`.

    beat: bits of a weight beat, 64, 128, 256 or 512. activation_bits: A, 8 … 12. lanes: tokens at once, 1 … 15.
    channels: weight streams, 1 … 63. max_tiles: longest row in tiles of 32 columns, 1 … 1024.
    max_burst: beats of an AXI burst, 1 … 256. fifo_beats: beats of a channel's FIFO, a power of two >= max_burst.
    crc: check the CRC-32 of every weight segment. Raises ElastixError for values outside these ranges.
    """

    beat: int = 256
    activation_bits: int = 11
    lanes: int = 1
    channels: int = 1
    max_tiles: int = 64
    max_burst: int = 64
    fifo_beats: int = 256
    crc: bool = True

    def __post_init__(self) -> None:
        if self.beat not in (64, 128, 256, 512):
            raise ElastixError(f"beat of {self.beat} bits", wanted="64, 128, 256 or 512")
        for name, value, low, high in (
            ("activation_bits", self.activation_bits, 8, 12),
            ("lanes", self.lanes, 1, 15),
            ("channels", self.channels, 1, 63),
            ("max_tiles", self.max_tiles, 1, 1024),
            ("max_burst", self.max_burst, 1, 256),
        ):
            if not low <= value <= high:
                raise ElastixError(f"{name} = {value}", wanted=f"{low} ... {high}")
        if self.fifo_beats < self.max_burst or self.fifo_beats & (self.fifo_beats - 1):
            raise ElastixError(
                f"fifo_beats = {self.fifo_beats}", wanted=f"a power of two, at least max_burst = {self.max_burst}"
            )

    @property
    def rows(self) -> int:
        """R: rows of a block, one 32-bit slice of the beat each."""
        return self.beat // COLUMNS

    @property
    def lane_bits(self) -> int:
        """Bits of a lane's index, at least 1."""
        return index_bits(self.lanes)

    @property
    def tile_index_bits(self) -> int:
        """Bits of a tile's index in the activation buffer, at least 1."""
        return index_bits(self.max_tiles)

    @property
    def tile_count_bits(self) -> int:
        """t: bits of a number of tiles, 0 … max_tiles."""
        return self.max_tiles.bit_length()

    @property
    def tile_bits(self) -> int:
        """Bits of the activations of one tile."""
        return COLUMNS * self.activation_bits

    @property
    def sum_bits(self) -> int:
        """Bits of the signed sum of one tile's activations, and of any part of it."""
        return self.activation_bits + 5

    @property
    def max_header_words(self) -> int:
        """Header words of a block, at most: one group a tile."""
        return max(layout.header_words(self.max_tiles) for layout in SCALE_FORMATS)

    @property
    def header_index_bits(self) -> int:
        """Bits of the index of a header word, at least 1."""
        return index_bits(self.max_header_words)

    @property
    def result_slots(self) -> int:
        """Results that find a place between converter and writer, a power of two: two blocks, four if small."""
        block = self.rows * self.lanes
        return 1 << (max(16, 2 * block, min(4 * block, 32)) - 1).bit_length()

    @property
    def group_sum_bits(self) -> int:
        """Bits of d (C1): |d| <= G · 2^(A-1) · 4095, G = 256 or the longest row if that is shorter."""
        columns = COLUMNS * min(MAX_GROUP_TILES, self.max_tiles)
        return self.activation_bits + 12 + (columns - 1).bit_length()

    @property
    def accumulator_bits(self) -> int:
        """Bits of acc for the longest row (C2)."""
        return accumulator_bits(self.max_tiles * COLUMNS, self.activation_bits)
