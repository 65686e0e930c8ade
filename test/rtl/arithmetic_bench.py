"""Arrays through a module of the arithmetic library: one set of operands a cycle, results LATENCY cycles later."""

import ctypes
from functools import cache

import numpy as np
from numpy.typing import NDArray
from simulated import Simulated

from elastix.compiler.circuit import Module


@cache
def simulated(module: Module) -> Simulated:
    return Simulated(module)


def stream(module: Module, latency: int, **inputs: NDArray[np.generic]) -> dict[str, NDArray[np.uint64]]:
    """What comes out for each element of `inputs` (integers of one length, negative ones in two's complement).

    The cycles after the last element carry the first one's operands, so a result of the wrong cycle does not pass
    for lack of anything else to see.
    """
    dut = simulated(module)
    dut.set(clk=1)
    count = len(next(iter(inputs.values())))
    columns = [(_port(dut, name), _words(values, dut.widths[name])) for name, values in inputs.items()]
    outputs = {name: [0] * count for name in module.outputs}
    reads = [(_port(dut, name), outputs[name]) for name in outputs]
    for cycle in range(count + latency - 1):
        place = cycle if cycle < count else 0
        for port, values in columns:
            port.value = values[place]
        dut.tick()
        done = cycle - latency + 1
        if done >= 0:
            for port, values in reads:
                values[done] = port.value
    return {name: np.array(values, np.uint64) for name, values in outputs.items()}


def _words(values: NDArray[np.generic], bits: int) -> list[int]:
    return [int(value) & (1 << bits) - 1 for value in values.tolist()]


class _OddPort:
    """A port of 3, 5, 6 or 7 bytes, whose neighbours are not touched."""

    def __init__(self, address: int, size: int) -> None:
        self._bytes = (ctypes.c_uint8 * size).from_address(address)

    @property
    def value(self) -> int:
        return int.from_bytes(self._bytes, "little")

    @value.setter
    def value(self, value: int) -> None:
        self._bytes[:] = value.to_bytes(len(self._bytes), "little")


Port = ctypes.c_uint8 | ctypes.c_uint16 | ctypes.c_uint32 | ctypes.c_uint64 | _OddPort


def _port(dut: Simulated, name: str) -> Port:
    address, bits, _ = dut.model.ports[name]
    size = (bits + 7) // 8
    kinds = {1: ctypes.c_uint8, 2: ctypes.c_uint16, 4: ctypes.c_uint32, 8: ctypes.c_uint64}
    return kinds[size].from_address(address) if size in kinds else _OddPort(address, size)


def signed(values: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    """Unsigned words of `bits` bits as two's complement."""
    found = values.astype(np.int64)
    return np.where(found >> (bits - 1) & 1, found - (1 << bits), found)


def fp32(values: NDArray[np.uint64]) -> NDArray[np.float32]:
    return values.astype(np.uint32).view(np.float32)
