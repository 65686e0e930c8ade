"""Stage 5: `elx` becomes instructions, buffers and addresses."""

from elastix.compiler.ir import Pass

PASSES: tuple[Pass, ...] = ()
"""In running order."""
