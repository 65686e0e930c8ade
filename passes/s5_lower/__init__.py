"""Stage 5: `elx` becomes instructions, buffers and addresses."""

from elastix.compiler.ir import Pass
from elastix.passes.s5_lower.elx_to_epu import elx_to_epu
from elastix.passes.s5_lower.elx_to_host import elx_to_host

PASSES: tuple[Pass, ...] = (
    elx_to_epu,
    elx_to_host,  # needs the addresses that elx_to_epu gave
)
"""In running order."""
