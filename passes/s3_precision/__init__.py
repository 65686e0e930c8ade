"""Stage 3: every linear layer gets its weight format."""

from elastix.compiler.ir import Pass

PASSES: tuple[Pass, ...] = ()
"""In running order."""
