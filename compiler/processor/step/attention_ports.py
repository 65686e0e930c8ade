"""The ports of the attention engine, in groups as they pass to the parts below it."""

from elastix.compiler.circuit import Module, Signal
from elastix.compiler.processor.axi import ADDRESS_BITS
from elastix.compiler.processor.parameters import index_bits
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
    }


def scale_word_bits(p: StepParameters) -> int:
    """Bits of the address of a word of L value scales."""
    return index_bits(-(-p.max_context // p.vector_lanes))


def input_group(m: Module, prefix: str, widths: dict[str, int]) -> dict[str, Signal]:
    """Inputs `<prefix>_<name>` of a module, by name."""
    return {name: m.input(f"{prefix}_{name}", width) for name, width in widths.items()}
