"""How many instructions each unit must have finished before another may begin."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from elastix.compiler.processor.step.instructions import Instruction, Unit
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.step.effects import Access, Place, accesses


@dataclass(frozen=True, slots=True)
class _Past:
    """An access by instruction `index` of the program, the `number`th of its unit (from 1)."""

    access: Access
    unit: Unit
    number: int


def waits(program: Sequence[Instruction], parameters: StepParameters) -> list[dict[str, int]]:
    """The wait fields of each instruction, zeros left out.

    An instruction waits for every earlier one that it meets in a place, unless its own unit keeps the two in order:
    all units do for their own instructions, but for the vector unit reading what it wrote, and for scalar registers
    that its reductions write late. What a later writer of the same elements has waited for needs no waiting.
    """
    history: dict[Place, list[_Past]] = defaultdict(list)
    finished: dict[Unit, int] = defaultdict(int)
    found: list[dict[str, int]] = []
    for each in program:
        needs: dict[Unit, int] = {}
        touched = accesses(each, parameters)
        for access in touched:
            for past in history[access.place]:
                if past.access.meets(access) and _counts(past, access, each.unit):
                    needs[past.unit] = max(needs.get(past.unit, 0), past.number)
        unit = each.unit
        if unit is None:  # END waits for everything
            needs = dict(finished)
        else:
            finished[unit] += 1
            for access in touched:
                _remember(history[access.place], _Past(access, unit, finished[unit]))
        found.append({f"wait_{unit.name.lower()}": number for unit, number in sorted(needs.items()) if number})
    return found


def _counts(past: _Past, access: Access, unit: Unit | None) -> bool:
    if past.unit != unit:
        return True
    late = access.writes and (access.late or past.access.late)
    return unit == Unit.VECTOR and past.access.writes and (late or not access.writes)


def _remember(past: list[_Past], new: _Past) -> None:
    """Add an access; what a write covers wholly is forgotten, as is an older read of the same by the same unit."""
    access = new.access
    past[:] = [
        each
        for each in past
        if not (
            access.first <= each.access.first
            and each.access.last <= access.last
            and (access.writes or (each.unit == new.unit and not each.access.writes))
        )
    ]
    past.append(new)
