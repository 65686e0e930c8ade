"""The dispatcher's requests for rows of caches that lie on several channels."""

from elastix.compiler.circuit import Module, Signal, mux
from elastix.compiler.processor.step.attention_ports import channel_bits
from elastix.compiler.processor.step.dealt_rows import DealtRow
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
        self.rows = m.named("rows_of_channel", DealtRow.of(p, position).rows_before(self.channel))

    def move(self, begins: Signal, granted: Signal) -> None:
        """`granted`: on to the next channel, or the first one."""
        self.channel.next(mux(begins | self.last, 0, self.channel + 1), enable=begins | granted)
