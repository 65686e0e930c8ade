"""The generated step processor as an engine for whole decode steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.run_counters import STEP_COUNTERS
from elastix.compiler.processor.step.top import ARG_MAX, COUNTERS_AT, POSITION, TOKEN, TOKENS
from elastix.runtime.memory_model import IDEAL, MemoryModel
from elastix.runtime.simulate import ArcEngine, Counters, ProcessorEngine, VerilatorEngine
from elastix.runtime.step import StepResult

STEP_SIMULATIONS: Final = {"rtl": ArcEngine, "verilator": VerilatorEngine}
"""The RTL in this process; its SystemVerilog under Verilator."""


@dataclass(frozen=True)
class StepCounters:
    """One run. run: the counters of every processor; cache_beats, constant_beats: of channel streams; stream_stall,
    stream_empty: cycles of channel 0."""

    run: Counters
    instructions: int
    cache_beats: int
    constant_beats: int
    stream_stall: int
    stream_empty: int


class SimulatedStep:
    """A step processor under the harness, as StepEngine; use it as a context manager, or call `close`.

    What the processor's own memories hold stays from run to run, and so do caches in the memory.
    """

    def __init__(
        self,
        parameters: StepParameters,
        simulation: str = "rtl",
        memory_model: MemoryModel = IDEAL,
        *,
        check_settled: bool = False,
    ) -> None:
        self.parameters = parameters
        kind = STEP_SIMULATIONS[simulation]
        self.engine: ProcessorEngine = kind(parameters, memory_model, check_settled=check_settled)
        self.engine.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the circuit; a second call does nothing."""
        self.engine.close()

    def run(self, memory: NDArray[np.uint8], program: int, tokens: Sequence[int], position: int) -> StepResult:
        """Carry out the program at a byte address over these tokens, the first at `position`.

        Raises ElastixError when the processor reports an error, breaks an AXI rule, or does not finish in the bound of
        cycles.
        """
        engine, features = self.engine, self.parameters.features
        engine.attach(memory)
        engine.write_register(TOKENS, len(tokens))
        engine.write_register(POSITION, position)
        if "embed" in features:
            for lane, token in enumerate(tokens):
                engine.write_register(TOKEN + 4 * lane, token)
        run = engine.run(memory, program)
        kept = "arg_max" in features
        arg_max = tuple(engine.read_register(ARG_MAX + 4 * lane) if kept else 0 for lane in range(len(tokens)))
        return StepResult(arg_max, run.overflow, self.counters.instructions)

    @property
    def counters(self) -> StepCounters:
        """Of the run made last."""
        read = [self.engine.read_register(COUNTERS_AT + 4 * index) for index in range(len(STEP_COUNTERS))]
        return StepCounters(self.engine.counters, *read)

    @property
    def cycles(self) -> int:
        """Clock cycles of all runs, from the write that starts one to its interrupt."""
        return self.engine.total.pin_cycles
