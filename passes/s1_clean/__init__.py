"""Stage 1: the imported torch graph without what only tracing needs."""

from elastix.compiler.ir import Pass
from elastix.passes.s1_clean.drop_noise import drop_noise
from elastix.passes.s1_clean.legalize_batch_norm import legalize_batch_norm
from elastix.passes.s1_clean.legalize_bitwise import legalize_bitwise

PASSES: tuple[Pass, ...] = (drop_noise, legalize_batch_norm, legalize_bitwise)
"""In running order."""
