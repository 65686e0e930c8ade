"""Stage 1: the imported torch graph without what only tracing needs."""

from elastix.compiler.ir import Pass
from elastix.passes.s1_clean.drop_noise import drop_noise
from elastix.passes.s1_clean.legalize_batch_norm import legalize_batch_norm

PASSES: tuple[Pass, ...] = (drop_noise, legalize_batch_norm)
"""In running order."""
