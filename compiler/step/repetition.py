"""Programs that repeat themselves, layer after layer: a few of the repetitions tell how long all of them take."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from elastix.compiler.processor.step.instructions import FIELDS, Instruction, Opcode, Unit
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.step.cycles import Prediction, predict, share_left
from elastix.compiler.step.cycles_stream import Supply
from elastix.compiler.step.cycles_units import Units

KEPT: Final = 3
"""Repetitions that are looked at: the first ones find other queues than all that follow, which are alike."""
_PLACES: Final = {
    *("a", "b", "c", "d", "to", "from", "bank", "head", "stride", "lane_stride", "channel_stride"),
    *("key_scales", "value_scales", "scales", "scalar_register", "max_register", "result_register"),
}
"""Fields that say where something lies, or whose it is: no time depends on them, nor on addresses in memory."""


@dataclass(frozen=True)
class Repetition:
    """`times` stretches of `period` instructions that differ in places alone, from instruction `first` on."""

    first: int
    period: int
    times: int


@dataclass(frozen=True)
class Estimate:
    """Of a whole program: cycles, beats of channel 0, and what memory gives over what the engine takes."""

    cycles: float
    beats: float
    rho: float

    @property
    def efficiency(self) -> float:
        """Share of the cycles in which channel 0 gives a beat."""
        return self.beats / self.cycles


def repetition_of(program: Sequence[Instruction]) -> Repetition | None:
    """The shortest period that covers at least half of the program; None where nothing comes often enough to gain."""
    numbers: dict[object, int] = {}
    kinds = np.array([numbers.setdefault(_kind(each), len(numbers)) for each in program])
    count = len(kinds)
    for period in range(1, count // (KEPT + 1) + 1):
        same = np.concatenate(([False], kinds[period:] == kinds[:-period], [False]))
        edges = np.flatnonzero(np.diff(same.astype(np.int8)))
        begins, ends = edges[::2], edges[1::2]
        if not len(begins):
            continue
        longest = int(np.argmax(ends - begins))
        covered = int(ends[longest] - begins[longest]) + period
        if covered >= count / 2 and covered // period > KEPT:
            return Repetition(int(begins[longest]), period, covered // period)
    return None


def _kind(each: Instruction) -> object:
    """What an instruction's time depends on, but for what it waits for."""
    addresses = {field.name for field in FIELDS[each.opcode] if field.bits > 32}
    kept = (
        (name, value)
        for name, value in each.values.items()
        if name not in _PLACES and name not in addresses and not name.startswith("wait_")
    )
    return each.opcode, tuple(sorted(kept))


def shortened(program: Sequence[Instruction], found: Repetition, kept: int) -> list[Instruction]:
    """The program with `kept` of its repetitions. What is waited for in those that are gone is waited for as far back
    in those that stay."""
    cut = found.first + kept * found.period
    behind = found.first + found.times * found.period
    before = Counter(each.unit for each in program[:cut])
    gone = Counter(each.unit for each in program[cut:behind])
    names = [(f"wait_{unit.name.lower()}", before[unit], gone[unit]) for unit in Unit]
    rest: list[Instruction] = []
    for each in program[behind:]:
        waits = {
            name: count - less for name, there, less in names if less and (count := each.values.get(name, 0)) > there
        }
        rest.append(replace(each, values={**each.values, **waits}) if waits else each)
    return [*program[:cut], *rest]


@dataclass(frozen=True)
class Repeated:
    """A program, for estimates on several processors: as it is, or some of its repetitions."""

    program: Sequence[Instruction]
    short: Sequence[Instruction]
    repetition: Repetition | None

    @classmethod
    def of(cls, program: Sequence[Instruction]) -> "Repeated":
        """Look for what repeats itself."""
        found = repetition_of(program)
        return cls(program, program if found is None else shortened(program, found, KEPT), found)

    def estimate(self, parameters: StepParameters, position: int, supply: Supply) -> Estimate:
        """What `predict` would say of one token at a position, but for what each repetition differs from the others."""
        short = with_row_blocks(self.short, parameters)
        alone = replace(supply, shared=False)
        found = self._whole(predict(short, parameters, position, 1, alone))
        if supply.shared:
            units = Units(parameters, position, 1)
            left = share_left(supply, units, with_row_blocks(self.program, parameters), found.cycles)
            found = self._whole(predict(short, parameters, position, 1, replace(alone, rate=left)))
        return replace(found, rho=supply.rate)

    def _whole(self, found: Prediction) -> Estimate:
        """All repetitions, each of those left out like the last one that was kept."""
        if self.repetition is None:
            return Estimate(found.cycles, found.beats, found.rho)
        first, period, times = self.repetition.first, self.repetition.period, self.repetition.times
        last = found.times[first + (KEPT - 1) * period : first + KEPT * period]
        before = found.times[first + KEPT * period - 1 - period]
        more = times - KEPT
        cycles = found.cycles + more * (last[-1].end - before.end)
        return Estimate(cycles, found.beats + more * sum(each.beats for each in last), found.rho)


def with_row_blocks(program: Sequence[Instruction], parameters: StepParameters) -> list[Instruction]:
    """The program as it is for a processor with another beat: row blocks are all that its time depends on."""
    rows = parameters.rows
    found: list[Instruction] = []
    for each in program:
        if each.opcode is Opcode.LINEAR:
            blocks = -(-each.values["rows"] // rows)
            found.append(replace(each, values={**each.values, "row_blocks": blocks}))
        else:
            found.append(each)
    return found
