"""Stage 6: the processor's parameters become SystemVerilog."""

from elastix.compiler.ir import Pass

PASSES: tuple[Pass, ...] = ()
"""In running order."""
