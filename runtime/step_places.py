"""What a simulated step processor's own memories hold, by the places of step_trace.py."""

import ctypes
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.parameters import COLUMNS
from elastix.compiler.processor.step.attention_memory import power_of_two
from elastix.compiler.processor.step.attention_ports import lanes_of, row_room
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.top import ARG_MAX
from elastix.runtime.load_circuit import LoadedCircuit
from elastix.runtime.memory_model import MemoryModel
from elastix.runtime.step_simulate import SimulatedStep
from elastix.runtime.step_trace import Write, element_type

Integers = NDArray[np.int64]
WHOLE: Final = ("vector memory", "constant memory")
"""Places that are looked at whole, as instructions write only what they say."""
_NUMBERS: Final = re.compile(r"\d+")


class StepPlaces:
    """Reads the state of a circuit that was compiled into this process, between runs.

    Raises ElastixError for a circuit whose memories cannot be seen.
    """

    def __init__(self, circuit: LoadedCircuit, parameters: StepParameters) -> None:
        if not circuit.memories:
            raise ElastixError("a circuit whose memories cannot be seen", wanted="--engine rtl")
        self.circuit, self.parameters = circuit, parameters
        self._readers: dict[str, Callable[[list[int], Integers], list[NDArray[Any]]]] = {
            "vector memory": lambda _, at: self._words("vector", at),
            "constant memory": lambda _, at: self._words("constant", at),
            "scalar register": lambda n, at: [self._memory("vector/scalar_registers/numbers", at + n[0], 32)],
            "activation buffer": lambda n, at: self._activations(n[0], at),
            "activation exponent": lambda n, _: [
                self._register(path) for path in self._engines(self.circuit.registers, f"exponent_{n[0]}")
            ],
            "query bank": lambda n, at: self._queries(n[0], at),
            "query exponent": lambda n, at: self._copies("operands/exponents", at + n[0], 16),
            "probability bank": lambda n, at: [self._probabilities(n[0], at)],
            # Results of VALUES leave through channel 0, so its exponents count.
            "probability exponent": lambda n, at: self._copies("operands/exponents", at + 2 + n[0], 16)[:1],
            "value scales": lambda n, at: [self._value_scales(n[0], at)],
            "current key row": lambda n, at: self._row(self._slot(n, 0), at),
            "current value row": lambda n, at: self._row(self._slot(n, 1), at),
            "current key scale": lambda n, at: self._row_scale(self._slot(n, 0), at),
            "current value scale": lambda n, at: self._row_scale(self._slot(n, 1), at),
        }

    def read(self, place: str, first: int, count: int) -> list[bytes]:
        """The elements from `first` on, as step_trace.py types them, once for every copy that the circuit has.

        Raises ElastixError for memory and arg max, which lie elsewhere.
        """
        for name, reader in self._readers.items():
            if place.startswith(name):
                kind = element_type(place)
                numbers = [int(each) for each in _NUMBERS.findall(place)]
                found = reader(numbers, np.arange(first, first + count))
                return [each.astype(f"<u{kind.itemsize}").tobytes() for each in found]
        raise ElastixError(f"place {place!r}", wanted=", ".join(self._readers))

    # Of each place: which word of which memory of the circuit holds an element, and where in the word.

    def _words(self, memory: str, at: Integers) -> list[NDArray[Any]]:
        lanes = self.parameters.vector_lanes
        path = f"vector/pipeline/{memory}_memory/copy_"
        ports = sorted({name.removeprefix(path)[0] for name in self.circuit.memories if name.startswith(path)})
        return [self._spread(lambda lane, port=port: f"{path}{port}_{lane}", at % lanes, at // lanes) for port in ports]

    def _spread(self, path: Callable[[int], str], lane: Integers, word: Integers, bits: int = 32) -> NDArray[Any]:
        """Element i is word[i] of memory path(lane[i])."""
        return self._by(lane, lambda each, here: self._memory(path(each), word[here], bits))

    def _activations(self, token: int, at: Integers) -> list[NDArray[Any]]:
        bits = self.parameters.activation_bits
        paths = self._engines(self.circuit.memories, f"activations_{token}/tiles")
        found = [self._memory(path, at // COLUMNS, bits, at % COLUMNS) for path in paths]
        return [_sign_extended(each, bits) for each in found]

    def _engines(self, names: dict[str, Any], name: str) -> list[str]:
        """What the matrix engines have of this name; equal ones may have become one."""
        channels = range(self.parameters.channels)
        return [path for c in channels if (path := f"matrix/engine_{c}/{name}") in names]

    # Of attention every channel with caches has a copy of queries and current rows, and its own rows of the rest.

    def _channels(self) -> list[str]:
        return [f"attention/channel_{e}" for e in range(self.parameters.attention_channels)]

    def _copies(self, name: str, words: Integers, bits: int) -> list[NDArray[Any]]:
        return [self._memory(f"{channel}/{name}", words, bits) for channel in self._channels()]

    def _queries(self, bank: int, at: Integers) -> list[NDArray[Any]]:
        width, read = self.parameters.head_dim, lanes_of(self.parameters)
        element = bank * width + at % width
        return [
            self._by(
                at // width, lambda query, here, path=path: self._elements(f"{path}_{query}", element[here], 16, read)
            )
            for path in (f"{channel}/operands/queries/query" for channel in self._channels())
        ]

    def _probabilities(self, bank: int, at: Integers) -> NDArray[Any]:
        width = self.parameters.max_context
        channel, row = self._dealt(at % width)
        element, key = bank * row_room(self.parameters) + row, channel * self.parameters.group + at // width
        return self._by(key, lambda both, here: self._elements(self._weights_path(both), element[here], 16, 1))

    def _weights_path(self, channel_and_query: int) -> str:
        channel, query = divmod(channel_and_query, self.parameters.group)
        return f"attention/channel_{channel}/operands/weights/query_{query}"

    def _value_scales(self, bank: int, at: Integers) -> NDArray[Any]:
        lanes, rows = self.parameters.vector_lanes, row_room(self.parameters)
        channel, row = self._dealt(at)
        word, key = (bank * rows + row) // lanes, channel * lanes + row % lanes

        def found(both: int, here: NDArray[np.bool_]) -> NDArray[Any]:
            channel, lane = divmod(both, lanes)
            return self._memory(f"attention/channel_{channel}/scales/values/lane_{lane}", word[here], 16)

        return self._by(key, found)

    def _dealt(self, row: Integers) -> tuple[Integers, Integers]:
        """The channels of rows of a cache, and their places there."""
        lanes = self.parameters.vector_lanes
        turn, channel = np.divmod(row // lanes, self.parameters.attention_channels)
        return channel, turn * lanes + row % lanes

    def _by(self, key: Integers, found: Callable[[int, NDArray[np.bool_]], NDArray[Any]]) -> NDArray[Any]:
        """found(key, mask of the elements that have it), for each key."""
        result = np.zeros(len(key), np.uint64)
        for each in np.unique(key):
            result[key == each] = found(int(each), key == each)
        return result

    def _elements(self, path: str, element: Integers, bits: int, read: int) -> NDArray[Any]:
        """Of an element_memory: `written` integers a word, dealt out to parts where more are read at once."""
        written = self.parameters.vector_lanes
        parts, found = max(read // written, 1), np.zeros(len(element), np.uint64)
        word = element // written
        for part in np.unique(word % parts):
            here = word % parts == part
            found[here] = self._memory(f"{path}/part_{part}", word[here] // parts, bits, element[here] % written)
        return found

    def _slot(self, numbers: list[int], value: int) -> int:
        token, head = numbers
        return (token * power_of_two(self.parameters.kv_heads) + head) * 2 + value

    def _row(self, slot: int, at: Integers) -> list[NDArray[Any]]:
        p, name = self.parameters, "operands/own_rows/codes"
        element = slot * p.head_dim + at
        return [self._elements(f"{channel}/{name}", element, 8, lanes_of(p)) for channel in self._channels()]

    def _row_scale(self, slot: int, at: Integers) -> list[NDArray[Any]]:
        return self._copies("operands/own_rows/scales", slot + at, 16)

    def _memory(self, path: str, words: Integers, bits: int, element: Integers | int = 0) -> NDArray[Any]:
        """`bits` bits of each of these words of a memory, from bit `element · bits` on."""
        address, stride, _ = self.circuit.memories[path]
        low, high = int(words.min()), int(words.max()) + 1
        data = np.frombuffer(ctypes.string_at(address + low * stride, (high - low) * stride), np.uint8)
        rows = data.reshape(high - low, stride)[words - low]
        digits = np.unpackbits(rows, axis=1, bitorder="little")
        index = np.asarray(element).reshape(-1, 1) * bits + np.arange(bits)
        chosen = np.take_along_axis(digits, np.broadcast_to(index, (len(words), bits)), axis=1).astype(np.uint64)
        return (chosen << np.arange(bits, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)

    def _register(self, path: str) -> NDArray[Any]:
        address, bits = self.circuit.registers[path]
        return np.array([int.from_bytes(ctypes.string_at(address, -(-bits // 8)), "little")], np.uint64)


def _sign_extended(values: NDArray[Any], bits: int) -> NDArray[Any]:
    sign = np.int64(1 << (bits - 1))
    return ((values.astype(np.int64) ^ sign) - sign).astype(np.uint64)


class SeenStep:
    """A step processor's RTL in this process, `step`, with a view of all that it holds between runs."""

    def __init__(self, parameters: StepParameters, memory_model: MemoryModel) -> None:
        self.step = SimulatedStep(parameters, "rtl", memory_model)
        self.places = StepPlaces(self.step.engine.circuit, parameters)

    def values(self, write: Write, memory: NDArray[np.uint8]) -> bytes:
        """What now stands where the write says; of copies that should be equal, one that differs from the write."""
        size = len(write.values)
        if write.place == "memory":
            return memory[write.first : write.first + size].tobytes()
        if write.place.startswith("arg max"):
            number = int(_NUMBERS.findall(write.place)[0])
            return self.step.engine.read_register(ARG_MAX + 4 * number).to_bytes(4, "little")
        copies = self.places.read(write.place, write.first, size // element_type(write.place).itemsize)
        return next((each for each in copies if each != write.values), copies[0])

    def whole(self, place: str) -> bytes:
        """All of one of WHOLE."""
        p = self.places.parameters
        return self.places.read(place, 0, p.vector_elements if place == WHOLE[0] else p.constant_elements)[0]
