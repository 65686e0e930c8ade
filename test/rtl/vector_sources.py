"""What gives the vector engine words: passes of other units, the loader."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from simulated import Simulated

from elastix.compiler.numbers.fp32 import Float32
from elastix.compiler.processor.step.instructions import Maximum, Operation


def bits_of(values: Float32) -> NDArray[np.uint32]:
    return np.ascontiguousarray(values, np.float32).view(np.uint32)


def packed(values: Iterable[int], width: int) -> int:
    return sum(int(value) % (1 << width) << (width * place) for place, value in enumerate(values))


@dataclass
class VisitorPass:
    """Results of another unit: consecutive elements `to`, one instruction of its own."""

    data: Float32
    to: int
    operation: Operation = Operation.COPY
    source: int = 0
    maximum: Maximum = Maximum.NONE
    max_register: int = 0
    tracked: int | None = None  # how many of the first elements; all if left out

    def words(self, lanes: int) -> list[dict[str, int]]:
        found, counts = list[dict[str, int]](), len(self.data)
        tracked = counts if self.tracked is None else self.tracked
        for first in range(0, counts, lanes):
            part = bits_of(self.data[first : first + lanes])
            found.append(
                {
                    "data": packed(part, 32),
                    "mask": (1 << len(part)) - 1,
                    "tracked": (1 << max(0, min(lanes, tracked - first))) - 1,
                    "operation": self.operation,
                    "to": self.to + first,
                    "from": self.source + first,
                    "maximum": self.maximum,
                    "max_register": self.max_register,
                    "first": int(first == 0),
                    "last": int(first + lanes >= counts),
                }
            )
        return found


@dataclass
class Load:
    """Values that the loader brings."""

    data: Float32
    to: int
    constant: bool = False

    def words(self, lanes: int) -> list[dict[str, int]]:
        return [
            {
                "data": packed(bits_of(self.data[first : first + lanes]), 32),
                "mask": (1 << len(self.data[first : first + lanes])) - 1,
                "to": self.to + first,
                "target": int(self.constant),
            }
            for first in range(0, len(self.data), lanes)
        ]


@dataclass
class Source:
    """A unit that offers words one after the other, by chance not in every cycle."""

    prefix: str
    words: list[dict[str, int]]
    chance: float
    offered: bool = False
    passed: int = 0

    def drive(self, dut: Simulated, random: Random) -> None:
        if not self.offered and self.words:
            self.offered = random.random() < self.chance
            if self.offered:
                dut.set(**{f"{self.prefix}_{name}": value for name, value in self.words[0].items()})
        dut.set(**{f"{self.prefix}_valid": int(self.offered)})

    def see(self, dut: Simulated) -> None:
        if self.offered and dut.get(f"{self.prefix}_ready"):
            self.words.pop(0)
            self.offered, self.passed = False, self.passed + 1
