"""When the beats of a channel come, from what memory gives and from who takes them: requests in program order."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from elastix.compiler.processor.burst_reader import weight_reader_shape
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.runtime.memory_model import MemoryModel

REQUEST: Final = 10
"""Cycles from a request's dispatch to its first burst, and from its first beat in the FIFO to where it is taken."""
ROUND_TRIP: Final = 6
"""Cycles of a burst through the reader, beside those in memory: a shallower FIFO starves (weight_reader_shape)."""
BETWEEN_REQUESTS: Final = 5
"""Cycles from a request's first burst to the next one's, at least."""
TURN: Final = 1
"""Cycles between the last beat of a request and the first of the next, at least."""
_PEAK_BEATS: Final = 1 << 14


@dataclass(frozen=True)
class Supply:
    """What a channel's memory gives. rate: beats a core cycle at its best, above 1 where memory is faster than a port;
    latency: core cycles from a burst's request to its first beat; answer: core cycles to a write's response; shared:
    channel 0 and m_axi_io have one memory."""

    rate: float
    latency: float
    answer: float
    shared: bool = False

    @classmethod
    def of(cls, model: MemoryModel, beat: int) -> "Supply":
        """That of a memory model at its own clock, for beats of `beat` bits; the rate is that of a sequential read."""
        if model.dram is None:
            return cls(1.0, model.latency, model.latency)
        d = model.dram
        first = (d.t_rcd + d.t_cl) * 1e-9 + d.burst_length / 2 / d.clock_hz
        # A port takes a beat a cycle; what memory itself gives is seen by a port that is wide enough.
        wide = model.peak(512, _PEAK_BEATS) * 8 / (model.core_hz * beat)
        rate = wide if wide < 512 / beat else d.pin_rate * 8 / (model.core_hz * beat)
        return cls(rate, model.latency + first * model.core_hz, model.latency, model.shared)


class Stream:
    """One channel. Times are in cycles, not whole ones: beats of a request are taken evenly."""

    def __init__(self, parameters: StepParameters, supply: Supply) -> None:
        shape = weight_reader_shape(parameters.beat, parameters.max_burst, parameters.fifo_beats)
        self.latency = supply.latency + REQUEST
        # A burst is asked for when all of it has room.
        self.window = shape.window - shape.burst + 1
        self.rate = min(1.0, supply.rate, shape.window / (supply.latency + shape.burst + ROUND_TRIP))
        self.beats = 0
        self.first_supplied = self.supplied = self.end = 0.0
        self._numbers, self._times = [0], [0.0]  # beat `number` was taken at `time`; between them evenly

    def take(self, asked: float, ready: float, beats: int, cycles: float) -> tuple[float, float]:
        """A request of `asked`, taken from `ready` on in `cycles` cycles or as it comes: its first and last cycle."""
        if not beats:
            return ready, ready + cycles
        rate, latency, window = self.rate, self.latency, self.window
        first, last = self.beats, self.beats + beats - 1
        self.first_supplied = max(
            asked + latency,
            self.supplied + 1 / rate,
            self.first_supplied + BETWEEN_REQUESTS,
            self._taken(first - window) + latency,
        )
        supplied = self.first_supplied + (beats - 1) / rate
        low, high = (bisect_right(self._numbers, max(0, each)) for each in (first - window, last - window))
        for number, time in zip(self._numbers[low:high], self._times[low:high], strict=True):
            supplied = max(supplied, time + latency + (last - window - number) / rate)
        start = max(ready, self.end + TURN, self.first_supplied)
        if beats > window:
            supplied = max(supplied, start + latency + (beats - 1 - window) / rate)
        else:
            supplied = max(supplied, self._taken(last - window) + latency)
        end = max(start + cycles, supplied + cycles / beats)
        self.supplied, self.end, self.beats = supplied, end, last + 1
        self._numbers += [first, last]
        self._times += [start, end]
        if len(self._numbers) > 512:  # what is far behind is no longer asked for
            del self._numbers[:256], self._times[:256]
        return start, end

    def _taken(self, number: int) -> float:
        """When that beat was taken; before all, for one before the first."""
        if number < 0:
            return float("-inf")
        at = bisect_right(self._numbers, number) - 1
        if at < 0:
            return self._times[0]
        n0, t0 = self._numbers[at], self._times[at]
        if at + 1 == len(self._numbers) or number == n0:
            return t0
        n1, t1 = self._numbers[at + 1], self._times[at + 1]
        return t0 + (t1 - t0) * (number - n0) / (n1 - n0)
