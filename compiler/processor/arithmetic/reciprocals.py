"""1/x and 1/√x of fp32 (C17)."""

from functools import cache
from typing import Final

from elastix.compiler.circuit import Module, concat, mux
from elastix.compiler.processor.arithmetic import function_table
from elastix.compiler.processor.arithmetic.exponent_range import too_small
from elastix.compiler.processor.pipeline import delay_stages

LATENCY: Final = function_table.LATENCY + 1
_TABLES = ("reciprocal", "rsqrt_even", "rsqrt_odd")


@cache
def reciprocals() -> Module:
    """`y` = recip(`x`), or rsqrt(`x`) where `root` is 1: LATENCY clocks later, one a clock.

    `overflow`: x was a zero, y is the largest fp32. The sign of x is not looked at for a root.
    """
    m = Module(
        "reciprocals",
        f"""y = 1/x, or 1/sqrt(x) where root is 1, in fp32, {LATENCY} clocks later, one a clock.
        overflow: x was zero and y is the largest number.""",
    )
    x, root = m.input("x", 32), m.input("root")
    # The bias is odd: exponents that are even as stored are odd.
    which = m.named("which", concat(root & ~x[23], root & x[23]))
    y = m.instance("curve", function_table.function_table(_TABLES), index=x[15:23], offset=x[3:15], which=which)["y"]

    m.unused(x[0:3])
    m.unused(y[23])

    # Of a Y below 2^24, which has its leading 1 at 2^23. E = stored − 127; E div 2 = (stored + 1) div 2 − 64.
    stored = m.named("stored", x[23:31].zext(9))
    next_stored = m.named("next_stored", stored + 1)
    m.unused(next_stored[0])
    of_root, of_reciprocal = m.constant(190, 9) - (next_stored >> 1), m.constant(253, 9) - stored
    base = delay_stages(m, "base", mux(root, of_root, of_reciprocal), function_table.LATENCY)[-1]
    sign = delay_stages(m, "sign", x[31] & ~root, function_table.LATENCY)[-1]
    zero = delay_stages(m, "zero", stored == 0, function_table.LATENCY)[-1]

    exponent = m.named("exponent", base + y[24].zext(9))
    flushed = m.named("flushed", too_small(exponent))
    body = mux(zero, 0x7F7FFFFF, mux(flushed, 0, concat(exponent[0:8], y[0:23])))
    m.output("y", m.register("y_q", concat(sign, body)))
    m.output("overflow", m.register("overflow_q", zero))
    return m
