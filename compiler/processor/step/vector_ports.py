"""The ports of the vector engine, in groups as they pass to the parts below it."""

from elastix.compiler.processor.step.attention_ports import VISIT
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters


def visitor_ports(p: StepParameters) -> dict[str, int]:
    """Fields of a visiting word and their bits, `ready` (out) apart; ports are named `<unit>_<field>`."""
    lanes = p.vector_lanes
    return {"valid": 1, "data": 32 * lanes, "mask": lanes, "tracked": lanes, **VISIT}


def load_ports(p: StepParameters) -> dict[str, int]:
    """Fields of a loader's word and their bits, `ready` (out) apart; ports are named `load_<field>`."""
    return {
        "valid": 1,
        "target": 1,
        "to": ELEMENT_BITS,
        "mask": p.vector_lanes,
        "data": 32 * p.vector_lanes,
    }


def activation_ports(p: StepParameters) -> dict[str, int]:
    """What a matrix engine's activation buffer is written by, as the engine names its ports."""
    return {
        "x_write": 1,
        "x_lane": p.lane_bits,
        "x_tile": p.tile_index_bits,
        "x_data": p.tile_bits,
        "x_sum": p.sum_bits,
        "e_write": 1,
        "e_lane": p.lane_bits,
        "e_data": 16,
    }
