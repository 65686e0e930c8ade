"""Stage 5: `elx` becomes instructions, buffers and addresses."""

from elastix.compiler.ir import Pass
from elastix.passes.s5_lower.allocate_buffers import allocate_buffers
from elastix.passes.s5_lower.elx_to_epu import elx_to_epu
from elastix.passes.s5_lower.elx_to_host import elx_to_host
from elastix.passes.s5_lower.elx_to_step import elx_to_step
from elastix.passes.s5_lower.hoist_streams import hoist_streams
from elastix.passes.s5_lower.set_waits import set_waits

PASSES: tuple[Pass, ...] = (
    elx_to_epu,
    elx_to_host,  # needs the addresses that elx_to_epu gave
    elx_to_step,  # from here on instead of these two, where the whole step goes to the processor
    hoist_streams,  # before buffers share elements, which ties instructions to their order
    allocate_buffers,
    set_waits,  # needs addresses
)
"""In running order."""
