"""Weights are arguments of the function; a pass that needs another view of one asks for it by name.

The name says what the store is to read (compiler/importer/views.py): `w.T` transposed, `w.flat` as one row, `w[0:64]`
those rows, `w+1` plus one, `w*{n}` with columns scaled, `w@{H64}` with rows rotated.
"""

from typing import cast

from elastix.compiler.importer.torch_values import TO_BUILTIN, defining, vtensor
from elastix.compiler.ir import (
    ArrayAttr,
    Block,
    BlockArgument,
    DictAttr,
    FunctionType,
    Location,
    OpView,
    StringAttr,
    Type,
    TypeAttr,
    Value,
)

STORED = ("weight", "buffer")


def stored_argument(value: Value) -> BlockArgument | None:
    """The argument that `value` is, torch or builtin, if the weight store holds it."""
    op = defining(value)
    if op is not None and op.name == TO_BUILTIN:
        value = op.operands[0]
    return value if isinstance(value, BlockArgument) and kind_of(value) in STORED else None


def kind_of(argument: BlockArgument) -> str:
    """`elx.kind` of an argument; empty if it has none."""
    return _said(argument, "elx.kind")


def name_of(argument: BlockArgument) -> str:
    """`elx.name` of an argument; empty if it has none."""
    return _said(argument, "elx.name")


def derived(argument: BlockArgument, suffix: str, sizes: tuple[int, ...]) -> Value:
    """The argument named `argument`'s name + `suffix`, of f32 and these sizes; added at the end if there is none."""
    return weight_named(argument.owner, name_of(argument) + suffix, vtensor(sizes))


def weight_named(block: Block, name: str, kind: Type) -> Value:
    """The argument of a function's block that has this name; added at the end, as a weight of type `kind`, if none."""
    function = block.owner
    for other in block.arguments:
        if name_of(other) == name:
            return other
    added = block.add_argument(kind, Location.unknown())
    words = DictAttr.get({"elx.name": StringAttr.get(name), "elx.kind": StringAttr.get("weight")})
    function.attributes["arg_attrs"] = ArrayAttr.get([*_words(function), words])
    set_function_type(function)
    return added


def drop_unused_weights(function: OpView) -> None:
    """Remove the weights and buffers among a function's arguments that nothing reads."""
    block, words = function.regions[0].blocks[0], _words(function)
    unused = [a.arg_number for a in block.arguments if kind_of(a) in STORED and not any(True for _ in a.uses)]
    for place in reversed(unused):
        block.erase_argument(place)
        del words[place]
    if unused:
        function.attributes["arg_attrs"] = ArrayAttr.get(words)
        set_function_type(function)


def set_function_type(function: OpView) -> None:
    """Make a function's type follow the types of its arguments and of what it returns."""
    block = function.regions[0].blocks[0]
    *_, last = block.operations
    kind = FunctionType.get([a.type for a in block.arguments], [v.type for v in last.operands])
    function.attributes["function_type"] = TypeAttr.get(kind)


def _said(argument: BlockArgument, key: str) -> str:
    words = _words(argument.owner.owner)
    place = argument.arg_number
    if place >= len(words) or key not in words[place]:
        return ""
    return cast(StringAttr, words[place][key]).value


def _words(function: OpView) -> list[DictAttr]:
    attributes = function.attributes.get("arg_attrs")
    return [DictAttr(each) for each in ArrayAttr(attributes)] if attributes is not None else []
