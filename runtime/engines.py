"""The engines by name: four ways to carry out a descriptor, one answer."""

from contextlib import ExitStack
from typing import Final

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers import oracle
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.runtime.device import Engine, Memory, emulator

ENGINES: Final = ("emulator", "rtl", "verilator", "oracle")
"""C++; the generated RTL in this process; its SystemVerilog under Verilator; the rules in Python."""


def open_engine(name: str, processor: ProcessorParameters, stack: ExitStack) -> Engine:
    """The engine of that name for a processor, closed with `stack`; raises ElastixError for an unknown name."""
    match name:
        case "emulator":
            return emulator(processor)
        case "oracle":
            return Oracle(processor)
        case "rtl" | "verilator":
            from elastix.runtime.simulate import ArcEngine, VerilatorEngine  # CIRCT takes a moment to load

            return stack.enter_context((ArcEngine if name == "rtl" else VerilatorEngine)(processor))
        case _:
            raise ElastixError(f"engine {name!r}", wanted=" or ".join(ENGINES))


class Oracle:
    """The oracle as a Python engine."""

    def __init__(self, processor: ProcessorParameters) -> None:
        self.processor = processor

    def __call__(self, memory: Memory, descriptor: int) -> None:
        oracle.run(memory, descriptor, self.processor)


def simulated_cycles(engine: Engine) -> int:
    """Clock cycles that a simulated engine has spent in launches; 0 for the others."""
    total = getattr(engine, "total", None)
    return 0 if total is None else total.pin_cycles
