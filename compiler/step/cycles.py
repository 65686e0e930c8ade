"""How many cycles a program takes on a step processor, and what they go to: every instruction's beginning and end.

Instructions are dispatched in order to queues; each begins when its counts are reached and its unit is free; streams
come in the order of the program, as far ahead as the FIFO has room. All of it refers to earlier instructions, so that
one pass over the program finds every time.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from elastix.compiler.processor.step.instructions import Instruction, Opcode, Operation, Unit
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.queue import QUEUE_DEPTH
from elastix.compiler.step.cycles_stream import Stream, Supply
from elastix.compiler.step.cycles_units import BEGIN, NEXT, Units
from elastix.runtime.memory_model import IDEAL, MemoryModel

START: Final = 11
"""Cycles from a run's start to the first instruction's dispatch, without the memory's latency."""
QUEUED: Final = 4
"""Cycles from a dispatch to the earliest beginning."""
END: Final = 10
"""Cycles from the end of the last instruction to that of the run, without the memory's latency."""
SKIPPED: Final = 2
"""Cycles between an instruction that is left out and those of its unit before and behind it."""
VISITORS: Final = 6
"""Instructions whose results may be on their way at once, or so."""
_WAITS: Final = tuple((unit, f"wait_{unit.name.lower()}") for unit in Unit)


@dataclass(frozen=True)
class Times:
    """Of one instruction, in cycles from the run's start. first, last: its first and last beat of channel 0, of
    `beats`. because: the instruction that it waited for last; −1: it waited for dispatch or for its own data."""

    instruction: Instruction
    dispatched: float
    begin: float
    end: float
    because: int
    beats: int = 0
    first: float = 0.0
    last: float = 0.0


@dataclass(frozen=True)
class Prediction:
    """One run. beats: of channel 0, weights (with headers and CRCs), cache, constants. lost: cycles in which channel 0
    gives no beat, by what the next beat waited for. longest_stall, stalls: the longest of them in one piece, and all
    together. rho: what memory gives over what the engine takes."""

    cycles: float
    weight_beats: int
    cache_beats: int
    constant_beats: int
    lost: dict[str, float]
    longest_stall: float
    stalls: float
    rho: float
    times: tuple[Times, ...]

    @property
    def beats(self) -> int:
        """All of channel 0."""
        return self.weight_beats + self.cache_beats + self.constant_beats

    @property
    def efficiency(self) -> float:
        """Share of the cycles in which channel 0 gives a beat."""
        return self.beats / self.cycles


def predict(
    program: Sequence[Instruction],
    parameters: StepParameters,
    position: int,
    tokens: int = 1,
    memory: MemoryModel | Supply = IDEAL,
) -> Prediction:
    """A run over `tokens` tokens from `position` on."""
    supply = memory if isinstance(memory, Supply) else Supply.of(memory, parameters.beat)
    units = Units(parameters, position, tokens)
    found = _Run(parameters, units, supply).over(program)
    if not supply.shared:
        return found
    left = share_left(supply, units, program, found.cycles)
    return replace(_Run(parameters, units, replace(supply, rate=left)).over(program), rho=supply.rate)


def share_left(supply: Supply, units: Units, program: Sequence[Instruction], cycles: float) -> float:
    """Beats a cycle that a shared memory has for channel 0 in a run of so many cycles: what goes through m_axi_io takes
    its share of all the time there is."""
    others = sum(units.written_beats(each) for each in program) + units.program_beats(len(program))
    return supply.rate - others / (cycles + others / supply.rate)


class _Run:
    def __init__(self, parameters: StepParameters, units: Units, supply: Supply) -> None:
        self.parameters, self.units, self.supply = parameters, units, supply
        self.stream = Stream(parameters, supply)
        self.fetch = units.fetch(supply.latency)
        self.fetched = START + supply.latency
        self.dispatched = self.fetched
        self.times: list[Times] = []
        self.of_unit: dict[Unit, list[int]] = {unit: [] for unit in Unit}
        self.vector_free = self.reduction_free = 0.0
        self.visits: deque[tuple[float, float, float]] = deque(maxlen=VISITORS)
        self.beats = {Opcode.LINEAR: 0, Opcode.SCORES: 0, Opcode.LOAD: 0}

    def over(self, program: Sequence[Instruction]) -> Prediction:
        """All but END, one after another."""
        for each in program[:-1]:
            self.add(each)
        return self.prediction()

    def add(self, each: Instruction) -> None:
        """Find the times of the next instruction."""
        unit = each.unit
        assert unit is not None
        mine = self.of_unit[unit]
        self.fetched += self.fetch
        self.dispatched = max(self.dispatched + self.units.dispatch(each), self.fetched)
        if len(mine) > QUEUE_DEPTH:  # one more waits at the queue's head
            self.dispatched = max(self.dispatched, self.times[mine[-QUEUE_DEPTH - 1]].begin + 1)
        begin, because = self.dispatched + QUEUED, -1
        for other, name in _WAITS:
            count = each.values.get(name, 0)
            if count:
                index = self.of_unit[other][count - 1]
                if self.times[index].end + BEGIN > begin:
                    begin, because = self.times[index].end + BEGIN, index
        if mine:
            free = self.vector_free if unit is Unit.VECTOR else self._free(self.times[mine[-1]], each)
            if free > begin:
                begin, because = free, mine[-1]
            if unit is Unit.MATRIX and len(mine) > 1 and self.times[mine[-2]].end + NEXT > begin:
                begin, because = self.times[mine[-2]].end + NEXT, mine[-2]  # one waits for its results, no more
        lane = each.values.get("lane", 0)
        if lane >= self.units.tokens and each.opcode is not Opcode.LINEAR:
            end = max(begin, self.times[mine[-1]].end + SKIPPED if mine else 0.0)
            self.vector_free = end + SKIPPED if unit is Unit.VECTOR else self.vector_free
            times = Times(each, self.dispatched, end, end, because)
        elif unit is Unit.VECTOR:
            times = Times(each, self.dispatched, begin, self.vector(each, begin), because)
        else:
            times = self.streamed(each, begin, because)
        mine.append(len(self.times))
        self.times.append(times)

    def _free(self, before: Times, each: Instruction) -> float:
        """When a unit takes an instruction after `before`, whose results may still be on their way."""
        match before.instruction.opcode:
            case Opcode.LINEAR:
                return before.last - 1
            case Opcode.SCORES | Opcode.VALUES if before.beats:
                return before.last + self.units.attention_busy(before.instruction, each)
            case _:
                return before.end + NEXT

    def vector(self, each: Instruction, begin: float) -> float:
        """The end of a pass."""
        take = self.units.vector(each)
        behind = self._issued(begin + take.wait, take.words)
        if take.hold:
            behind = max(behind, self.reduction_free)
            self.reduction_free = behind + take.hold
        self.vector_free = behind + 1
        end = behind + take.tail
        mine = self.of_unit[Unit.VECTOR]
        return max(end, self.times[mine[-1]].end + 1) if mine else end

    def _issued(self, at: float, words: float) -> float:
        """When so many words have been issued from `at` on; results of the other units go first."""
        for begin, end, share in sorted(self.visits):
            if end <= at:
                continue
            before = min(words, max(0.0, begin - at))
            words, at = words - before, at + before
            if words <= 0:
                break
            here = (end - at) * (1 - share)
            if here >= words:
                return at + words / (1 - share)
            words, at = words - here, end
        return at + words

    def streamed(self, each: Instruction, begin: float, because: int) -> Times:
        """An instruction with data from a channel."""
        wait, beats, cycles, tail = self.units.streamed(each)
        match each.opcode:
            case Opcode.LINEAR:
                kind = Opcode.LINEAR
            case Opcode.SCORES | Opcode.VALUES:
                kind = Opcode.SCORES
            case _:
                kind = Opcode.LOAD
        first, last = self.stream.take(self.dispatched, begin + wait, beats, cycles)
        self.beats[kind] += beats
        end, mine = last + tail, self.of_unit[Unit.MATRIX]
        if each.opcode is Opcode.LINEAR and mine:
            end = max(end, self.times[mine[-1]].end + self.units.linear_results(each))
        self.visits.append(self.units.visits(each, first, end))
        return Times(each, self.dispatched, begin, end, because, beats, first, last)

    def prediction(self) -> Prediction:
        """After the last instruction."""
        times = tuple(self.times)
        cycles = max(each.end for each in times) + END + self.supply.answer
        lost = _lost(times, cycles)
        gaps = _gaps(times, cycles)
        return Prediction(
            cycles=cycles,
            weight_beats=self.beats[Opcode.LINEAR],
            cache_beats=self.beats[Opcode.SCORES],
            constant_beats=self.beats[Opcode.LOAD],
            lost=lost,
            longest_stall=max(gap for gap, _ in gaps),
            stalls=cycles - self.stream.beats,
            rho=self.supply.rate,
            times=times,
        )


def cause(each: Instruction) -> str:
    """`matrix linear`, `vector quantize`, …"""
    unit = each.unit
    what = Operation(each.values.get("operation", 0)).name if each.opcode is Opcode.VECTOR else each.opcode.name
    return f"{'' if unit is None else unit.name.lower()} {what.lower()}".strip()


def _gaps(times: Sequence[Times], cycles: float) -> list[tuple[float, int]]:
    """Stretches without any beat, each with the instruction whose beats end it (−1: the run's end)."""
    gaps: list[tuple[float, int]] = []
    before = 0.0
    for index, each in enumerate(times):
        if each.beats:
            gaps.append((each.first - before, index))
            before = each.last
    return [*gaps, (cycles - before, -1)]


def _lost(times: Sequence[Times], cycles: float) -> dict[str, float]:
    """Cycles without a beat by what they went to: the chain of instructions that the next beat waited for."""
    lost: dict[str, float] = defaultdict(float)
    before = 0.0
    for index, each in enumerate(times):
        if not each.beats:
            continue
        upto = each.first
        if upto > before:
            _along(times, index, before, upto, lost)
        lost[f"{cause(each.instruction)}, slower than its stream"] += each.last - each.first - each.beats
        before = each.last
    last = max(range(len(times)), key=lambda index: times[index].end)
    lost["the run's end"] += cycles - times[last].end
    if times[last].end > before:
        _along(times, last, before, times[last].end, lost)
    return {name: round(value, 1) for name, value in sorted(lost.items(), key=lambda one: -one[1]) if value > 0.5}


def _along(times: Sequence[Times], index: int, low: float, high: float, lost: dict[str, float]) -> None:
    """Share out the cycles from `low` to `high`, walking back from an instruction along what each waited for."""
    while high > low and index >= 0:
        here = times[index]
        if here.begin < high:
            lost[cause(here.instruction)] += high - max(low, here.begin)
            high = max(low, here.begin)
        if here.because < 0:
            lost["dispatch"] += max(0.0, high - low)
            return
        ended = times[here.because].end
        if ended < high:
            lost["from instruction to instruction"] += high - max(low, ended)
            high = max(low, ended)
        index = here.because
