"""Stage 3: every linear layer gets its weight format, every cache its codes."""

from elastix.compiler.ir import Pass
from elastix.passes.s3_precision.assign_precision import assign_precision
from elastix.passes.s3_precision.fold_norm_weights import fold_norm_weights
from elastix.passes.s3_precision.quantize_caches import quantize_caches
from elastix.passes.s3_precision.quantize_linears import quantize_linears
from elastix.passes.s3_precision.rotate_residual import rotate_residual
from elastix.passes.s3_precision.rotate_values import rotate_values

PASSES: tuple[Pass, ...] = (
    fold_norm_weights,  # this and the rotations: only where the options ask for them (compiler/options.py)
    rotate_residual,  # needs norms without weights
    rotate_values,
    assign_precision,  # after all that changes which weights there are: plans name what is quantized
    quantize_linears,  # needs the formats, and A, that assign-precision notes
    quantize_caches,
)
"""In running order."""
