"""Rows of a cache as they are dealt to the channels that hold it: StepParameters.row_place, in hardware."""

from dataclasses import dataclass

from elastix.compiler.circuit import Signal, concat, mux
from elastix.compiler.processor.step.attention_ports import channel_bits, lane_place
from elastix.compiler.processor.step.parameters import StepParameters


@dataclass(frozen=True)
class DealtRow:
    """The index of a row, of several channels: its turn, its channel, and, where words have more than one row, its
    place in its word."""

    turn: Signal
    channel: Signal
    place: Signal | None

    @classmethod
    def of(cls, p: StepParameters, row: Signal) -> "DealtRow":
        low, high = lane_place(p), lane_place(p) + channel_bits(p)
        return cls(row[high : row.width], row[low:high], row[0:low] if low else None)

    @property
    def on_channel(self) -> Signal:
        """Its index among its channel's rows, `channel_bits` fewer than the row's."""
        return self.turn if self.place is None else concat(self.turn, self.place)

    def rows_before(self, channel: Signal | int) -> Signal:
        """How many of the rows before it lie on a channel, modulo the rows that `on_channel` tells apart."""
        turns = self.turn + (self.channel > channel).zext(self.turn.width)
        return turns if self.place is None else concat(turns, mux(self.channel == channel, self.place, 0))
