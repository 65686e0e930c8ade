"""Boards by name: what bounds tokens per second. Published figures; nothing here was measured."""

import difflib
from dataclasses import dataclass
from typing import Final

from elastix.compiler.errors import ElastixError


@dataclass(frozen=True)
class Board:
    """bandwidth: of all memory channels together, bytes a second, raw pin rate; source: where that is published."""

    bandwidth: float
    source: str


BOARDS: Final = {
    "ecp5-85k-ddr3": Board(1.6e9, "DDR3-800 x16, as on OrangeCrab and Colorlight-style boards: 800 MT/s × 2 bytes"),
    "kv260": Board(19.2e9, "AMD DS987: DDR4-2400, 64 bits"),
    "u280": Board(460e9, "AMD DS963: two HBM2 stacks"),
    "u55c": Board(460e9, "AMD DS978: two HBM2 stacks"),
    "v80": Board(819e9, "AMD DS1013: two HBM2e stacks"),
}
USABLE: Final = 0.93
"""Share of the pin rate that the weight stream is assumed to get: what boards in publications reach (93 to 94 %)."""


def board(name: str) -> Board:
    """A board; raises ElastixError that lists them for a name that is none's."""
    if name in BOARDS:
        return BOARDS[name]
    close = difflib.get_close_matches(name, BOARDS, 1)
    raise ElastixError(f"board {name!r}", wanted=" or ".join(BOARDS), do=f"did you mean {close[0]!r}?" if close else "")


def bytes_for(tokens_per_second: float, name: str) -> int:
    """Bytes that a token may move on a board at a speed, were the memory all that bounds it."""
    if not tokens_per_second > 0:
        raise ElastixError(f"{tokens_per_second} tokens a second", wanted="more than 0")
    return int(board(name).bandwidth * USABLE / tokens_per_second)
