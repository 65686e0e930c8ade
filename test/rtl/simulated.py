"""A module as a Python object one can clock: `to_llvm`, torch-mlir's JIT and a state in a bytearray."""

import ctypes
from typing import Any

from torch_mlir import ir
from torch_mlir.execution_engine import ExecutionEngine

from elastix.compiler.circuit import Module, to_llvm


class Simulated:
    """set inputs, call `step` (one clock) or `settle` (no clock), get outputs; values are Python ints, unsigned."""

    def __init__(self, module: Module) -> None:
        self.model = to_llvm(module)
        with ir.Context(), ir.Location.unknown():
            self.engine: Any = ExecutionEngine(ir.Module.parse(self.model.text), opt_level=2)
        address = self.engine.raw_lookup(self.model.entry)
        self._call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
        self._storage = ctypes.create_string_buffer(self.model.size + 4096)
        base = (ctypes.addressof(self._storage) + 4095) // 4096 * 4096
        self._state = (ctypes.c_uint8 * self.model.size).from_address(base)
        self._pointer = ctypes.c_void_p(base)
        self._arguments = (ctypes.c_void_p * 1)(ctypes.addressof(self._pointer))
        self.cycles = 0

    def set(self, **values: int) -> None:
        for name, value in values.items():
            offset, width = self.model.ports[name]
            assert 0 <= value < 1 << width, f"{value} does not fit port {name} of {width} bits"
            size = (width + 7) // 8
            self._state[offset : offset + size] = value.to_bytes(size, "little")

    def get(self, name: str) -> int:
        offset, width = self.model.ports.get(name) or self.model.registers[name]
        return int.from_bytes(bytes(self._state[offset : offset + (width + 7) // 8]), "little")

    def get_signed(self, name: str) -> int:
        width = (self.model.ports.get(name) or self.model.registers[name])[1]
        value = self.get(name)
        return value - (1 << width) if value >> (width - 1) else value

    def evaluate(self) -> None:
        self._call(self._arguments)

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
        self._state[self.model.previous_clock] = 0
        self.evaluate()
        self.cycles += 1

    def reset(self) -> None:
        self.set(rst=1)
        self.step()
        self.set(rst=0)
