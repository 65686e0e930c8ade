"""Proof that a program's waits order whatever touches the same place.

Independent of the interpreter: what an instruction reads and writes is said here once more, from its fields alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.step_oracle_accesses import accesses
from elastix.compiler.numbers.step_oracle_state import Place, Span, places
from elastix.compiler.processor.step.assembly import to_text
from elastix.compiler.processor.step.instructions import Instruction, Opcode, Operation, Unit
from elastix.compiler.processor.step.parameters import StepParameters

Counts = NDArray[np.int64]
_WAITS: Final = {unit: f"wait_{unit.name.lower()}" for unit in Unit}
_NOBODY: Final = -1


@dataclass(frozen=True)
class Order:
    """Of every instruction: its unit, its place in the unit's order, and how many each unit has surely finished
    when it begins.

    unit: int64 [n], −1 for END; place: int64 [n]; finished: int64 [n, 4].
    """

    unit: Counts
    place: Counts
    finished: Counts

    def before(self, first: int | Counts, then: int) -> NDArray[np.bool_]:
        """Whether instructions have surely finished when another begins."""
        return self.finished[then, self.unit[first]] > self.place[first]


def order_of(program: Sequence[Instruction], tokens: int) -> Order:
    """What the waits of a program imply, over all units.

    A unit finishes its instructions in order; all but the vector unit finish one before they begin the next. What an
    instruction has waited for, those that wait for it have waited for too. A skipped one waits for all of its unit.
    Raises ElastixError where an instruction waits for one that comes later in the program.
    """
    issued, begun = np.zeros(len(Unit), np.int64), np.zeros((len(Unit), len(Unit)), np.int64)
    history: list[list[Counts]] = [[] for _ in Unit]
    order = Order(*(np.full(shape, -1, np.int64) for shape in (len(program), len(program), (len(program), len(Unit)))))
    for number, instruction in enumerate(program):
        unit = instruction.unit
        if unit is None:
            continue
        waits = np.array([instruction[_WAITS[each]] for each in Unit])
        if (waits > issued).any():
            late = Unit(int((waits > issued).argmax()))
            raise ElastixError(
                f"instruction {number} ({to_text(instruction)}) has {_WAITS[late]} of {waits[late]}",
                wanted=f"at most {issued[late]}, those before it",
            )
        if unit is not Unit.VECTOR or instruction["lane"] >= tokens:
            waits[unit] = issued[unit]
        known = np.maximum(waits, begun[unit])
        for each in Unit:
            if known[each]:
                known = np.maximum(known, history[each][int(known[each]) - 1])
        order.unit[number], order.place[number], order.finished[number] = unit, issued[unit], known
        history[unit].append(known)
        begun[unit] = known
        issued[unit] += 1
    return order


def check_hazards(
    program: Sequence[Instruction],
    parameters: StepParameters,
    *,
    tokens: int | None = None,
    position: int | None = None,
) -> None:
    """Prove a program's order for runs of `tokens` tokens (left out: any number) at `position` (left out: the last).

    Raises ElastixError, naming both instructions, where one may read what another has not yet written, or overwrite
    what another may still read or has yet to write; where one reads what none has written in the run; where one
    writes where it still has to read; and where memory is read that the run writes.
    """
    for count in range(1, parameters.lanes + 1) if tokens is None else (tokens,):
        _Check(program, parameters, count, parameters.max_context - count if position is None else position).all()


class _Check:
    """One program with one number of tokens. Per element: who wrote it last, and who of each unit read it since."""

    def __init__(self, program: Sequence[Instruction], parameters: StepParameters, tokens: int, position: int) -> None:
        self.program, self.tokens = program, tokens
        self.order = order_of(program, tokens)
        self.touched = [accesses(each, parameters, tokens, position) for each in program]
        sizes = {place: size for place, (size, _) in places(parameters).items()}
        self.writer = {place: np.full(size, _NOBODY, np.int64) for place, size in sizes.items()}
        self.readers = {place: np.full((len(Unit), size), _NOBODY, np.int64) for place, size in sizes.items()}
        self.late = np.zeros(sizes[Place.SCALAR], np.bool_)
        """Scalar registers that a reduction wrote last, some time after its pass."""

    def all(self) -> None:
        for number, (reads, writes) in enumerate(self.touched):
            _check_in_place(number, self.program[number], reads, writes)
            for span in reads:
                if span.place is not Place.MEMORY:
                    self._read(number, span)
            for span in writes:
                if span.place is not Place.MEMORY:
                    self._write(number, span)
        self._check_memory()

    def _read(self, number: int, span: Span) -> None:
        here = self._within(number, span)
        writers = self.writer[span.place][here]
        if not span.padding and (writers == _NOBODY).any():
            first = span.first + int((writers == _NOBODY).argmax())
            raise ElastixError(
                f"{self._name(number)} reads {span.place} {first}, which nothing has written",
                wanted="an earlier instruction of this run that writes it",
            )
        # Maxima of one unit meet their registers in its order, so the next may go on from one at once.
        in_order = span.tracked and not self.late[span.first]
        self._need(number, writers, span, "reads", "writes", overlapping=in_order)
        self.readers[span.place][self.order.unit[number], here] = number

    def _write(self, number: int, span: Span) -> None:
        here = self._within(number, span)
        for readers in self.readers[span.place][:, here]:
            self._need(number, readers, span, "overwrites", "reads", overlapping=True)
        late = span.place is Place.SCALAR and (not span.tracked or bool(self.late[span.first]))
        self._need(number, self.writer[span.place][here], span, "overwrites", "writes", overlapping=not late)
        if span.place is Place.SCALAR:
            self.late[here] = not span.tracked
        self.writer[span.place][here] = number
        self.readers[span.place][:, here] = _NOBODY

    def _within(self, number: int, span: Span) -> slice:
        size = len(self.writer[span.place])
        if span.first + span.count > size:
            raise ElastixError(
                f"{self._name(number)} touches {span.place} {span.first + span.count - 1}", wanted=f"below {size}"
            )
        return slice(span.first, span.first + span.count)

    def _need(self, number: int, others: Counts, span: Span, does: str, did: str, *, overlapping: bool) -> None:
        """All of `others` must have finished before. overlapping: the vector unit's own are in order anyway."""
        for other in np.unique(others).tolist():
            if other in (_NOBODY, number) or self.order.before(other, number):
                continue
            if overlapping and self.order.unit[other] == self.order.unit[number] == Unit.VECTOR:
                continue
            first = span.first + int((others == other).argmax())
            wait = f"wait_{Unit(int(self.order.unit[other])).name.lower()}"
            raise ElastixError(
                f"{self._name(number)} {does} {span.place} {first}, which {self._name(other)} {did}, "
                f"and does not wait for it in runs of {self.tokens} tokens",
                wanted=f"{wait} of at least {self.order.place[other] + 1}",
            )

    def _name(self, number: int) -> str:
        return f"instruction {number} ({to_text(self.program[number])})"

    def _check_memory(self) -> None:
        """Streams are asked for before an instruction begins, so nothing may be read that is written in the run."""
        spans = [
            (span.first, span.first + span.count, number, writes)
            for number, touched in enumerate(self.touched)
            for writes, found in enumerate(touched)
            for span in found
            if span.place is Place.MEMORY
        ]
        open_spans: list[tuple[int, int, int, int]] = []
        for span in sorted(spans):
            open_spans = [each for each in open_spans if each[1] > span[0]]
            for each in open_spans:
                self._need_memory(each, span)
            open_spans.append(span)

    def _need_memory(self, one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> None:
        (_, _, first, first_writes), (_, _, then, then_writes) = sorted((one, other), key=lambda each: each[2])
        if not (first_writes or then_writes) or first == then:
            return
        if first_writes and then_writes and self.order.before(first, then):
            return
        byte = max(one[0], other[0])
        raise ElastixError(
            f"{self._name(first)} {'writes' if first_writes else 'reads'} and {self._name(then)} "
            f"{'writes' if then_writes else 'reads'} byte {byte:#x}",
            wanted="memory that a run reads and does not write, or writes in order",
        )


def _check_in_place(number: int, instruction: Instruction, reads: Sequence[Span], writes: Sequence[Span]) -> None:
    """An instruction may write over what it reads element for element, not with ROTATE; and nothing twice."""
    name = f"instruction {number} ({to_text(instruction)})"
    for one, other in combinations(writes, 2):
        if _overlap(one, other):
            raise ElastixError(
                f"{name} writes {one.place} {max(one.first, other.first)} twice", wanted="a wider stride"
            )
    vector = instruction.opcode is Opcode.VECTOR
    rotates = vector and instruction["operation"] == Operation.ROTATE
    repeated = vector and instruction["period"] > 0
    for read, write in product(reads, writes):
        if read.padding or read.place not in (Place.VECTOR, Place.CONSTANT) or not _overlap(read, write):
            continue
        if rotates or read.first != write.first or (repeated and read.place is Place.CONSTANT):
            raise ElastixError(
                f"{name} writes {write.place} {write.first} to {write.first + write.count - 1}, "
                f"which it reads from {read.first} on",
                wanted="element for element, or elements apart",
            )


def _overlap(one: Span, other: Span) -> bool:
    apart = one.first >= other.first + other.count or other.first >= one.first + one.count
    return one.place is other.place and not apart
