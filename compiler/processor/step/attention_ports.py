"""The ports of the attention engine, in groups as they pass to the parts below it."""

from elastix.compiler.circuit import Module, Signal
from elastix.compiler.processor.axi import ADDRESS_BITS
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.result_converter import LEAST_SUM_BITS
from elastix.compiler.processor.step.attention_memory import power_of_two
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters

ELEMENT_WIDTHS = {"data": 32, "mask": 1, "tracked": 1}
"""What a visiting word has of each of its L elements, bits of one."""
VISIT = {
    "operation": 4,
    "to": ELEMENT_BITS,
    "from": ELEMENT_BITS,
    "maximum": 2,
    "max_register": 6,
    "first": 1,
    "last": 1,
}
"""What else a visiting word has: bits of each field."""
HEAD_BITS, LANE_BITS = 8, 4
QUANTIZED_BITS, CODE_BITS, SCALE_BITS = 16, 8, 16
STRIDE_BITS = 24
"""Of the way from a channel's rows to the next's, in units of 64 bytes."""


def lanes_of(p: StepParameters) -> int:
    """w: bytes of a row taken a cycle."""
    return min(p.attention_lanes, p.head_dim)


def chunks_of(p: StepParameters) -> int:
    """Cycles that the bytes of a row take."""
    return p.head_dim // lanes_of(p)


def converters_of(p: StepParameters) -> int:
    """Sums that become fp32 in a cycle: as many as a row's scores need while the bytes of the next row come, and then
    so many that most of them have something to do in the last of those cycles."""
    least = -(-p.group // chunks_of(p))
    return next(count for count in range(least, p.group + 1) if 2 * (-p.group % count) < count)


def steps_of(p: StepParameters) -> int:
    """Cycles in which a row's scores, or an element of all queries, are handed on; not beyond chunks_of."""
    return -(-p.group // converters_of(p))


def scales_at_once(p: StepParameters) -> int:
    """Scales taken a cycle."""
    return min(p.vector_lanes, p.beat // SCALE_BITS)


def row_room(p: StepParameters) -> int:
    """Rows that memories of a channel hold: a power of two, whole beats of scales and at least two words of L."""
    return power_of_two(max(p.channel_rows, p.beat // SCALE_BITS, 2 * p.vector_lanes))


def row_bits(p: StepParameters) -> int:
    """Bits of a row's index on its channel."""
    return index_bits(row_room(p))


def channel_bits(p: StepParameters) -> int:
    """Bits of the number of a channel with rows; 0 where there is one."""
    return p.attention_channels.bit_length() - 1


def all_row_bits(p: StepParameters) -> int:
    """Bits of a row's index in the cache: above and below `channel_bits` in the middle, that on its channel."""
    return row_bits(p) + channel_bits(p)


def lane_place(p: StepParameters) -> int:
    """Bits of a row's index below its word's."""
    return p.vector_lanes.bit_length() - 1


def quantized_ports(p: StepParameters) -> dict[str, int]:
    """Fields of a quantized word and their bits; ports are named `quantized_<field>`."""
    return {
        "valid": 1,
        "target": 4,
        "data": 16 * p.vector_lanes,
        "mask": p.vector_lanes,
        "index": ELEMENT_BITS,
        "bank": 1,
        "head": HEAD_BITS,
        "lane": LANE_BITS,
        "row": ELEMENT_BITS,
        "rows": ADDRESS_BITS,
        "scales": 32,
        "exponent": 16,
        "last": 1,
        "channel_stride": STRIDE_BITS,
    }


def scale_word_bits(p: StepParameters) -> int:
    """Bits of the address of a word of L value scales, of all channels."""
    return max(index_bits(-(-p.max_context // p.vector_lanes)), channel_bits(p) + 1)


def input_group(m: Module, prefix: str, widths: dict[str, int]) -> dict[str, Signal]:
    """Inputs `<prefix>_<name>` of a module, by name."""
    return {name: m.input(f"{prefix}_{name}", width) for name, width in widths.items()}


def count_bits(p: StepParameters) -> int:
    """Bits of the number of the last result of a query: a row of SCORES, an element of VALUES."""
    return max(all_row_bits(p), index_bits(p.head_dim))


def sum_bits(p: StepParameters) -> int:
    """Bits of a signed sum of Dh or max_context products, none beyond 2^22; at least what the converter wants."""
    return max(23 + (max(p.head_dim, p.max_context) - 1).bit_length(), LEAST_SUM_BITS)
