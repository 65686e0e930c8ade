"""Whatever streams from memory is dispatched as early as its operands allow."""

from typing import Final

from elastix.compiler.ir import compiler_pass
from elastix.compiler.ir.core import ModuleOp
from elastix.compiler.processor.step.instructions import Instruction, Opcode
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.step.effects import Access, Place, accesses
from elastix.compiler.step.program import step_program_of, virtual_addresses, with_addresses

_HOISTED: Final = (Opcode.LINEAR, Opcode.SCORES, Opcode.VALUES)
_JUST_BEHIND: Final = 2.0**-20
"""Of the distance between two instructions; so many more fit between them."""
_STRETCH: Final = 4096
"""Elements."""


@compiler_pass
def hoist_streams(module: ModuleOp) -> None:
    """Move each LINEAR, SCORES and VALUES of a step program up to behind the last instruction that it depends on.

    So the projections of one input follow each other, and the vector engine works on the results of one while the next
    streams. Instructions that stream keep their order. LOADs move up past one LINEAR, to be there in time. Leaves what
    depends on the instruction before it, and a module without a step program. Refuses a program that END does not end.
    """
    program = step_program_of(module)
    if program is None:
        return
    ops = program.instructions
    parameters = program.processor.parameters()
    order = hoisted(with_addresses(ops, virtual_addresses(program.buffers), checked=False), parameters)
    end = ops[-1]
    for index in order[:-1]:
        ops[index].operation.move_before(end.operation)


def hoisted(program: list[Instruction], parameters: StepParameters) -> list[int]:
    """The indices of the instructions in their new order; END stays last."""
    after = _dependencies([accesses(each, parameters) for each in program])
    rank: list[float] = []  # where an instruction stands: its own index, or just behind what it depends on
    last_stream = -1.0
    for index, each in enumerate(program):
        at = float(index)
        if each.opcode in _HOISTED:
            needed = max((rank[other] for other in after[index]), default=-1.0)
            at = max(needed, last_stream) + _JUST_BEHIND
            last_stream = at
        rank.append(at)
    order = sorted(range(len(program)), key=lambda index: (rank[index], index))
    for index in [each for each in order if program[each].opcode is Opcode.LOAD]:
        _load_earlier(program, order, index, after[index])
    return order


def _load_earlier(program: list[Instruction], order: list[int], index: int, after: set[int]) -> None:
    """Put a LOAD before the LINEAR in front of it, where it may go there."""
    here = order.index(index)
    linear = next((at for at in range(here - 1, -1, -1) if program[order[at]].opcode is Opcode.LINEAR), None)
    if linear is not None and not after.intersection(order[linear:here]):
        order.insert(linear, order.pop(here))


def _dependencies(touched: list[list[Access]]) -> list[set[int]]:
    """For each instruction those that must come before it; what a later writer covers is left out."""
    # Accesses stand in every stretch of elements that they touch, so that few are looked at.
    history: dict[tuple[Place, int], list[tuple[Access, int]]] = {}
    after: list[set[int]] = []
    for index, each in enumerate(touched):
        needs: set[int] = set()
        for access in each:
            for stretch in _stretches(access):
                needs |= {other for past, other in history.get(stretch, []) if past.meets(access)}
        for access in each:
            for stretch in _stretches(access):
                past = history.setdefault(stretch, [])
                if access.writes:
                    past[:] = [
                        (old, other)
                        for old, other in past
                        if not (access.first <= old.first and old.last <= access.last)
                    ]
                past.append((access, index))
        after.append(needs)
    return after


def _stretches(access: Access) -> list[tuple[Place, int]]:
    """Those of _STRETCH elements that it touches."""
    return [(access.place, at) for at in range(access.first // _STRETCH, (access.last - 1) // _STRETCH + 1)]
