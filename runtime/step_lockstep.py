"""The generated RTL beside the emulator, instruction by instruction, with every buffer write compared."""

from collections.abc import Iterable, Sequence
from typing import Final, Self

import numpy as np

from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.step.assembly import to_text
from elastix.compiler.processor.step.instructions import Instruction, Opcode
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.runtime.memory_model import IDEAL, MemoryModel
from elastix.runtime.step import StepResult
from elastix.runtime.step_engines import EmulatorEngine, Memory
from elastix.runtime.step_overlap import Run, first_overlapping_difference
from elastix.runtime.step_places import WHOLE, SeenStep
from elastix.runtime.step_trace import Difference, TracedInstruction, Write, element_type, first_difference

PIECE: Final = 256
"""Bytes in which programs are read."""


def alone(instruction: Instruction) -> bytes:
    """A program of this instruction, which waits for nothing, and END."""
    values = {name: value for name, value in instruction.values.items() if not name.startswith("wait_")}
    return Instruction(instruction.opcode, values).encode() + Instruction(Opcode.END, {}).encode()


class LockStepEngine:
    """The emulator, and beside it the RTL in this process, as StepEngine; use it as a context manager, or call `close`.

    Each instruction is a run of its own on the RTL, whose memories keep what they hold from run to run; whatever the
    emulator wrote is then looked up in the circuit's memories, and nothing else may have changed in vector and constant
    memory. Then the program is run as it is, its instructions overlapping, from where this run began; if that leaves
    other bits, its shortest beginning that does is found.

    first: where caches begin in the memory; runs, instructions: compared so far; cycles: simulated so far.
    """

    def __init__(self, parameters: StepParameters, first: int, memory_model: MemoryModel = IDEAL) -> None:
        self.parameters, self.first, self.memory_model = parameters, first, memory_model
        self.emulator = EmulatorEngine(parameters)
        self.runs = self.instructions = 0
        self.seen = SeenStep(parameters, memory_model)
        self._overlapped_cycles = 0
        self._own: Memory | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the circuit; a second call does nothing."""
        self.seen.step.close()

    @property
    def cycles(self) -> int:
        """Clock cycles of all runs, of instructions alone and of programs as they are."""
        return self.seen.step.cycles + self._overlapped_cycles

    def run(self, memory: Memory, program: int, tokens: Sequence[int], position: int) -> StepResult:
        """As StepEngine.run. Raises ElastixError naming the first instruction that the RTL carries out otherwise."""
        own, before = self._beside(memory), memory[self.first :].copy()
        held = {name: self.seen.whole(name) for name in WHOLE}
        trace: list[TracedInstruction] = []
        emulated = self.emulator.run_traced(memory, program, tokens, position)
        while True:
            try:
                wanted = next(emulated)
            except StopIteration as end:
                result: StepResult = end.value
                break
            trace.append(wanted)
            found = self._alone(wanted, own, tokens, position, held)
            _raise(first_difference([wanted], [found]), position)
        self._compare_memory(own, memory, position)
        own[self.first : len(memory)] = before
        run = Run(self.parameters, self.memory_model, own, self.first, program, tuple(tokens), position)
        difference, cycles = first_overlapping_difference(run, trace)
        self._overlapped_cycles += cycles
        _raise(difference, position, "instructions one by one give the emulator's bits, but not as they overlap: ")
        self.runs += 1
        self.instructions += len(trace)
        return result

    def _beside(self, memory: Memory) -> Memory:
        """A memory for the RTL like this one, with room behind it for a program."""
        if self._own is None or len(self._own) < len(memory) + PIECE:
            self._own = np.concatenate([memory, np.zeros(-len(memory) % PIECE + PIECE, np.uint8)])
        self._own[self.first : len(memory)] = memory[self.first :]
        return self._own

    def _alone(
        self, wanted: TracedInstruction, own: Memory, tokens: Sequence[int], position: int, held: dict[str, bytes]
    ) -> TracedInstruction:
        """Carry out one instruction on the RTL; what it left where the emulator has written, and beside it."""
        place, code = len(own) - PIECE, alone(wanted.instruction)
        own[place : place + len(code)] = np.frombuffer(code, np.uint8)
        try:
            self.seen.step.run(own, place, tokens, position)
        except ElastixError as error:
            what = f"instruction {wanted.index} ({to_text(wanted.instruction)}) at position {position}"
            raise ElastixError(f"{what}: {error}", wanted="the emulator's answer") from None
        writes = [Write(each.place, each.first, self.seen.values(each, own)) for each in wanted.writes]
        for name in WHOLE:
            now = self.seen.whole(name)
            writes += _beside_these(name, held[name], now, wanted.writes)
            held[name] = now
        return TracedInstruction(wanted.index, wanted.instruction, tuple(writes))

    def _compare_memory(self, own: Memory, memory: Memory, position: int) -> None:
        different = np.flatnonzero(own[self.first : len(memory)] != memory[self.first :])
        if len(different):
            at = self.first + int(different[0])
            raise ElastixError(
                f"byte {at:#x} of memory changed at position {position}, and no instruction writes it",
                wanted="every bit of every write alike",
            )


def _raise(found: Difference | None, position: int, why: str = "") -> None:
    if found is not None:
        text = f"{why}instruction {found.index} ({found.text}) at position {position}: {found.place}"
        values = f"{found.first} by the emulator, {found.second} by the RTL"
        raise ElastixError(f"{text}, element {found.element:#x}: {values}", wanted="every bit of every write alike")


def _beside_these(place: str, before: bytes, now: bytes, writes: Iterable[Write]) -> list[Write]:
    """What has changed in a place that none of these writes says."""
    if before == now:
        return []
    kind = element_type(place)
    changed = np.frombuffer(before, np.uint32) != np.frombuffer(now, np.uint32)
    for each in writes:
        if each.place == place:
            changed[each.first : each.first + len(each.values) // kind.itemsize] = False
    size = kind.itemsize
    return [Write(place, int(at), now[at * size : (at + 1) * size]) for at in np.flatnonzero(changed)[:1]]
