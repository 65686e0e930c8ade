"""What no step processor carries out: where it stands in the user's model, and who can do it instead."""

from typing import Final

from elastix.compiler.ir import OpResult, OpView, RefusedOp

ON_HOST: Final = "compile without --whole-step: the host computes it then, and report.md says what each crossing costs"


class RefusedStepOp(RefusedOp):
    """An op that is left to the host only if the user says so, by another flow; of a conversion what it converts."""

    def __init__(self, op: OpView, found: str, *, wanted: str = "", do: str = ON_HOST) -> None:
        super().__init__(_converted(op), found, wanted=wanted, do=do)


def _converted(op: OpView) -> OpView:
    while op.operation.name.startswith("torch_c.") and isinstance(value := op.operands[0], OpResult):
        op = value.owner
    return op
