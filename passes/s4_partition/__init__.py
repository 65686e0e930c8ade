"""Stage 4: what runs on the processor, what on the host, and why."""

from elastix.compiler.ir import Pass

PASSES: tuple[Pass, ...] = ()
"""In running order."""
