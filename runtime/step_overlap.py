"""A program whose instructions overlap on the RTL, beside what its instructions leave one after another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.step.assembly import to_text
from elastix.compiler.processor.step.instructions import INSTRUCTION_BYTES, Instruction, Opcode
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.runtime.memory_model import MemoryModel
from elastix.runtime.step_engines import Memory
from elastix.runtime.step_places import SeenStep
from elastix.runtime.step_trace import Difference, TracedInstruction, Write, element_type, first_difference


@dataclass(frozen=True)
class Run:
    """A run to be made: memory from byte `first` on is as it was before it, and is so again before each try."""

    parameters: StepParameters
    memory_model: MemoryModel
    memory: Memory
    first: int
    program: int
    tokens: tuple[int, ...]
    position: int


def first_overlapping_difference(run: Run, trace: Sequence[TracedInstruction]) -> tuple[Difference | None, int]:
    """What the run leaves otherwise than `trace` says; and the cycles of all tries.

    Where the whole program leaves other bits, the shortest beginning of it that does so is searched for by halving, and
    the difference is the one of its earliest instruction.
    """
    before, cycles = run.memory[run.first :].copy(), 0

    def attempt(count: int) -> Difference | None:
        """With the first `count` instructions alone."""
        nonlocal cycles
        run.memory[run.first :] = before
        end = run.program + (count - 1) * INSTRUCTION_BYTES
        if count < len(trace):
            end += INSTRUCTION_BYTES
        run.memory[end : end + INSTRUCTION_BYTES] = np.frombuffer(Instruction(Opcode.END, {}).encode(), np.uint8)
        seen = SeenStep(run.parameters, run.memory_model)  # which remembers nothing of the right values
        with seen.step as step:
            try:
                step.run(run.memory, run.program, run.tokens, run.position)
            except ElastixError as error:
                last = trace[count - 1]
                return Difference(last.index, to_text(last.instruction), "program", 0, "an end", str(error))
            finally:
                cycles += step.cycles
            return _difference(seen, run.memory, trace[:count])

    found = attempt(len(trace))
    good, bad = 0, len(trace)
    while found is not None and bad - good > 1:
        middle = (good + bad) // 2
        here = attempt(middle)
        good, bad, found = (middle, bad, found) if here is None else (good, middle, here)
    return found, cycles


def _difference(seen: SeenStep, memory: Memory, trace: Sequence[TracedInstruction]) -> Difference | None:
    """Where the places hold other values than were last written there; of the earliest instruction, if of several."""
    earliest: tuple[int, Write, Write] | None = None
    for place, (first, values, writers) in _last_values(trace).items():
        kind = element_type(place)
        whole = Write(place, first, values.tobytes())
        found = np.frombuffer(seen.values(whole, memory), np.uint8).reshape(-1, kind.itemsize)
        wrong = (writers >= 0) & (found != values).any(axis=1)
        if wrong.any() and (earliest is None or writers[wrong].min() < earliest[0]):
            writer = int(writers[wrong].min())
            at = int(np.flatnonzero(wrong & (writers == writer))[0])
            pair = [Write(place, first + at, each[at].tobytes()) for each in (values, found)]
            earliest = writer, pair[0], pair[1]
    if earliest is None:
        return None
    writer, *writes = earliest
    ours, theirs = (TracedInstruction(trace[writer].index, trace[writer].instruction, (each,)) for each in writes)
    return first_difference([ours], [theirs])


def _last_values(trace: Sequence[TracedInstruction]) -> dict[str, tuple[int, NDArray[np.uint8], NDArray[Any]]]:
    """Of each place: its first written element; from there on the elements' bytes and who wrote each last, −1: none."""
    written: dict[str, list[tuple[int, Write]]] = {}
    for number, each in enumerate(trace):
        for write in each.writes:
            written.setdefault(write.place, []).append((number, write))
    result: dict[str, tuple[int, NDArray[np.uint8], NDArray[Any]]] = {}
    for place, writes in written.items():
        size = element_type(place).itemsize
        first = min(write.first for _, write in writes)
        count = max(write.first + len(write.values) // size for _, write in writes) - first
        values, writers = np.zeros((count, size), np.uint8), np.full(count, -1)
        for number, write in writes:
            here = np.frombuffer(write.values, np.uint8).reshape(-1, size)
            if place.startswith("value scales"):  # what is said of a bank is of the head scored last into it alone
                writers[:] = -1
            values[write.first - first : write.first - first + len(here)] = here
            writers[write.first - first : write.first - first + len(here)] = number
        result[place] = first, values, writers
    return result
