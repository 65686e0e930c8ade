"""Stage 1: the imported torch graph without what only tracing needs."""

from elastix.compiler.ir import Pass

PASSES: tuple[Pass, ...] = ()
"""In running order."""
