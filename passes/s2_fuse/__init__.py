"""Stage 2: torch ops become the fused ops of `elx`."""

from elastix.compiler.ir import Pass
from elastix.passes.s2_fuse.fuse_activation import fuse_activation
from elastix.passes.s2_fuse.fuse_attention import fuse_attention
from elastix.passes.s2_fuse.fuse_cache_update import fuse_cache_update
from elastix.passes.s2_fuse.fuse_embedding import fuse_embedding
from elastix.passes.s2_fuse.fuse_gated_activation import fuse_gated_activation
from elastix.passes.s2_fuse.fuse_layer_norm import fuse_layer_norm
from elastix.passes.s2_fuse.fuse_linear import fuse_linear
from elastix.passes.s2_fuse.fuse_reshape import fuse_reshape
from elastix.passes.s2_fuse.fuse_residual import fuse_residual
from elastix.passes.s2_fuse.fuse_rms_norm import fuse_rms_norm
from elastix.passes.s2_fuse.fuse_rope import fuse_rope
from elastix.passes.s2_fuse.fuse_transpose import fuse_transpose
from elastix.passes.s2_fuse.merge_equal import merge_equal
from elastix.passes.s2_fuse.split_linear import split_linear
from elastix.passes.s2_fuse.torch_to_builtin_signature import torch_to_builtin_signature

PASSES: tuple[Pass, ...] = (
    fuse_cache_update,
    fuse_attention,
    fuse_rope,
    fuse_rms_norm,
    fuse_layer_norm,
    fuse_linear,
    split_linear,  # reads linear ops
    fuse_embedding,
    fuse_activation,
    fuse_gated_activation,  # reads activations
    fuse_residual,  # after rope, whose sum is of two tensors of one shape as well
    fuse_reshape,  # after all that looks back through torch's reshapes
    fuse_transpose,  # merges the reshapes it makes with those before and after
    torch_to_builtin_signature,
    merge_equal,  # after the casts between what they merge are gone
)
"""In running order."""
