"""Stage 7: host calls become LLVM."""

from elastix.compiler.ir import Pass
from elastix.passes.s7_host.host_to_llvm import host_to_llvm
from elastix.passes.s7_host.torch_to_llvm import torch_to_llvm

PASSES: tuple[Pass, ...] = (
    torch_to_llvm,  # first, so that the calls find the functions
    host_to_llvm,
)
"""In running order."""
