"""What a step processor's engines wrote, instruction by instruction, and where two of them part."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.step.assembly import to_text
from elastix.compiler.processor.step.instructions import Instruction

PLACES: Final = (
    ("vector memory", "<f4"),
    ("constant memory", "<f4"),
    ("scalar register {number}", "<f4"),
    ("activation buffer of token {number}", "<i2"),
    ("activation exponent of token {number}", "<i2"),
    ("query bank {number}", "<i2"),
    ("query exponent of bank {number}", "<i2"),
    ("probability bank {number}", "<i2"),
    ("probability exponent of bank {number}", "<i2"),
    ("value scales bank {number}", "<u2"),
    ("current key row of token {number}, head {head}", "<i1"),
    ("current key scale of token {number}, head {head}", "<u2"),
    ("current value row of token {number}, head {head}", "<i1"),
    ("current value scale of token {number}, head {head}", "<u2"),
    ("memory", "<u1"),
    ("arg max of token {number}", "<u4"),
)
"""Places of compiler/processor/step/README.md and the type of an element, in the order of `Place` in step_state.h.

Element t of query j in a probability bank is j · max_context + t; elements of memory are bytes.
"""
_TYPES: Final = {name.partition("{")[0]: kind for name, kind in PLACES}


def element_type(place: str) -> np.dtype[np.generic]:
    """The type of a place's elements. Raises ElastixError for an unknown place."""
    found = [kind for name, kind in _TYPES.items() if place == name or (name.endswith(" ") and place.startswith(name))]
    if not found:
        raise ElastixError(f"place {place!r}", wanted=", ".join(name for name, _ in PLACES))
    return np.dtype(found[0])


@dataclass(frozen=True)
class Write:
    """Values from element (in memory: byte) `first` of a place on, little-endian."""

    place: str
    first: int
    values: bytes

    def elements(self) -> NDArray[np.generic]:
        """The values in the type of the place."""
        return np.frombuffer(self.values, element_type(self.place))


@dataclass(frozen=True)
class TracedInstruction:
    """An instruction of a run and everything it wrote; nothing, where its lane has no token."""

    index: int
    instruction: Instruction
    writes: tuple[Write, ...]


@dataclass(frozen=True)
class Difference:
    """The first place where two runs part. first, second: the values there, `nothing` where one wrote none."""

    index: int
    text: str
    place: str
    element: int
    first: str
    second: str

    def __str__(self) -> str:
        where = f"instruction {self.index} ({self.text}): {self.place}, element {self.element:#x}"
        return f"{where}: the first engine gives {self.first}, the second {self.second}"


def first_difference(first: Iterable[TracedInstruction], second: Iterable[TracedInstruction]) -> Difference | None:
    """Where two traces part, None where they are the same bit for bit; reads both only as far as that."""
    for a, b in zip_longest(first, second):
        if a is None or b is None or a.index != b.index or _differ(a.instruction, b.instruction):
            one = a or b
            assert one is not None
            texts = [to_text(each.instruction) if each else "nothing" for each in (a, b)]
            return Difference(one.index, to_text(one.instruction), "program", one.index, texts[0], texts[1])
        if _in_order(a.writes) == _in_order(b.writes):
            continue
        found = next(_differences(a.writes, b.writes), None)
        if found is not None:
            return Difference(a.index, to_text(a.instruction), *found)
    return None


def _differ(a: Instruction, b: Instruction) -> bool:
    return a != b and a.encode() != b.encode()  # fields that are 0 may be left out


def _in_order(writes: Iterable[Write]) -> list[tuple[str, int, bytes]]:
    return sorted((write.place, write.first, write.values) for write in writes)


def _differences(first: Iterable[Write], second: Iterable[Write]) -> Iterator[tuple[str, int, str, str]]:
    """Place, element and both values of what differs, in the order in which the first wrote."""
    ours, theirs = _by_place(first), _by_place(second)
    for place in [*ours, *(place for place in theirs if place not in ours)]:
        a, b = ours.get(place, {}), theirs.get(place, {})
        for element in sorted(a.keys() | b.keys()):
            if a.get(element) != b.get(element):
                yield place, element, _spelled(place, a.get(element)), _spelled(place, b.get(element))


def _by_place(writes: Iterable[Write]) -> dict[str, dict[int, bytes]]:
    """Each place's elements with their last values."""
    found: dict[str, dict[int, bytes]] = {}
    for write in writes:
        size, here = element_type(write.place).itemsize, found.setdefault(write.place, {})
        for at in range(0, len(write.values), size):
            here[write.first + at // size] = write.values[at : at + size]
    return found


def _spelled(place: str, value: bytes | None) -> str:
    if value is None:
        return "nothing"
    kind = element_type(place)
    number = np.frombuffer(value, kind)[0]
    return f"0x{value[::-1].hex()} ({number})" if kind.kind == "f" else str(number)
