"""Rows copied into the third axis of a cache, at given positions, become `elx.cache_update`."""

from typing import cast

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import (
    element,
    from_builtin,
    is_f32,
    is_none,
    items,
    shape,
    to_builtin,
    truth,
    whole,
)
from elastix.compiler.ir import ModuleOp, StringAttr, Value, compiler_pass, pattern, rewrite_until_stable
from elastix.dialects import elx
from elastix.passes.s2_fuse.looking_back import positions_of


@pattern
def index_copy(op: torch.OperatorOp) -> Value | None:
    """torch-mlir has no `index_copy`, so it comes in as a bare operator."""
    if cast(StringAttr, op.attributes["name"]).value != "torch.aten.index_copy":
        return None
    cache, dim, index, new = op.operands
    return _update(cache, index, new, op.results[0]) if whole(dim) == 2 else None


@pattern
def index_put(op: torch.AtenIndexPutOp) -> Value | None:
    indices = items(op.indices) or []
    if len(indices) != 3 or not (is_none(indices[0]) and is_none(indices[1])) or truth(op.accumulate) is not False:
        return None
    return _update(op.self_, indices[2], op.values, op.result)


def _update(cache: Value, index: Value, new: Value, like: Value) -> Value | None:
    old, rows = shape(cache), shape(new)
    if (
        not is_f32(cache, new)
        or element(index) != "si64"
        or old is None
        or rows is None
        or len(old) != 4
        or len(rows) != 4
    ):
        return None
    if rows[:2] != old[:2] or rows[3] != old[3] or rows[2] > old[2]:
        return None
    positions = positions_of(index, rows[2])
    if positions is None:
        return None
    return from_builtin(
        elx.CacheUpdateOp(cache=to_builtin(cache), new=to_builtin(new), positions=positions).result, like
    )


@compiler_pass
def fuse_cache_update(module: ModuleOp) -> None:
    """Make `elx.cache_update` of `index_copy` and `index_put` along the token axis of a cache."""
    rewrite_until_stable(module, index_copy, index_put)
