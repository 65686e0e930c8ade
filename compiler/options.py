"""What a user may choose about a compilation, checked once."""

from dataclasses import dataclass
from pathlib import Path

from elastix.compiler.errors import ElastixError


@dataclass(frozen=True)
class CompileOptions:
    """Frozen and hashable; raises ElastixError for a value out of range.

    bits: of every weight, where no `plan` file says otherwise; activation_bits: A; beat: D bits; lanes: M tokens;
    channels: C; max_context: tokens that the cache holds; fallback: "" or "eager" (what nothing of
    ours can run is left to PyTorch).
    """

    bits: int = 8
    plan: Path | None = None
    activation_bits: int = 11
    max_context: int = 512
    beat: int = 256
    lanes: int = 1
    channels: int = 1
    fallback: str = ""

    def __post_init__(self) -> None:
        _within("--bits", self.bits, 1, 8)
        _within("--activation-bits", self.activation_bits, 8, 12)
        _within("--lanes", self.lanes, 1, 8)
        _within("--channels", self.channels, 1, 32)
        if self.beat not in (64, 128, 256, 512):
            raise ElastixError(f"--beat {self.beat}", wanted="64, 128, 256 or 512")
        if self.max_context < 1:
            raise ElastixError(f"--max-context {self.max_context}", wanted="at least one token")
        if self.fallback not in ("", "eager"):
            raise ElastixError(f"fallback={self.fallback!r}", wanted='"eager", or nothing')


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ElastixError(f"{name} {value}", wanted=f"{low} to {high}")
