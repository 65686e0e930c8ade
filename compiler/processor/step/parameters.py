"""The parameters of a step processor."""

from dataclasses import dataclass
from typing import Final

from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.parameters import ProcessorParameters, index_bits

ELEMENT_BITS: Final = 20
"""Bits of an element's address in vector or constant memory."""
ALIGNMENT: Final = 8
"""Elements that every address in vector and constant memory is a multiple of; or of L, if that is more."""
SCALAR_REGISTERS: Final = 64
FEATURES: Final = ("rotate", "normalize_shift", "mean", "embed", "attention", "arg_max")
"""What a processor may do without."""
VECTOR_LANES: Final = (1, 2, 4, 8, 16)
HEAD_DIMS: Final = (8, 16, 32, 64, 128, 256)
ACTIVATIONS: Final = ("silu", "gelu", "gelu_tanh", "relu")


@dataclass(frozen=True)
class StepParameters(ProcessorParameters):
    """What is generated for a whole decode step.

    vector_lanes: L, elements a cycle, 1, 2, 4, 8 or 16, at most Dh. vector_elements, constant_elements: fp32 values of
    the memories, multiples of 8 and of L, at most 2^20. max_context: rows of a cache. head_dim: Dh, elements of a row,
    a power of two of at least 8. kv_heads: heads of keys and values. group: query heads to a kv head. attention_lanes:
    W, bytes of a row taken a cycle, a power of two up to beat/8. attention_channels: E, of the channels, those that
    hold caches, each with an attention channel of its own; a power of two. activations: of ACTIVATIONS, at most one.
    features: of FEATURES. Raises ElastixError for values outside these ranges.
    """

    vector_lanes: int = 4
    vector_elements: int = 8192
    constant_elements: int = 4096
    max_context: int = 512
    head_dim: int = 64
    kv_heads: int = 1
    group: int = 1
    attention_lanes: int = 8
    attention_channels: int = 1
    activations: tuple[str, ...] = ("silu",)
    features: tuple[str, ...] = FEATURES

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, choices in (
            ("vector_lanes", self.vector_lanes, VECTOR_LANES),
            ("head_dim", self.head_dim, HEAD_DIMS),
            ("attention_lanes", self.attention_lanes, tuple(1 << n for n in range((self.beat // 8).bit_length()))),
            ("attention_channels", self.attention_channels, tuple(1 << n for n in range(self.channels.bit_length()))),
        ):
            if value not in choices:
                raise ElastixError(f"{name} = {value}", wanted=", ".join(map(str, choices)))
        if self.vector_lanes > self.head_dim:  # heads lie side by side, and each begins with a word
            raise ElastixError(
                f"vector_lanes = {self.vector_lanes} with head_dim = {self.head_dim}",
                wanted="at most as many as a head has elements",
            )
        for name, value, low, high in (
            ("vector_elements", self.vector_elements, self.alignment, 1 << ELEMENT_BITS),
            ("constant_elements", self.constant_elements, self.alignment, 1 << ELEMENT_BITS),
            ("max_context", self.max_context, 1, 1 << 18),
            ("kv_heads", self.kv_heads, 1, 255),
            ("group", self.group, 1, 32),
        ):
            if not low <= value <= high:
                raise ElastixError(f"{name} = {value}", wanted=f"{low} ... {high}")
        for name, values, choices in (
            ("activations", self.activations, ACTIVATIONS),
            ("features", self.features, FEATURES),
        ):
            for value in values:
                if value not in choices:
                    raise ElastixError(f"{name} has {value}", wanted=", ".join(choices))
        for name, value in (("vector_elements", self.vector_elements), ("constant_elements", self.constant_elements)):
            if value % self.alignment:
                raise ElastixError(f"{name} = {value}", wanted=f"a multiple of {self.alignment}")
        if len(self.activations) > 1:  # no field of an instruction says which
            raise ElastixError(f"activations {', '.join(self.activations)}", wanted="one at most")

    @property
    def alignment(self) -> int:
        """Elements that addresses in vector and constant memory, strides and periods are multiples of."""
        return max(ALIGNMENT, self.vector_lanes)

    @property
    def row_beats(self) -> int:
        """Beats of a cached row of codes."""
        return -(-8 * self.head_dim // self.beat)

    @property
    def row_bytes(self) -> int:
        """Bytes of a cached row of codes, padding included."""
        return self.row_beats * self.beat // 8

    @property
    def channel_rows(self) -> int:
        """Rows of a cache on each of its channels: E words of L rows to each L·E rows."""
        words = -(-self.max_context // (self.vector_lanes * self.attention_channels))
        return words * self.vector_lanes

    def row_place(self, row: int) -> tuple[int, int]:
        """The channel of a row of a cache, and which of that channel's rows it is: rows are dealt in words of L."""
        word, lane = divmod(row, self.vector_lanes)
        turn, channel = divmod(word, self.attention_channels)
        return channel, turn * self.vector_lanes + lane

    def rows_on(self, channel: int, rows: int) -> int:
        """How many of the first `rows` rows of a cache lie on a channel."""
        words, rest = divmod(rows, self.vector_lanes)
        whole = len(range(channel, words, self.attention_channels)) * self.vector_lanes
        return whole + (rest if words % self.attention_channels == channel else 0)

    @property
    def position_bits(self) -> int:
        """Bits of a number of rows, 0 … max_context."""
        return self.max_context.bit_length()

    @property
    def vector_word_bits(self) -> int:
        """Bits of the address of a word of L elements in vector memory."""
        return index_bits(-(-self.vector_elements // self.vector_lanes))

    @property
    def constant_word_bits(self) -> int:
        """Bits of the address of a word of L elements in constant memory."""
        return index_bits(-(-self.constant_elements // self.vector_lanes))
