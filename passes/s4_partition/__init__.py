"""Stage 4: what runs on the processor, what on the host, and why."""

from elastix.compiler.ir import Pass
from elastix.passes.s4_partition.choose_processor import choose_processor
from elastix.passes.s4_partition.choose_step_processor import choose_step_processor
from elastix.passes.s4_partition.elx_to_torch import elx_to_torch
from elastix.passes.s4_partition.outline_torch import outline_torch
from elastix.passes.s4_partition.partition import partition

PASSES: tuple[Pass, ...] = (
    choose_processor,
    partition,  # asks what fits the processor
    elx_to_torch,  # reads the side that partition chose, and makes torch ops for the next
    outline_torch,
    choose_step_processor,  # instead of all these, where the whole step goes to the processor
)
"""In running order."""
