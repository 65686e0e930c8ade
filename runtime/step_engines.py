"""The engines of a step processor by name: ways to carry out a program, one answer."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers import step_oracle
from elastix.compiler.numbers.step_oracle_state import Place, State
from elastix.compiler.numbers.step_oracle_state import Write as OracleWrite
from elastix.compiler.processor.step.instructions import Instruction
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.runtime.step import StepEmulator, StepResult
from elastix.runtime.step_trace import Difference, TracedInstruction, Write, element_type, first_difference

Memory = NDArray[np.uint8]
STEP_ENGINES: Final = ("emulator", "rtl", "verilator", "oracle")
"""C++; the generated RTL in this process; its SystemVerilog under Verilator; the rules in Python."""


class StepEngine(Protocol):
    """What carries out programs in a memory, which holds the caches, so that runs continue each other."""

    def run(self, memory: Memory, program: int, tokens: Sequence[int], position: int) -> StepResult:
        """Carry out the program at a byte address; raises ElastixError as StepEmulator.run."""
        ...


class TracingEngine(StepEngine, Protocol):
    """An engine that also says what each instruction wrote."""

    def run_traced(
        self, memory: Memory, program: int, tokens: Sequence[int], position: int
    ) -> Iterator[TracedInstruction]:
        """The same run, one instruction for each item."""
        ...


class EmulatorEngine:
    """StepEmulator; one for each memory it is given, the last kept."""

    def __init__(self, parameters: StepParameters) -> None:
        self.parameters = parameters
        self._emulator: StepEmulator | None = None

    def emulator(self, memory: Memory) -> StepEmulator:
        """The emulator over this memory."""
        if self._emulator is None or self._emulator.memory is not memory:
            self._emulator = StepEmulator(self.parameters, memory)
        return self._emulator

    def run(self, memory: Memory, program: int, tokens: Sequence[int], position: int) -> StepResult:
        """As StepEngine.run."""
        return self.emulator(memory).run(program, tokens, position)

    def run_traced(
        self, memory: Memory, program: int, tokens: Sequence[int], position: int
    ) -> Generator[TracedInstruction, None, StepResult]:
        """As TracingEngine.run_traced."""
        return self.emulator(memory).run_traced(program, tokens, position)


class OracleEngine:
    """The rules in Python; its memories but for the given one begin as zeros and keep what they hold."""

    def __init__(self, parameters: StepParameters) -> None:
        self.parameters = parameters
        self._state: State | None = None

    def run(self, memory: Memory, program: int, tokens: Sequence[int], position: int) -> StepResult:
        """As StepEngine.run."""
        return self._run(memory, program, tokens, position, None)

    def run_traced(
        self, memory: Memory, program: int, tokens: Sequence[int], position: int
    ) -> Iterator[TracedInstruction]:
        """As TracingEngine.run_traced; the whole run is carried out before the first item."""
        trace: list[TracedInstruction] = []
        self._run(memory, program, tokens, position, trace)
        return iter(trace)

    def _run(
        self,
        memory: Memory,
        program: int,
        tokens: Sequence[int],
        position: int,
        trace: list[TracedInstruction] | None,
    ) -> StepResult:
        if self._state is None or self._state.arrays[Place.MEMORY] is not memory:
            self._state = State(self.parameters, memory)

        def keep(index: int, instruction: Instruction, writes: Sequence[OracleWrite]) -> None:
            if trace is not None:
                trace.append(TracedInstruction(index, instruction, tuple(_named(w, self.parameters) for w in writes)))

        found = step_oracle.run(memory, program, tokens, position, self.parameters, state=self._state, hook=keep)
        arg_max = tuple(int(each) for each in self._state.arrays[Place.ARG_MAX][: len(tokens)])
        return StepResult(arg_max, found.flags.overflow, found.instructions + 1)


def open_step_engine(name: str, parameters: StepParameters, stack: ExitStack) -> StepEngine:
    """The engine of that name, closed with `stack`; raises ElastixError for an unknown name."""
    match name:
        case "emulator":
            return EmulatorEngine(parameters)
        case "oracle":
            return OracleEngine(parameters)
        case "rtl" | "verilator":
            from elastix.runtime.step_simulate import SimulatedStep  # CIRCT takes a moment to load

            return stack.enter_context(SimulatedStep(parameters, name))
        case _:
            raise ElastixError(f"engine {name!r}", wanted=" or ".join(STEP_ENGINES))


def compare(
    first: TracingEngine, second: TracingEngine, memory: Memory, program: int, tokens: Sequence[int], position: int
) -> Difference | None:
    """Both engines on copies of a memory, in step as far as they trace in step: where they part, None if nowhere."""
    copies = memory.copy(), memory.copy()
    traces = [
        engine.run_traced(copy, program, tokens, position) for engine, copy in zip((first, second), copies, strict=True)
    ]
    return first_difference(*traces)


def _named(write: OracleWrite, p: StepParameters) -> Write:
    """The oracle's write by the names of step_trace.py."""
    heads = p.kv_heads
    places: dict[Place, tuple[str, int]] = {
        Place.VECTOR: ("vector memory", 0),
        Place.CONSTANT: ("constant memory", 0),
        Place.SCALAR: ("scalar register {}", 1),
        Place.ACTIVATIONS: ("activation buffer of token {}", 32 * p.max_tiles),
        Place.ACTIVATION_EXPONENT: ("activation exponent of token {}", 1),
        Place.QUERY: ("query bank {}", p.group * p.head_dim),
        Place.QUERY_EXPONENT: ("query exponent of bank {}", 1),
        Place.PROBABILITY: ("probability bank {}", p.group * p.max_context),
        Place.PROBABILITY_EXPONENT: ("probability exponent of bank {}", 1),
        Place.VALUE_SCALE: ("value scales bank {}", p.max_context),
        Place.CURRENT_KEY: ("current key row of token {}, head {}", p.head_dim),
        Place.CURRENT_KEY_SCALE: ("current key scale of token {}, head {}", 1),
        Place.CURRENT_VALUE: ("current value row of token {}, head {}", p.head_dim),
        Place.CURRENT_VALUE_SCALE: ("current value scale of token {}, head {}", 1),
        Place.ARG_MAX: ("arg max of token {}", 1),
        Place.MEMORY: ("memory", 0),
    }
    name, size = places[write.place]
    number, first = divmod(write.first, size) if size else (0, write.first)
    numbers = divmod(number, heads) if name.count("{}") == 2 else (number,)
    place = name.format(*numbers)
    values: NDArray[Any] = write.values.astype(element_type(place))
    return Write(place, first, values.tobytes())
