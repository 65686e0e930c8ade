"""Random programs for the vector engine: what must be waited for is worked out from what the rules read and write."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from elastix.compiler.numbers.step_oracle_state import Place, Run, Span, State, Write
from elastix.compiler.numbers.step_oracle_vector import vector
from elastix.compiler.processor.step.instructions import Instruction, Maximum, Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import StepParameters

HALF = 0x3F000000
REDUCTIONS = (Operation.SQUARES, Operation.MEAN, Operation.EXPONENTIAL)
SCALAR_USERS = (
    *REDUCTIONS,
    Operation.QUANTIZE,
    Operation.SCALE_BY,
    Operation.SUBTRACT,
    Operation.NORMALIZE,
    Operation.NORMALIZE_SHIFT,
)
SIMPLE = (
    Operation.COPY,
    Operation.ADD,
    Operation.ADD_CONSTANT,
    Operation.MULTIPLY,
    Operation.SCALE,
    Operation.SCALE_BY,
    Operation.SUBTRACT,
    Operation.NORMALIZE,
    Operation.NORMALIZE_SHIFT,
    Operation.ROTATE,
    Operation.ACTIVATE,
)


def random_program(p: StepParameters, random: Random, length: int, elements: int) -> list[Instruction]:
    """Instructions on the first `elements` of vector memory, registers 0 … 31; waits left out."""
    program = list[Instruction]()
    while len(program) < length:
        if random.random() < 0.5:
            program.append(_simple(p, random, random.choice(SIMPLE), elements))
        else:
            program += _consumer(p, random, elements)
    return program


def _place(p: StepParameters, random: Random, size: int, count: int) -> int:
    return p.alignment * random.randint(0, (size - count) // p.alignment)


def _simple(p: StepParameters, random: Random, operation: Operation, elements: int) -> Instruction:
    period = p.alignment * random.randrange(4)
    count = random.choice([1, 3, 8, 16, random.randint(1, 60)])
    if operation is Operation.ROTATE:
        period, count = p.head_dim, p.head_dim * random.randint(1, 3)
    values: dict[str, int] = {"operation": operation, "count": count, "period": period, "target": Target.VECTOR}
    reach = count if not period else max(period, p.alignment)
    values |= {"a": _place(p, random, elements, count), "b": _place(p, random, elements, count)}
    # The second half of constant memory is never written here.
    half = p.constant_elements // 2
    values |= {"c": half + _place(p, random, half, reach), "d": half + _place(p, random, half, reach)}
    values |= {"to": _free_place(p, random, elements, count, values), "k": HALF + random.getrandbits(23)}
    if random.random() < 0.15:
        values["target"], values["to"] = Target.CONSTANT, _place(p, random, half, count)
    elif random.random() < 0.1:
        values["target"] = Target.NONE
    values |= {"scalar_register": random.randrange(32), "max_register": random.randrange(32)}
    values["maximum"] = random.choice(list(Maximum))
    return Instruction(Opcode.VECTOR, values)


def _free_place(p: StepParameters, random: Random, elements: int, count: int, values: dict[str, int]) -> int:
    """A place that is neither a nor b in part: either one of them, or apart from both."""
    in_place = values["operation"] != Operation.ROTATE and random.random() < 0.3
    for _ in range(200):
        to = values["a"] if in_place else _place(p, random, elements, count)
        others = [values[name] for name in ("a", "b") if values[name] != to or not in_place]
        if all(abs(to - other) >= count for other in others):
            return to
        in_place = False
    return _place(p, random, elements, count)


def _consumer(p: StepParameters, random: Random, elements: int) -> list[Instruction]:
    """A maximum, and what wants it."""
    operation = random.choice([Operation.SQUARES, Operation.MEAN, Operation.QUANTIZE, Operation.EXPONENTIAL])
    count = random.choice([1, 5, 8, random.randint(1, 50)])
    values: dict[str, int] = {"operation": operation, "k": HALF + random.getrandbits(20), "epsilon": 0x3A000000}
    signed = operation is Operation.EXPONENTIAL
    if operation is Operation.QUANTIZE:
        target = random.choice([Target.ACTIVATIONS, Target.QUERY, Target.PROBABILITY, Target.KEY, Target.VALUE])
        values |= {"target": target, "bits": 16, "bank": random.randrange(2)}
        if target is Target.ACTIVATIONS:
            values |= {"bits": random.randint(8, p.activation_bits), "lane": random.randrange(p.lanes)}
            values["to"] = 32 * random.randrange(p.max_tiles - 1)
        elif target in (Target.KEY, Target.VALUE):
            count = p.head_dim
            values |= {"bits": 8, "lane": random.randrange(p.lanes), "head": random.randrange(p.kv_heads)}
            values |= {"rows": 2048, "scales": 4096}
        elif target is Target.QUERY:
            count = p.head_dim * p.group
        else:
            values["head"] = random.randrange(p.group)
            count = min(count, p.max_context)
    elif signed:
        values |= {"target": Target.VECTOR, "bank": random.randrange(2), "maximum": Maximum.MAGNITUDE}
        values |= {"max_register": random.randrange(32)}
        count = min(count, p.max_context)
    a, register = _place(p, random, elements, count), random.randrange(32)
    values |= {"count": count, "a": a, "scalar_register": register, "result_register": random.randrange(32)}
    if signed:
        values["to"] = _free_place(p, random, elements, count, values | {"b": a})
        values["max_register"] = (values["result_register"] + 1) % 32
    largest = {"operation": Operation.COPY, "target": Target.NONE, "count": count, "a": a, "max_register": register}
    largest["maximum"] = Maximum.SIGNED if signed else Maximum.MAGNITUDE
    return [Instruction(Opcode.VECTOR, largest), Instruction(Opcode.VECTOR, values)]


def with_waits(run: Run, program: Sequence[Instruction]) -> list[Instruction]:
    """Each instruction with the least wait_vector: for what it reads of memories and scalars to be written, and for
    results of reductions, which are late, before it tracks in or writes their registers."""
    state = State(run.parameters, run.state.arrays[Place.MEMORY].copy())
    for place, array in run.state.arrays.items():
        state.arrays[place] = array.copy()
    trial = replace(run, state=state)
    written, found = list[list[tuple[Write, bool]]](), list[Instruction]()
    for instruction in program:
        state.forget()
        vector(trial, instruction, instruction["lane"])
        touched = [*state.reads, *(Span(each.place, each.first, len(each.values)) for each in state.writes)]
        waits = [
            index + 1
            for index, writes in enumerate(written)
            for write, late in writes
            if any(_meet(each, write) and (late or not _in_order(each, instruction)) for each in state.reads)
            or (late and any(_meet(each, write) for each in touched))
        ]
        found.append(Instruction(Opcode.VECTOR, {**instruction.values, "wait_vector": max(waits, default=0)}))
        late = instruction["operation"] in REDUCTIONS
        written.append(
            [
                (each, late and each.place is Place.SCALAR and each.first == instruction["result_register"])
                for each in state.writes
            ]
        )
    return found


def _in_order(read: Span, instruction: Instruction) -> bool:
    """A maximum that goes on from its register's, which needs no wait."""
    kept = instruction["maximum"] == Maximum.MAGNITUDE_KEEP and read.first == instruction["max_register"]
    scalar = instruction["operation"] in SCALAR_USERS and read.first == instruction["scalar_register"]
    return read.place is Place.SCALAR and kept and not scalar


def _meet(span: Span, write: Write) -> bool:
    end = span.first + span.count
    return span.place is write.place and span.first < write.first + len(write.values) and write.first < end
