"""Instructions of a step program learn what they must wait for."""

from typing import Final

from elastix.compiler.ir import RefusedOp, compiler_pass
from elastix.compiler.ir.core import ModuleOp
from elastix.compiler.step.program import step_program_of, with_addresses
from elastix.compiler.step.waits import waits

MOST: Final = (1 << 16) - 1
"""Instructions of one unit that a wait can count."""


@compiler_pass
def set_waits(module: ModuleOp) -> None:
    """Set the wait fields of each `epu.instruction`, from what instructions read and write at their addresses.

    An instruction waits for the last one of each unit that it shares elements with, where one of the two writes them
    and the units do not keep the order themselves. Older wait fields are replaced. Leaves a module without a step
    program alone. Refuses buffers without addresses, and waits for more than 65,535 instructions of one unit.
    """
    program = step_program_of(module)
    if program is None:
        return
    ops = program.instructions
    for each in program.buffers:
        if each.address < 0:
            raise RefusedOp(each, "no address", wanted="one", do="run allocate-buffers first")
    addresses = {each.sym_name: each.address for each in program.buffers}
    found = waits(with_addresses(ops, addresses), program.processor.parameters())
    for op, wait in zip(ops, found, strict=True):
        for name, count in wait.items():
            if count > MOST:
                raise RefusedOp(
                    op,
                    f"{name} of {count:,}",
                    wanted=f"at most {MOST:,}, as the field has 16 bits",
                    do="choose a smaller model or fewer token lanes",
                )
        op.set_waits(wait)
