"""A few elements at their place in a word of L."""

from elastix.compiler.circuit import Module, Signal, concat
from elastix.compiler.processor.step.parameters import StepParameters


def word_lanes(
    m: Module, p: StepParameters, values: int, to: Signal, data: Signal, mask: Signal
) -> tuple[Signal, Signal]:
    """`values` neighbouring elements that begin at element `to`, in a word of L >= values: its data and mask."""
    parts = p.vector_lanes // values
    if parts == 1:
        return data, mask
    part = to[values.bit_length() - 1 : p.vector_lanes.bit_length() - 1]
    here = concat(*reversed([m.named(f"part_{each}", part == each).replicate(values) for each in range(parts)]))
    return data.replicate(parts), here & mask.replicate(parts)
