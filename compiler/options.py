"""What a user may choose about a compilation, checked once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from elastix.compiler.boards import board
from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.plan import default_format
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.compiler.processor.step.parameters import VECTOR_LANES

ROTATIONS: Final[dict[str, tuple[str, ...]]] = {
    "none": (),
    "norms": ("fold-norm-weights",),
    "residual": ("fold-norm-weights", "rotate-residual"),
    "values": ("rotate-values",),
    "all": ("fold-norm-weights", "rotate-residual", "rotate-values"),
}
"""Choices of `--rotate`, and the passes that each turns on."""
OBJECTIVES: Final = ("tokens-per-second", "area")
"""What a processor may be chosen by."""


@dataclass(frozen=True)
class CompileOptions:
    """Frozen and hashable; raises ElastixError for a value out of range.

    bits: of every weight, where no `plan` file says otherwise; activation_bits: A; beat: D bits; lanes: M tokens;
    channels: C; max_context: tokens that the cache holds, the smaller of 512 and the model's own where not given;
    key_bits, value_bits: of the codes in caches of keys and values, 4 or 8, or 32 for fp32;
    whole_step: everything between token id and logits on a step processor; vector_lanes: elements that its vector
    engine takes a cycle; attention_lanes: bytes of a cached row that it takes a cycle, 0: a beat; attention_channels:
    of the channels, those that hold caches; fifo_beats: of a channel's FIFO; board: what it is chosen for, by
    `objective`, but for the fields named in `fixed`; processor: a manifest.json or YAML file with the parameters of one
    that is there already; weights: whether the model has any, else there is no weights.bin;
    rotate: what is rotated before weights are rounded, a key of ROTATIONS;
    fallback: "" or "eager" (what nothing of ours can run is left to PyTorch).
    """

    bits: int = 8
    plan: Path | None = None
    activation_bits: int = 11
    max_context: int | None = None
    beat: int = 256
    lanes: int = 1
    channels: int = 1
    rotate: str = "none"
    fallback: str = ""
    key_bits: int = 8
    value_bits: int = 8
    whole_step: bool = False
    vector_lanes: int = 4
    attention_lanes: int = 0
    attention_channels: int = 1
    fifo_beats: int = 256
    board: str = ""
    objective: str = OBJECTIVES[0]
    fixed: tuple[str, ...] = ()
    processor: Path | None = None
    weights: bool = True

    def __post_init__(self) -> None:
        default_format(self.bits)
        ProcessorParameters(self.beat, self.activation_bits, self.lanes, self.channels)
        if self.max_context is not None and self.max_context < 1:
            raise ElastixError(f"--max-context {self.max_context}", wanted="at least one token")
        for name, bits in (("key", self.key_bits), ("value", self.value_bits)):
            if bits not in (4, 8, 32):
                raise ElastixError(f"{name}s of {bits} bits", wanted="4 or 8 bits, or 32 for fp32")
        if self.vector_lanes not in VECTOR_LANES:
            raise ElastixError(f"--vector-lanes {self.vector_lanes}", wanted=", ".join(map(str, VECTOR_LANES)))
        if self.whole_step and (self.key_bits, self.value_bits) != (8, 8):
            raise ElastixError(
                f"--whole-step with keys of {self.key_bits} and values of {self.value_bits} bits",
                wanted="8 and 8 bits",
                do="leave out --kv-bits, --key-bits and --value-bits, or --whole-step",
            )
        dealt = self.attention_channels
        if dealt < 1 or dealt & (dealt - 1) or (dealt > self.channels and (not self.board or "channels" in self.fixed)):
            raise ElastixError(
                f"--attention-channels {dealt} with --channels {self.channels}",
                wanted="a power of two, at most as many as there are channels",
            )
        if self.objective not in OBJECTIVES:
            raise ElastixError(f"--objective {self.objective}", wanted=" or ".join(OBJECTIVES))
        for name, given in (
            ("board", self.board),
            ("processor", self.processor),
            ("no-weights", not self.weights),
        ):
            if given and not self.whole_step:
                raise ElastixError(f"--{name} without --whole-step", wanted="both, or neither")
        if self.board and self.processor:
            raise ElastixError("--board and --processor", wanted="one of them")
        if self.board:
            board(self.board)
        if self.rotate not in ROTATIONS:
            raise ElastixError(f"rotate={self.rotate!r}", wanted=" or ".join(ROTATIONS))
        if self.fallback not in ("", "eager"):
            raise ElastixError(f"fallback={self.fallback!r}", wanted='"eager", or nothing')
