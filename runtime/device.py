"""A device: the flat memory of a processor and the engine that carries out the descriptors in it (README.md)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.runtime import _runtime

Memory = NDArray[np.uint8]
PythonEngine = Callable[[Memory, int], Any]
"""An engine in Python: called with the memory and a descriptor's address, it writes the results or raises."""


class Processor(Protocol):
    """The parameters that a device needs to know: D, A, M, C and the tiles of the activation buffer."""

    @property
    def beat(self) -> int: ...
    @property
    def activation_bits(self) -> int: ...
    @property
    def lanes(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def max_tiles(self) -> int: ...


@runtime_checkable
class NativeEngine(Protocol):
    """An engine behind a `struct elastix_engine` (elastix.h): the emulator, the generated processor in simulation."""

    @property
    def address(self) -> int: ...


Engine = NativeEngine | PythonEngine


@dataclass(frozen=True)
class LaunchStatistics:
    """What one descriptor has cost. launches: batches of at most M tokens; seconds: wall time in the engine."""

    descriptor: int
    launches: int
    tokens: int
    seconds: float


def emulator(processor: Processor) -> _runtime.Emulator:
    """The emulator as an engine of its own; raises ElastixError for parameters that are out of range."""
    try:
        return _runtime.Emulator(**_parameters(processor))
    except ValueError as error:
        raise ElastixError(f"processor parameters: {error}") from error


def run(engine: Engine, memory: Memory, descriptor: int) -> None:
    """Carry out a descriptor: results are written into the memory.

    Raises what a Python engine raises; ElastixError, with the engine's message, for the others.
    """
    if not isinstance(engine, NativeEngine):
        engine(memory, descriptor)
        return
    try:
        _runtime.run_engine(engine.address, memory, descriptor)
    except RuntimeError as error:
        raise ElastixError(str(error)) from error


class Device:
    """A memory of `size` zeroed bytes, its engine (the emulator, unless another is set) and the first error.

    scratch: byte address, a multiple of 64, of the 64 bytes that hold the descriptor of the launch in progress.
    After an error the C functions that compiled code calls do nothing, until `clear_error`; the methods here raise it.
    Raises ElastixError for parameters out of range or too little memory.
    """

    def __init__(self, processor: Processor, size: int, scratch: int, engine: Engine | None = None) -> None:
        self.processor = processor
        try:
            self._device = _runtime.Device(size, scratch, **_parameters(processor))
        except ValueError as error:
            raise ElastixError(f"device: {error}") from error
        except MemoryError as error:
            raise ElastixError(
                f"too little memory for a device of {size} bytes", do="free some or compile with fewer bits"
            ) from error
        self._engine: Engine = self._device.emulator
        self._bridge: _runtime.PythonEngine | None = None
        if engine is not None:
            self.set_engine(engine)

    @property
    def address(self) -> int:
        """Address of the `elastix_device`, the first argument of a compiled step."""
        return self._device.address

    @property
    def base(self) -> int:
        """Address of byte 0 of the memory, the second argument of a compiled step."""
        return self._device.base

    @property
    def memory(self) -> Memory:
        """All bytes, writable. After a change of weights that the emulator has used call `invalidate`."""
        return self._device.memory

    def load(self, address: int, content: bytes | Memory | Path) -> None:
        """Bytes, or those of a file, into memory at this byte address; raises ElastixError if they do not fit."""
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        if not 0 <= address <= self.memory.size - size:
            raise ElastixError(f"{size} bytes at {address:#x}", wanted=f"within the {self.memory.size} bytes of memory")
        span = self.memory[address : address + size]
        if isinstance(content, Path):
            with content.open("rb") as file:
                file.readinto(span.data)
        else:
            span[:] = np.frombuffer(content, np.uint8)
        self.invalidate()

    @property
    def engine(self) -> Engine:
        """The engine in use."""
        return self._engine

    @property
    def emulator(self) -> _runtime.Emulator:
        """The device's own emulator."""
        return self._device.emulator

    def set_engine(self, engine: Engine | None) -> None:
        """Use an engine for the launches that follow; None goes back to the device's own emulator."""
        chosen = self._device.emulator if engine is None else engine
        bridge = None if isinstance(chosen, NativeEngine) else _runtime.PythonEngine(chosen)
        self._device.set_engine(chosen.address if isinstance(chosen, NativeEngine) else _address(bridge))
        self._engine, self._bridge = chosen, bridge

    def invalidate(self) -> None:
        """Say that weights in memory have changed: what the device's emulator decoded from them is forgotten."""
        self._device.emulator.invalidate()

    @property
    def error(self) -> str | None:
        """The first error since the device was made or cleared."""
        return self._device.error

    def clear_error(self) -> None:
        """Forget the error, so that calls do something again."""
        self._device.clear_error()

    def raise_error(self) -> None:
        """Raise ElastixError if there is an error; it stays."""
        if (error := self.error) is not None:
            raise ElastixError(error)

    def quantize(self, x: NDArray[np.float32], address: int, activation_bits: int | None = None) -> None:
        """C3: activation images of the rows of x, fp32 [tokens, K], at `address`; A bits where not given fewer."""
        bits = self.processor.activation_bits if activation_bits is None else activation_bits
        self._device.quantize(np.ascontiguousarray(x, np.float32), bits, address)
        self.raise_error()

    def launch(self, descriptor: int, tokens: int) -> None:
        """Carry out the descriptor at this address over `tokens` tokens, in batches of at most M."""
        self._device.launch(descriptor, tokens)
        self._device.wait()
        self.raise_error()

    def read_back(self, address: int, tokens: int, n: int) -> NDArray[np.float32]:
        """Results at `address` without their padding: fp32 [tokens, n]."""
        y = np.empty((tokens, n), np.float32)
        self._device.read_back(address, y)
        self.raise_error()
        return y

    def embedding(self, descriptor: int, ids: NDArray[np.int64], k: int) -> NDArray[np.float32]:
        """C11: the rows `ids` of the packed table, fp32 [len(ids), k]."""
        y = np.empty((len(ids), k), np.float32)
        self._device.embedding(descriptor, np.ascontiguousarray(ids, np.int64), y)
        self.raise_error()
        return y

    def statistics(self) -> list[LaunchStatistics]:
        """What the launches have cost, by descriptor."""
        return [LaunchStatistics(*row) for row in self._device.statistics()]

    def clear_statistics(self) -> None:
        """Count from zero."""
        self._device.clear_statistics()


class CheckedEngine:
    """Runs two engines on every descriptor and compares their results in every byte.

    Raises ElastixError where they differ: layer, token, row and both values. names: what a layer is called, by the byte
    address of its weights. The second engine finds the result region filled with the complement of the first one's
    results, so a result that it does not write cannot pass; the bytes around the region (up to `GUARD` on either side)
    must stay as they were. launches: descriptors compared so far.
    """

    GUARD = 4096

    def __init__(
        self, processor: Processor, first: Engine, second: Engine, names: Mapping[int, str] | None = None
    ) -> None:
        self.processor, self.first, self.second = processor, first, second
        self.names: Mapping[int, str] = {} if names is None else names
        self.launches = 0

    def __call__(self, memory: Memory, descriptor: int) -> None:
        words = np.frombuffer(memory[descriptor : descriptor + 64].tobytes(), "<u4").astype(np.int64)
        tokens, row_blocks = int(words[0] >> 24), int(words[1])
        weights, y = int(words[4] | words[5] << 32), int(words[10] | words[11] << 32)
        size = tokens * row_blocks * self.processor.beat // 8
        low, high = max(0, y - self.GUARD), min(memory.size, y + size + self.GUARD)
        results = memory[y : y + size]
        before, after = memory[low:y].copy(), memory[y + size : high].copy()

        run(self.first, memory, descriptor)
        expected = results.copy()
        results[:] = ~expected
        run(self.second, memory, descriptor)
        found = results.copy()

        layer = self.names.get(weights, f"the layer with weights at {weights:#x}")
        if not (np.array_equal(before, memory[low:y]) and np.array_equal(after, memory[y + size : high])):
            raise ElastixError(
                f"{layer}: an engine wrote beside its results at {y:#x}", wanted=f"only these {size} bytes"
            )
        if not np.array_equal(expected, found):
            raise ElastixError(self._difference(layer, expected, found, tokens), wanted="equal bits")
        self.launches += 1

    def _difference(self, layer: str, expected: Memory, found: Memory, tokens: int) -> str:
        first, second = expected.view("<u4").reshape(tokens, -1), found.view("<u4").reshape(tokens, -1)
        token, row = (int(i) for i in np.argwhere(first != second)[0])
        count = int((first != second).sum())
        bits = [f"{int(y[token, row]):#010x} ({y.view('<f4')[token, row]})" for y in (first, second)]
        return (
            f"{layer}, token {token}, row {row}: the first engine gives {bits[0]}, the second {bits[1]}; "
            f"{count} of {first.size} results differ"
        )


def _parameters(processor: Processor) -> dict[str, int]:
    return {
        "beat": processor.beat,
        "activation_bits": processor.activation_bits,
        "lanes": processor.lanes,
        "channels": processor.channels,
        "max_tiles": processor.max_tiles,
    }


def _address(bridge: _runtime.PythonEngine | None) -> int:
    return 0 if bridge is None else bridge.address
