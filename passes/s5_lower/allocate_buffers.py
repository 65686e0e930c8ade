"""Buffers of a step program get addresses; those that are never alive together share elements."""

from typing import Final

from elastix.compiler.arena import Lifetime, aligned, place
from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import compiler_pass
from elastix.compiler.ir.core import ModuleOp
from elastix.compiler.processor.step.parameters import ALIGNMENT, ELEMENT_BITS, SCALAR_REGISTERS
from elastix.compiler.step.program import step_program_of
from elastix.dialects.epu import BufferOp

UNIT: Final[dict[str, int]] = {"vector": ALIGNMENT, "constant": ALIGNMENT, "scalar": 1}
"""Elements that addresses are multiples of."""
LIMIT: Final = {"vector": 1 << ELEMENT_BITS, "constant": 1 << ELEMENT_BITS, "scalar": SCALAR_REGISTERS}
_PLACED_AT: Final = 64
"""What `arena.place` aligns to, in its bytes: one of our units."""


@compiler_pass
def allocate_buffers(module: ModuleOp) -> None:
    """Give each `epu.buffer` an address in its memory, and the step processor memories that are as large as needed.

    A buffer lives from the first instruction that names it to the last. Buffers that have addresses keep them, and
    then all must. Refuses programs that need more elements than an address can say, or more scalar registers.
    """
    program = step_program_of(module)
    alive: dict[str, tuple[int, int]] = {}
    for index, op in enumerate(program.instructions):
        for symbol, _ in op.buffers.values():
            alive[symbol] = (alive.get(symbol, (index, index))[0], index)
    sizes: dict[str, int] = {}
    for kind, unit in UNIT.items():
        buffers = [each for each in program.buffers if each.place == kind and each.sym_name in alive]
        sizes[kind] = _allocate(buffers, alive, unit)
        if sizes[kind] > LIMIT[kind]:
            raise ElastixError(
                f"a program that needs {sizes[kind]:,} elements of {kind} memory",
                wanted=f"at most {LIMIT[kind]:,}",
                do="choose a smaller model, a shorter context or fewer token lanes",
            )
    vector, constant = (aligned(max(sizes[kind], ALIGNMENT), ALIGNMENT) for kind in ("vector", "constant"))
    program.processor.resize(vector, constant)
    for each in program.buffers:
        if each.sym_name not in alive:
            each.operation.erase()


def _allocate(buffers: list[BufferOp], alive: dict[str, tuple[int, int]], unit: int) -> int:
    """Set the addresses; returns the elements that all take."""
    fixed = [each for each in buffers if each.address >= 0]
    if fixed and len(fixed) == len(buffers):
        return max(each.address + each.elements for each in fixed)
    lifetimes = [
        Lifetime(-(-each.elements // unit) * _PLACED_AT, *alive[each.sym_name]) for each in buffers
    ]
    offsets, size = place(lifetimes)
    for each, offset in zip(buffers, offsets, strict=True):
        each.put(offset // _PLACED_AT * unit)
    return size // _PLACED_AT * unit
