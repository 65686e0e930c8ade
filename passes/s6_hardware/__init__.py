"""Stage 6: the processor's parameters become SystemVerilog."""

from elastix.compiler.ir import Pass
from elastix.passes.s6_hardware.epu_to_circuit import epu_to_circuit

PASSES: tuple[Pass, ...] = (epu_to_circuit,)
"""In running order."""
