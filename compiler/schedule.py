"""When each op of a step runs, and how long a launch may go on before the host waits for it."""

from dataclasses import dataclass

from elastix.compiler.ir import shape_of
from elastix.compiler.ir.core import Block, OpView
from elastix.dialects.elx import QuantizedLinearOp, ReshapeOp, TransposeOp


def moves_no_data(op: OpView) -> bool:
    """Is the result the operand's bytes as they are? A transpose that only moves axes of size 1 is such an op too."""
    match op:
        case ReshapeOp():
            return True
        case TransposeOp():
            shape = shape_of(op.x)
            axes = [axis for axis in op.permutation if shape[axis] != 1]
            return axes == sorted(axes)
        case _:
            return False


@dataclass(frozen=True)
class Schedule:
    """The ops of a block in order, the terminator last.

    position: of every op. waits: for each launch, the position of the op before which the host waits for it.
    """

    ops: tuple[OpView, ...]
    position: dict[OpView, int]
    waits: dict[OpView, int]


def schedule(block: Block) -> Schedule:
    """Launches run on, together, until the first op that touches data; most often q, k and v, or gate and up."""
    ops = tuple(block.operations)
    position = {op: index for index, op in enumerate(ops)}
    waits: dict[OpView, int] = {}
    running: list[OpView] = []
    for index, op in enumerate(ops):
        if isinstance(op, QuantizedLinearOp):
            running.append(op)
        elif not moves_no_data(op):
            waits.update(dict.fromkeys(running, index))
            running = []
    return Schedule(ops, position, waits)
