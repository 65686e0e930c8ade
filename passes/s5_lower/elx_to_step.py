"""A decode step of a language model becomes a program of instructions for one step processor."""

from elastix.compiler.ir import Symbol, build_at, compiler_pass
from elastix.compiler.ir.core import Block, InsertionPoint, ModuleOp
from elastix.compiler.processor.step.instructions import Opcode
from elastix.compiler.step.emitter import Emitter
from elastix.compiler.step.layout import lay_out_step
from elastix.compiler.step.lowering import lower_step
from elastix.compiler.step.program import step_processor_of
from elastix.compiler.step_function import step_function
from elastix.dialects.epu import StepProgramOp


@compiler_pass
def elx_to_step(module: ModuleOp) -> None:
    """Replace the step by an `epu.step_program`: buffers without addresses, and instructions in an order that is right.

    What a result needs comes before it, keys and values of a layer before its queries; where their weights are packed
    in parts, those of the next heads before the scores of some. Leaves a module without a step processor alone. Refuses
    ops that the step processor has no instructions for, steps of several tokens, attention with a mask, and caches that
    are not of 8 bits without rotation.
    """
    processor = step_processor_of(module)
    if processor is None:
        return
    step, parameters = step_function(module), processor.parameters()
    memory = lay_out_step(step, parameters)
    with build_at(InsertionPoint(step.op), step.op.location):
        program = StepProgramOp(sym_name="program", processor=Symbol(processor.sym_name))
    body = InsertionPoint(Block.create_at_start(program.body, []))
    emitter = Emitter(parameters, memory, body, step.op)
    lower_step(step, emitter)
    emitter.source = step.op
    emitter.emit(Opcode.END, {}, {})
    step.op.erase()
