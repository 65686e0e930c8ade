"""What an instruction reads and writes, in every place that two instructions can meet in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from elastix.compiler.processor.step.instructions import Instruction, Maximum, Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import StepParameters

Place = str | tuple[str, int] | tuple[str, int, int]
"""A memory (`vector`, `constant`, `scalar`), or one of a kind: ("activations", lane), ("query", bank) …"""

WITH_B: Final = (Operation.ADD, Operation.MULTIPLY)
WITH_C: Final = (Operation.ADD_CONSTANT, Operation.NORMALIZE, Operation.NORMALIZE_SHIFT, Operation.ROTATE)
WITH_D: Final = (Operation.NORMALIZE_SHIFT, Operation.ROTATE)
WITH_SCALAR: Final = (
    Operation.SCALE_BY,
    Operation.SUBTRACT,
    Operation.NORMALIZE,
    Operation.NORMALIZE_SHIFT,
    Operation.EXPONENTIAL,
    Operation.SQUARES,
    Operation.MEAN,
    Operation.QUANTIZE,
)
WITH_RESULT: Final = (Operation.SQUARES, Operation.MEAN, Operation.EXPONENTIAL)


@dataclass(frozen=True, slots=True)
class Access:
    """Elements first … last − 1 of a place, read or written. late: the end of a reduction, behind the other writes."""

    place: Place
    first: int
    last: int
    writes: bool
    late: bool = False

    def meets(self, other: "Access") -> bool:
        """Whether the order of the two matters."""
        return (
            self.place == other.place
            and (self.writes or other.writes)
            and self.first < other.last
            and other.first < self.last
        )


def accesses(instruction: Instruction, parameters: StepParameters) -> list[Access]:
    """Everything that an instruction may touch, at any position, with any number of tokens."""
    match instruction.opcode:
        case Opcode.END:
            return []
        case Opcode.LINEAR:
            return list(_linear(instruction, parameters))
        case Opcode.VECTOR:
            return list(_vector(instruction, parameters))
        case Opcode.SCORES:
            return list(_scores(instruction, parameters))
        case Opcode.VALUES:
            return list(_values(instruction, parameters))
        case Opcode.LOAD:
            place = "constant" if instruction["target"] == Target.CONSTANT else "vector"
            return [_write(place, instruction["to"], instruction["count"])]
        case Opcode.EMBED:
            return [_write("vector", instruction["to"], 32 * instruction["tiles"])]


def _read(place: Place, first: int, count: int = 1) -> Access:
    return Access(place, first, first + count, writes=False)


def _write(place: Place, first: int, count: int = 1) -> Access:
    return Access(place, first, first + count, writes=True)


def _linear(each: Instruction, parameters: StepParameters) -> Iterator[Access]:
    results = each["row_blocks"] * parameters.rows
    operation, stride = each["operation"], each["lane_stride"]
    if operation == Operation.ADD_CONSTANT:
        yield _read("constant", each["from"], results)
    for lane in range(parameters.lanes):
        yield _read(("activations", lane), 0)
        if each["target"] == Target.VECTOR:
            yield _write("vector", each["to"] + lane * stride, results)
        else:
            yield _write("memory", each["to"] + lane * stride, results * 4)
        if operation in WITH_B:
            yield _read("vector", each["from"] + lane * stride, results)
    if each["maximum"] != Maximum.NONE:
        yield _write("scalar", each["max_register"], parameters.lanes)
    if each["arg_max"]:
        yield _write("arg_max", 0)


def _vector(each: Instruction, parameters: StepParameters) -> Iterator[Access]:
    operation = each["operation"]
    count = each["count"] + (parameters.max_context - 1 if each["to_position"] else 0)
    constants = min(count, each["period"] or count)
    yield _read("vector", each["a"], count)
    if operation in WITH_B:
        yield _read("vector", each["b"], count)
    if operation in WITH_C:
        yield _read("constant", each["c"], constants)
    if operation in WITH_D:
        yield _read("constant", each["d"], constants)
    if operation in WITH_SCALAR:
        yield _read("scalar", each["scalar_register"])
    if operation == Operation.EXPONENTIAL:
        yield _read(("value scales", each["bank"]), 0)
    if operation in WITH_RESULT:
        register = each["result_register"]
        yield Access("scalar", register, register + 1, writes=True, late=True)
    if each["maximum"] != Maximum.NONE:
        yield _write("scalar", each["max_register"])
    match each["target"]:
        case Target.VECTOR:
            yield _write("vector", each["to"], count)
        case Target.CONSTANT:
            yield _write("constant", each["to"], count)
        case Target.ACTIVATIONS:
            yield _write(("activations", each["lane"]), 0)
        case Target.QUERY:
            yield _write(("query", each["bank"]), 0)
        case Target.PROBABILITY:
            yield _write(("probability", each["bank"]), 0)
        case Target.KEY | Target.VALUE as target:
            kind = "key row" if target == Target.KEY else "value row"
            yield _write((kind, each["lane"], each["head"]), 0)
        case _:
            pass


def _scores(each: Instruction, parameters: StepParameters) -> Iterator[Access]:
    yield _read(("query", each["bank"]), 0)
    yield _write(("value scales", each["bank"]), 0)
    for lane in range(each["lane"] + 1):
        yield _read(("key row", lane, each["head"]), 0)
        yield _read(("value row", lane, each["head"]), 0)
    for query in range(parameters.group):
        yield _write("vector", each["to"] + query * each["stride"], parameters.max_context)
    yield _write("scalar", each["max_register"], parameters.group)


def _values(each: Instruction, parameters: StepParameters) -> Iterator[Access]:
    yield _read(("probability", each["bank"]), 0)
    for lane in range(each["lane"] + 1):
        yield _read(("value row", lane, each["head"]), 0)
    yield _write("vector", each["to"], parameters.group * parameters.head_dim)
