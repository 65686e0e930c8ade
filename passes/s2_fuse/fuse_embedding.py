"""Rows looked up in a weight become `elx.embedding`."""

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import element, from_builtin, is_f32, shape, to_builtin
from elastix.compiler.ir import ModuleOp, Value, compiler_pass, pattern, rewrite_until_stable
from elastix.dialects import elx
from elastix.passes.s2_fuse.weight_arguments import stored_argument


@pattern
def embedding(op: torch.AtenEmbeddingOp) -> Value | None:
    table = stored_argument(op.weight)
    if table is None or not is_f32(table) or element(op.indices) != "si64" or shape(op.indices) is None:
        return None
    return from_builtin(elx.EmbeddingOp(ids=to_builtin(op.indices), table=to_builtin(table)).result, op.result)


@compiler_pass
def fuse_embedding(module: ModuleOp) -> None:
    """Make `elx.embedding` of look-ups with 64-bit ids in a table that is an argument."""
    rewrite_until_stable(module, embedding)
