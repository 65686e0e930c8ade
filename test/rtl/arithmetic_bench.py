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


def words(count: int, seed: int) -> NDArray[np.uint32]:
    """Finite fp32 patterns, subnormals included: half of them near 1, three in ten with fractions of long runs."""
    pick = np.random.default_rng(seed)
    exponent = np.where(pick.random(count) < 0.5, pick.integers(100, 150, count), pick.integers(0, 255, count))
    fraction, kind = pick.integers(0, 1 << 23, count), pick.random(count)
    fraction = np.where(kind < 0.1, fraction & -(1 << pick.integers(0, 24, count)), fraction)
    fraction = np.where((kind >= 0.1) & (kind < 0.2), fraction | (1 << pick.integers(0, 24, count)) - 1, fraction)
    fraction = np.where(kind > 0.95, 0, fraction) & (1 << 23) - 1
    return (pick.integers(0, 2, count) << 31 | exponent << 23 | fraction).astype(np.uint32)


EDGES = np.array(
    [
        sign << 31 | pattern
        for sign in (0, 1)
        for pattern in (
            0x00000000,  # zero
            0x00000001,  # subnormal, as the next one
            0x007FFFFF,
            0x00800000,  # the least normal number and its neighbour
            0x00800001,
            0x00FFFFFF,
            0x01000000,
            0x0B000000,  # 24 places above the least
            0x0C7FFFFF,
            0x33800000,  # 2^-24
            0x3F000000,
            0x3F7FFFFF,  # about 1
            0x3F800000,
            0x3F800001,
            0x3FFFFFFF,
            0x40490FDB,
            0x4B000000,  # 2^23, 2^24
            0x4B7FFFFF,
            0x4B800000,
            0x4B800001,
            0x7E7FFFFF,
            0x7E800000,
            0x7F000000,  # 2^127
            0x7F7FFFFF,  # the largest
        )
    ],
    np.uint32,
)


def pairs(values: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Every one with every one."""
    a, b = np.meshgrid(values, values)
    return a.ravel(), b.ravel()


def beyond(exact: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where C6 applies: what would round to 2^128 or more."""
    return np.abs(exact) >= 2.0**128 - 2.0**103


def same(found: NDArray[np.generic], wanted: NDArray[np.generic], *operands: NDArray[np.generic]) -> None:
    """All equal; else an error that shows the first difference with its operands."""
    wrong = np.nonzero(found.astype(np.int64) != wanted.astype(np.int64))[0]
    if len(wrong):
        k = wrong[0]
        shown = ", ".join(f"{int(operand[k]):#x}" for operand in operands)
        raise AssertionError(
            f"{len(wrong)} of {len(found)}, first: {shown} gave {int(found[k]):#x}, not {int(wanted[k]):#x}"
        )
