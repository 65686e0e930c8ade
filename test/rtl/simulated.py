"""A module as a Python object one can clock, by the JIT that the runtime uses."""

import ctypes

from elastix.compiler.circuit import Module
from elastix.runtime.load_circuit import load_arc


class Simulated:
    """set inputs, call `step` (one clock) or `settle` (no clock), get outputs; values are Python ints, unsigned."""

    def __init__(self, module: Module) -> None:
        self.model = load_arc(module)
        self._evaluate = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.model.evaluate)
        self.widths = {name: bits for name, (_, bits, _) in self.model.ports.items()}
        self._bytes = {
            name: (ctypes.c_uint8 * ((bits + 7) // 8)).from_address(address)
            for name, (address, bits, _) in self.model.ports.items()
        }
        self.cycles = 0

    def set(self, **values: int) -> None:
        for name, value in values.items():
            assert 0 <= value < 1 << self.widths[name], f"{value} does not fit port {name}"
            place = self._bytes[name]
            place[:] = value.to_bytes(len(place), "little")

    def get(self, name: str) -> int:
        return int.from_bytes(self._bytes[name], "little")

    def get_signed(self, name: str) -> int:
        value, width = self.get(name), self.widths[name]
        return value - (1 << width) if value >> (width - 1) else value

    def evaluate(self) -> None:
        self._evaluate(self.model.state)

    def settle(self) -> None:
        """Outputs follow the inputs; no clock edge."""
        self.set(clk=0)
        self.evaluate()

    def step(self) -> None:
        """One clock edge, which sees the inputs as they are set."""
        self.settle()
        self.set(clk=1)
        self.evaluate()
        self.cycles += 1

    def tick(self) -> None:
        """One clock edge in one call, `clk` being 1."""
        ctypes.c_uint8.from_address(self.model.seen_clock).value = 0
        self.evaluate()
        self.cycles += 1

    def reset(self) -> None:
        self.set(rst=1)
        self.step()
        self.set(rst=0)
