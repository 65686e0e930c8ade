"""What a step processor's instructions read and write: every place as one flat array, every access recorded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.fp32 import Flags
from elastix.compiler.processor.step.instructions import Maximum
from elastix.compiler.processor.step.parameters import SCALAR_REGISTERS, StepParameters

Array = NDArray[Any]
COLUMNS: Final = 32
"""Columns of a tile."""


class Place(StrEnum):
    """Where values stand. In brackets what an index counts, the last fastest."""

    VECTOR = "vector memory"  # [element], fp32
    CONSTANT = "constant memory"  # [element], fp32
    SCALAR = "scalar register"  # [register], fp32
    ACTIVATIONS = "activation"  # [token][32·max_tiles columns], int16
    ACTIVATION_EXPONENT = "exponent of activations"  # [token], int32
    QUERY = "query"  # [bank][query of the group][element of the head], int16
    QUERY_EXPONENT = "exponent of queries"  # [bank], int32
    PROBABILITY = "probability"  # [bank][query of the group][row of the cache], int16
    PROBABILITY_EXPONENT = "exponent of probabilities"  # [bank], int32
    VALUE_SCALE = "value scale"  # [bank][row of the cache], bf16
    CURRENT_KEY = "current key"  # [token][head][element], int8
    CURRENT_KEY_SCALE = "scale of a current key"  # [token][head], bf16
    CURRENT_VALUE = "current value"  # [token][head][element], int8
    CURRENT_VALUE_SCALE = "scale of a current value"  # [token][head], bf16
    ARG_MAX = "arg max"  # [token], int64
    MEMORY = "byte"  # [address], uint8


@dataclass(frozen=True)
class Span:
    """`count` values of a place from `first` on.

    padding: whatever is read there ends in no result that counts. tracked: a maximum that meets its register.
    """

    place: Place
    first: int
    count: int
    padding: bool = False
    tracked: bool = False


@dataclass(frozen=True)
class Write:
    """Values written to a place from `first` on."""

    place: Place
    first: int
    values: Array


def places(parameters: StepParameters) -> Mapping[Place, tuple[int, type[np.generic]]]:
    """Size and type of every place but memory."""
    p = parameters
    heads = p.lanes * p.kv_heads
    return {
        Place.VECTOR: (p.vector_elements, np.float32),
        Place.CONSTANT: (p.constant_elements, np.float32),
        Place.SCALAR: (SCALAR_REGISTERS, np.float32),
        Place.ACTIVATIONS: (p.lanes * p.max_tiles * COLUMNS, np.int16),
        Place.ACTIVATION_EXPONENT: (p.lanes, np.int32),
        Place.QUERY: (2 * p.group * p.head_dim, np.int16),
        Place.QUERY_EXPONENT: (2, np.int32),
        Place.PROBABILITY: (2 * p.group * p.max_context, np.int16),
        Place.PROBABILITY_EXPONENT: (2, np.int32),
        Place.VALUE_SCALE: (2 * p.max_context, np.uint16),
        Place.CURRENT_KEY: (heads * p.head_dim, np.int8),
        Place.CURRENT_KEY_SCALE: (heads, np.uint16),
        Place.CURRENT_VALUE: (heads * p.head_dim, np.int8),
        Place.CURRENT_VALUE_SCALE: (heads, np.uint16),
        Place.ARG_MAX: (p.lanes, np.int64),
    }


class State:
    """All places, beginning with zeros but for memory, which is the caller's array and is written in place.

    reads, writes: the accesses since `forget`. `read` and `write` raise ElastixError beyond a place's end.
    """

    def __init__(self, parameters: StepParameters, memory: NDArray[np.uint8]) -> None:
        self.arrays: dict[Place, Array] = {
            place: np.zeros(size, kind) for place, (size, kind) in places(parameters).items()
        }
        self.arrays[Place.MEMORY] = memory
        self.reads: list[Span] = []
        self.writes: list[Write] = []

    def forget(self) -> None:
        """Begin new lists of accesses."""
        self.reads, self.writes = [], []

    def read(self, place: Place, first: int, count: int, *, padding: bool = False) -> Array:
        """The values as they are now; a copy, but of memory a view."""
        self._within(place, first, count)
        if count:
            self.reads.append(Span(place, first, count, padding))
        found = self.arrays[place][first : first + count]
        return found if place is Place.MEMORY else found.copy()

    def write(self, place: Place, first: int, values: Array) -> None:
        """Put values, which must be of the place's type."""
        self._within(place, first, len(values))
        self.arrays[place][first : first + len(values)] = values
        self.writes.append(Write(place, first, values))

    def _within(self, place: Place, first: int, count: int) -> None:
        size = len(self.arrays[place])
        if first + count > size:
            raise ElastixError(f"{place} {first} to {first + count - 1}", wanted=f"below {size}")


@dataclass
class Run:
    """One run: its tokens at positions `position`, `position` + 1 …, and what it works on."""

    parameters: StepParameters
    token_ids: tuple[int, ...]
    position: int
    state: State
    flags: Flags = field(default_factory=Flags)

    def track(self, kind: Maximum, register: int, results: NDArray[np.float32]) -> None:
        """C22: what `maximum` says of these results, to a scalar register."""
        if kind is Maximum.NONE:
            return
        values = results.astype(np.float64)
        if kind is Maximum.SIGNED:
            largest = values.max(initial=-float(np.finfo(np.float32).max)) + 0.0  # −0 + 0 is +0
        else:
            start = self.state.read(Place.SCALAR, register, 1)[0] if kind is Maximum.MAGNITUDE_KEEP else 0.0
            largest = np.abs(values).max(initial=float(start))
        self.state.write(Place.SCALAR, register, np.array([largest], np.float32))
