"""The function's arguments and results become builtin tensors; what nobody reads goes."""

from elastix.compiler.importer.torch_values import (
    FROM_BUILTIN,
    TO_BUILTIN,
    builtin_type,
    defining,
    from_builtin,
    set_operand,
    to_builtin,
)
from elastix.compiler.ir import (
    BlockArgument,
    InsertionPoint,
    ModuleOp,
    OpView,
    RefusedOp,
    Value,
    build_at,
    compiler_pass,
)
from elastix.passes.s2_fuse.weight_arguments import drop_unused_weights, set_function_type

_DIALECTS = ("torch", "torch_c", "elx")


@compiler_pass
def torch_to_builtin_signature(module: ModuleOp) -> None:
    """Give functions builtin tensors as arguments and results; drop unused ops, and unused weights and buffers.

    torch ops that are left read and write builtin tensors through `torch_c` casts.
    Refuses an argument or a result that is no tensor of fixed shape.
    """
    for function in module.body.operations:
        if function.OPERATION_NAME == "func.func":
            with function.location:
                _convert(function)


def _convert(function: OpView) -> None:
    block = function.regions[0].blocks[0]
    for argument in block.arguments:
        _make_builtin(argument)
    *_, last = block.operations
    with build_at(InsertionPoint(last), last.location):
        for place, value in enumerate(last.operands):
            if builtin_type(value) is None:
                raise _not_fixed(last, f"result {place} is {value.type}")
            set_operand(last, place, to_builtin(value))
    for op in block.operations:
        if op.operation.name == TO_BUILTIN and (source := _behind_cast(op)) is not None:
            op.results[0].replace_all_uses_with(source)
    for op in reversed(list(block.operations)):
        if op.operation.name.split(".")[0] in _DIALECTS and not any(_is_used(result) for result in op.results):
            op.operation.erase()
    set_function_type(function)
    drop_unused_weights(function)


def _make_builtin(argument: BlockArgument) -> None:
    old, new = argument.type, builtin_type(argument)
    if new is None:
        raise _not_fixed(argument.owner.owner, f"argument {argument.arg_number} is {old}")
    if old == new:
        return
    uses = list(argument.uses)
    argument.set_type(new)
    torch_users = [use for use in uses if use.owner.operation.name != TO_BUILTIN]
    for use in uses:
        if use.owner.operation.name == TO_BUILTIN:
            use.owner.results[0].replace_all_uses_with(argument)
            use.owner.operation.erase()
    if torch_users:
        with build_at(InsertionPoint.at_block_begin(argument.owner), argument.location):
            seen_by_torch = from_builtin(argument, old)
        for use in torch_users:
            set_operand(use.owner, use.operand_number, seen_by_torch)


def _not_fixed(op: OpView, found: str) -> RefusedOp:
    return RefusedOp(op, found, wanted="a tensor of fixed shape", do="give concrete example inputs")


def _behind_cast(op: OpView) -> Value | None:
    source = defining(op.operands[0])
    same = (
        source is not None and source.operation.name == FROM_BUILTIN and source.operands[0].type == op.results[0].type
    )
    return source.operands[0] if source is not None and same else None


def _is_used(value: Value) -> bool:
    return any(True for _ in value.uses)
