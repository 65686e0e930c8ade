"""Stage 5: `elx` becomes instructions, buffers and addresses."""

from elastix.compiler.ir import Pass
from elastix.passes.s5_lower.elx_to_epu import elx_to_epu

PASSES: tuple[Pass, ...] = (elx_to_epu,)
"""In running order."""
