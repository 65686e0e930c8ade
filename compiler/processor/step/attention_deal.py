"""Which rows each channel with caches has."""

from functools import cache

from elastix.compiler.circuit import Module, concat, mux
from elastix.compiler.processor.step.attention_ports import LANE_BITS, all_row_bits, lane_place, row_bits
from elastix.compiler.processor.step.dealt_rows import DealtRow
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters

OUTPUTS = ("last_row", "memory_rows", "some_memory", "has_rows", "has_own")


@cache
def attention_deal(p: StepParameters) -> Module:
    """Rows 0 to `position`, the last `lane` + 1 of them the run's own, as they are dealt to the channels.

    Of channel e, by their places there: `last_row_<e>`; `memory_rows_<e>`, how many come from memory, modulo the rows
    that the channel may have, `some_memory_<e>`: not none; `has_rows_<e>`, `has_own_<e>`: there is a row, one of the
    run's own. Nothing is kept: outputs follow inputs.
    """
    values = {"vector_lanes": p.vector_lanes, "attention_channels": p.attention_channels, "rows": 1 << all_row_bits(p)}
    m = Module("attention_deal", attention_deal.__doc__, values)
    given, lane = m.input("position", ELEMENT_BITS), m.input("lane", LANE_BITS)
    m.unused(given)
    bits = all_row_bits(p)
    position = given[0:bits]
    before = m.named("rows_before", position - (lane[0:bits] if bits < LANE_BITS else lane.zext(bits)))
    if p.attention_channels == 1:
        one = m.constant(1, 1)
        for name, value in zip(OUTPUTS, (position, before, before.any(), one, one), strict=True):
            m.output(f"{name}_0", value)
        return m
    row, first = DealtRow.of(p, position), DealtRow.of(p, before)
    turns, lanes = row_bits(p) - lane_place(p), lane_place(p)
    for channel in range(p.attention_channels):
        late = m.named(f"channel_{channel}_ends_before", row.channel < channel)
        last = row.turn - late.zext(turns)
        if row.place is not None:
            last = concat(last, mux(row.channel == channel, row.place, (1 << lanes) - 1))
        last = m.named(f"last_of_{channel}", last)
        memory = m.named(f"memory_of_{channel}", first.rows_before(channel))
        some = first.turn.any() | (first.channel > channel) | memory.any()
        has_rows = m.named(f"rows_of_{channel}", row.turn.any() | ~late)
        m.output(f"last_row_{channel}", last)
        m.output(f"memory_rows_{channel}", memory)
        m.output(f"some_memory_{channel}", some)
        m.output(f"has_rows_{channel}", has_rows)
        m.output(f"has_own_{channel}", (memory != last + 1) | (has_rows & ~some))
    return m
