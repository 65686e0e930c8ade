"""Stage 3: every linear layer gets its weight format."""

from elastix.compiler.ir import Pass
from elastix.passes.s3_precision.assign_precision import assign_precision
from elastix.passes.s3_precision.quantize_linears import quantize_linears

PASSES: tuple[Pass, ...] = (
    assign_precision,
    quantize_linears,  # needs the formats, and A, that assign-precision notes
)
"""In running order."""
