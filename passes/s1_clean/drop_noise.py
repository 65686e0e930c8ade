"""Ops that only tracing needs go: assertions about metadata, copies and aliases of values that nobody can change."""

from collections.abc import Sequence

from elastix.compiler.importer import torch_ops as torch
from elastix.compiler.importer.torch_values import items, number, shape, truth
from elastix.compiler.ir import ModuleOp, RefusedOp, Value, compiler_pass, pattern, rewrite_until_stable


@pattern
def metadata_assertion(op: torch.Aten_AssertTensorMetadataOp) -> Sequence[Value]:
    return ()


@pattern
def alias(op: torch.AtenAliasOp) -> Value:
    return op.self_


@pattern
def detach(op: torch.AtenDetachOp) -> Value:
    return op.self_


@pattern
def clone(op: torch.AtenCloneOp) -> Value:
    return op.self_


@pattern
def contiguous(op: torch.AtenContiguousOp) -> Value:
    return op.self_


@pattern
def dropout_outside_training(op: torch.AtenDropoutOp) -> Value:
    if truth(op.train) is not False:
        raise RefusedOp(op, "it drops at random", wanted="a dropout that is off", do="call model.eval() before")
    return op.input


@pattern
def copy_to_same_type(op: torch.Aten_ToCopyOp) -> Value | None:
    return op.self_ if op.self_.type == op.result.type else None


@pattern
def conversion_to_same_type(op: torch.AtenToDtypeOp) -> Value | None:
    return op.self_ if op.self_.type == op.result.type else None


@pattern
def type_as_same_type(op: torch.AtenTypeAsOp) -> Value | None:
    return op.self_ if op.self_.type == op.result.type else None


@pattern
def expand_to_same_shape(op: torch.AtenExpandOp) -> Value | None:
    return op.self_ if op.self_.type == op.result.type else None


@pattern
def whole_slice(op: torch.AtenSliceTensorOp) -> Value | None:
    return op.self_ if op.self_.type == op.result.type else None


@pattern
def times_one(op: torch.AtenMulScalarOp) -> Value | None:
    return op.self_ if number(op.other) == 1 and op.self_.type == op.result.type else None


@pattern
def plus_zero(op: torch.AtenAddScalarOp) -> Value | None:
    return op.self_ if number(op.other) == 0 and op.self_.type == op.result.type else None


@pattern
def cat_with_empty(op: torch.AtenCatOp) -> Value | None:
    """A cache that starts empty is joined with a tensor of no elements."""
    parts = items(op.tensors) or []
    filled = [part for part in parts if 0 not in (shape(part) or ())]
    return filled[0] if len(filled) == 1 and filled[0].type == op.result.type else None


@compiler_pass
def drop_noise(module: ModuleOp) -> None:
    """Remove ops that only tracing needs and that compute nothing: metadata assertions, aliases, copies.

    Refuses a dropout that is on: compiled, it would drop the same elements in every run.
    """
    rewrite_until_stable(
        module,
        metadata_assertion,
        alias,
        detach,
        clone,
        contiguous,
        dropout_outside_training,
        copy_to_same_type,
        conversion_to_same_type,
        type_as_same_type,
        expand_to_same_shape,
        whole_slice,
        times_one,
        plus_zero,
        cat_with_empty,
    )
