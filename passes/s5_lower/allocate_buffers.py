"""Buffers of a step program get addresses; those that are never alive together share elements."""

from typing import Final

from elastix.compiler.arena import Lifetime, aligned, place
from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import RefusedOp, compiler_pass
from elastix.compiler.ir.core import ModuleOp
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, SCALAR_REGISTERS, StepParameters
from elastix.compiler.step.program import step_program_of
from elastix.dialects.epu import BufferOp

_LIMIT: Final = {"vector": 1 << ELEMENT_BITS, "constant": 1 << ELEMENT_BITS, "scalar": SCALAR_REGISTERS}
_WHAT: Final = {
    "vector": "elements of vector memory",
    "constant": "elements of constant memory",
    "scalar": "scalar registers",
}
_LESS: Final = "choose a smaller model, a shorter context or fewer token lanes"
_ROUND: Final = 1024
"""Rows of a cache that is proposed are a multiple of it."""
_PLACED_AT: Final = 64
"""What `arena.place` aligns to, in its bytes: one of our units."""


@compiler_pass
def allocate_buffers(module: ModuleOp) -> None:
    """Give each `epu.buffer` an address in its memory, and the step processor memories that are as large as needed.

    A buffer lives from the first instruction that names it to the last; one that none names is dropped. Buffers that
    have addresses keep them, and then all must. Leaves a module without a step program alone. Refuses programs that
    need more elements than an address can say, or more scalar registers, and instructions that name no buffer.
    """
    program = step_program_of(module)
    if program is None:
        return
    known = {each.sym_name for each in program.buffers}
    alive: dict[str, tuple[int, int]] = {}
    for index, op in enumerate(program.instructions):
        for symbol, _ in op.buffers.values():
            if symbol not in known:
                raise RefusedOp(op, f"the buffer @{symbol}", wanted="one of the program's")
            alive[symbol] = (alive.get(symbol, (index, index))[0], index)
    sizes: dict[str, int] = {}
    unit_of_elements = program.processor.parameters().alignment
    for kind in _LIMIT:
        unit = 1 if kind == "scalar" else unit_of_elements
        buffers = [each for each in program.buffers if each.place == kind and each.sym_name in alive]
        sizes[kind] = _allocate(buffers, alive, unit)
        if sizes[kind] > _LIMIT[kind]:
            raise ElastixError(
                f"a program that needs {sizes[kind]:,} {_WHAT[kind]}",
                wanted=f"at most {_LIMIT[kind]:,}",
                do=_fewer(sizes[kind], _LIMIT[kind], program.processor.parameters()) if kind == "vector" else _LESS,
            )
    vector, constant = (aligned(max(sizes[kind], 1), unit_of_elements) for kind in ("vector", "constant"))
    program.processor.resize(vector, constant)
    for each in program.buffers:
        if each.sym_name not in alive:
            each.operation.erase()


def _fewer(elements: int, limit: int, p: StepParameters) -> str:
    """Options with which vector memory holds the scores: two heads' are there at a time, three where tokens overlap."""
    scores = min(1 + p.lanes, 3) * p.group
    others = max(0, elements - scores * p.max_context)
    rows = (limit - others) // scores // _ROUND * _ROUND
    ways = [f"--max-context {rows}"] if 0 < rows < p.max_context else []
    if p.lanes > 1 and 2 * p.group * p.max_context + others // p.lanes <= limit:
        ways.append("--lanes 1")
    return f"compile with {' or '.join(ways)}" if ways else _LESS


def _allocate(buffers: list[BufferOp], alive: dict[str, tuple[int, int]], unit: int) -> int:
    """Set the addresses; returns the elements that all take."""
    fixed = [each for each in buffers if each.address >= 0]
    if fixed and len(fixed) < len(buffers):
        missing = next(each for each in buffers if each.address < 0)
        raise RefusedOp(missing, "no address, where others have one", wanted="addresses for all, or for none")
    if fixed:
        return max(each.address + each.elements for each in fixed)
    lifetimes = [Lifetime(-(-each.elements // unit) * _PLACED_AT, *alive[each.sym_name]) for each in buffers]
    offsets, size = place(lifetimes)
    for each, offset in zip(buffers, offsets, strict=True):
        each.put(offset // _PLACED_AT * unit)
    return size // _PLACED_AT * unit
