"""A power of two times an fp32 number: the exponent alone moves (C9)."""

from functools import cache
from typing import Final

from elastix.compiler.circuit import Module, concat, mux
from elastix.compiler.processor.arithmetic.exponent_range import too_large, too_small
from elastix.compiler.processor.pipeline import delay_stages

LATENCY: Final = 2


@cache
def exponent_add() -> Module:
    """`y` = `p` · 2^`e` (fp32, int16), `overflow` where C6 applied: LATENCY clocks later, one a clock."""
    m = Module(
        "exponent_add",
        f"y = p * 2^e, p fp32 and e a signed integer, {LATENCY} clocks later, one a clock; overflow: y was saturated.",
    )
    p, e = m.input("p", 32), m.input("e", 16)
    sign = delay_stages(m, "sign", p[31], 1)[-1]
    fraction = m.register("fraction_1", p[0:23])
    zero = m.register("zero_1", p[23:31] == 0)
    moved = m.register("moved", p[23:31].zext(17) + e.sext(17))
    flushed = m.named("flushed", zero | too_small(moved))
    overflow = m.named("saturated", ~zero & too_large(moved))
    body = mux(overflow, 0x7F7FFFFF, mux(flushed, 0, concat(moved[0:8], fraction)))
    m.output("y", m.register("y_q", concat(sign, body)))
    m.output("overflow", m.register("overflow_q", overflow))
    return m
