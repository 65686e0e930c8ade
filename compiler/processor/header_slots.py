"""Where the entries of a block's header lie in their words: every entry has a word and, in it, a slot."""

from dataclasses import dataclass
from typing import Final

from elastix.compiler.circuit import Module, Signal, select
from elastix.compiler.numbers.formats import SCALE_FORMATS, ScaleFormat

SLOT_BITS: Final = 3


@dataclass(frozen=True)
class HeaderSlots:
    """One scale format's slots. at: the lowest bit of each slot's entry; first: the slot of a row's first entry, in the
    row-scale word; last: the slots after which the next word goes on, at slot 0.

    Words after the row-scale word have slots 0, 1, … up to the entries of a word. The row-scale word has slots of the
    same numbers where its entries lie at the same bits, else of numbers after those.
    """

    layout: ScaleFormat
    at: tuple[int, ...]
    first: int
    last: tuple[int, ...]

    @classmethod
    def of(cls, layout: ScaleFormat) -> "HeaderSlots":
        """Those of a format."""
        regular = [layout.entry_bits * n for n in range(layout.per_word)]
        beside = [16 + layout.entry_bits * n for n in range(layout.first)]
        extra = [] if set(beside) <= set(regular) else beside
        at = tuple(regular + extra)
        first = at.index(16, len(regular) if extra else 0)
        last = {layout.per_word - 1, first + layout.first - 1}
        return cls(layout, at, first, tuple(sorted(last)))


SLOTS: Final = tuple(HeaderSlots.of(layout) for layout in SCALE_FORMATS)
"""By the descriptor's scale format."""


def lookup(m: Module, index: Signal, values: list[int], width: int) -> Signal:
    """`values[index]` as constants of `width` bits."""
    return select(index, [m.constant(value, width) for value in values])
