"""Stage 2: torch ops become the fused ops of `elx`."""

from elastix.compiler.ir import Pass

PASSES: tuple[Pass, ...] = ()
"""In running order."""
