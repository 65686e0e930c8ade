"""Where everything of a step program lies in memory: weights, constants, programs, caches, logits."""

from dataclasses import dataclass
from typing import Final

from elastix.compiler.arena import aligned
from elastix.compiler.image import ImageLayout, LayerPlace, ParameterPlace
from elastix.compiler.processor.step.parameters import StepParameters

PAGE: Final = 4096
SCALE_BYTES: Final = 2


@dataclass(frozen=True)
class CachePlace:
    """A cache of keys or values: `heads` heads one after the other, each its rows of codes and then their scales."""

    name: str
    address: int
    heads: int
    codes_bytes: int
    head_bytes: int

    @classmethod
    def of(cls, name: str, address: int, parameters: StepParameters) -> "CachePlace":
        codes = aligned(parameters.max_context * parameters.row_bytes)
        # A beat more than the scales take, as a reader asks for whole beats.
        scales = aligned(parameters.max_context * SCALE_BYTES) + parameters.beat // 8
        return cls(name, address, parameters.kv_heads, codes, aligned(codes + scales))

    @property
    def bytes(self) -> int:
        return self.heads * self.head_bytes

    def rows(self, head: int) -> int:
        """Byte address of the head's row 0; its scale lies `codes_bytes` further."""
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
