"""The ops inside an op, in the order of the text."""

from typing import TypeVar

from elastix.compiler.ir.core import Module, Operation, OpView, WalkOrder, WalkResult

O = TypeVar("O", bound=OpView)  # noqa: E741


def ops_of(root: Module | OpView, kind: type[O] = OpView) -> list[O]:
    """All ops of class `kind` inside `root`, at any depth, outer before inner; all ops if no class is given.

    A list, so that the caller may change and erase them, and what it raises comes out as it is.
    """
    found: list[O] = []

    def visit(op: Operation) -> WalkResult:
        view = op.opview
        if isinstance(view, kind) and op != root.operation:
            found.append(view)
        return WalkResult.ADVANCE

    root.operation.walk(visit, WalkOrder.PRE_ORDER)
    return found
