"""Instructions of a step program learn what they must wait for."""

from elastix.compiler.ir import compiler_pass
from elastix.compiler.ir.core import ModuleOp
from elastix.compiler.step.program import step_program_of, with_addresses
from elastix.compiler.step.waits import waits


@compiler_pass
def set_waits(module: ModuleOp) -> None:
    """Set the wait fields of each `epu.instruction`, from what instructions read and write at their addresses.

    An instruction waits for the last one of each unit that it shares elements with, where one of the two writes them
    and the units do not keep the order themselves. Older wait fields are replaced. Refuses buffers without addresses,
    and more than 65,535 instructions on one unit.
    """
    program = step_program_of(module)
    ops = program.instructions
    addresses = {each.sym_name: each.address for each in program.buffers}
    found = waits(with_addresses(ops, addresses), program.processor.parameters())
    for op, wait in zip(ops, found, strict=True):
        op.set_waits(wait)
