"""The dispatcher's requests for rows of caches that lie on several channels."""

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.step.attention_ports import channel_bits, lane_place
from elastix.compiler.processor.step.parameters import StepParameters


class CachedRows:
    """Requests for rows of caches, of one channel after the other.

    asked: they are. channel, last: whose turn it is, the last one's. rows: how many rows of earlier runs it has.
    stride: beats from channel to channel.
    """

    def __init__(self, m: Module, p: StepParameters, asked: Signal, position: Signal, stride: Signal) -> None:
        """position: of the run, so many rows are in memory."""
        self.asked, self.stride = m.named("asks_for_rows", asked), m.named("row_stride", stride)
        self.channel = m.state("cache_channel", channel_bits(p))
        self.last = m.named("last_channel", ~self.asked | (self.channel == p.attention_channels - 1))
        low, high = lane_place(p), lane_place(p) + channel_bits(p)
        turn, word = position[high : position.width], position[low:high]
        rows = turn + (word > self.channel).zext(turn.width)
        if low:
            rows = concat(rows, mux(word == self.channel, position[0:low], 0))
        self.rows = m.named("rows_of_channel", rows)

    def move(self, begins: Signal, granted: Signal) -> None:
        """`granted`: on to the next channel, or the first one."""
        self.channel.next(mux(begins | self.last, 0, self.channel + 1), enable=begins | granted)
