"""Where everything of a step program lies in memory: weights, constants, programs, caches, logits."""

from dataclasses import dataclass
from typing import Final

from elastix.compiler.arena import aligned
from elastix.compiler.image import ImageLayout, LayerPlace, ParameterPlace
from elastix.compiler.processor.step.parameters import StepParameters

PAGE: Final = 4096
SCALE_BYTES: Final = 2
STRIDE_BYTES: Final = 64
"""The unit of `channel_stride`."""


@dataclass(frozen=True)
class CachePlace:
    """A cache of keys or values: `heads` heads one after the other, each its rows of codes and then their scales.

    Where rows are dealt to channels, a head is so many parts: channel 0's rows and their scales, then channel 1's …
    codes_bytes, channel_bytes: of the codes of a part, and of all of it.
    """

    name: str
    address: int
    heads: int
    channels: int
    codes_bytes: int
    channel_bytes: int

    @classmethod
    def of(cls, name: str, address: int, parameters: StepParameters) -> "CachePlace":
        codes = aligned(parameters.channel_rows * parameters.row_bytes)
        # A beat more than the scales take, as a reader asks for whole beats.
        scales = aligned(parameters.channel_rows * SCALE_BYTES) + parameters.beat // 8
        channels = parameters.attention_channels
        return cls(name, address, parameters.kv_heads, channels, codes, aligned(codes + scales))

    @property
    def head_bytes(self) -> int:
        """Of all rows of a head and their scales, on all channels."""
        return self.channels * self.channel_bytes

    @property
    def channel_stride(self) -> int:
        """What instructions say of it: from a channel's rows to the next's, in units of 64 bytes; 0 for one channel."""
        return self.channel_bytes // STRIDE_BYTES if self.channels > 1 else 0

    @property
    def bytes(self) -> int:
        return self.heads * self.head_bytes

    def rows(self, head: int) -> int:
        """Byte address of the head's row 0, on channel 0; its scale lies `codes_bytes` further."""
        return self.address + head * self.head_bytes


@dataclass(frozen=True)
class StepMemory:
    """Regions of the device's memory, in bytes: the image from 0, then caches, logits, and last the program.

    logits_stride: from token to token.
    """

    image: ImageLayout
    caches: tuple[CachePlace, ...]
    logits_address: int
    logits_stride: int
    program_address: int

    def layer(self, name: str) -> LayerPlace:
        """Where packed weights lie."""
        return next(each for each in self.image.layers if each.name == name)

    def parameter(self, name: str) -> ParameterPlace:
        """Where a stored vector or a table lies."""
        return next(each for each in self.image.parameters if each.name == name)

    def cache(self, name: str) -> CachePlace:
        """Where the cache of this argument's name lies."""
        return next(each for each in self.caches if each.name == name)
