"""The sum of two fp32 numbers, rounded once, flushed, saturated (C4 to C6)."""

from functools import cache
from typing import Final

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.arithmetic.exponent_range import too_large, too_small
from elastix.compiler.processor.arithmetic.normalize import normalize
from elastix.compiler.processor.pipeline import delay_stages

LATENCY: Final = 6


@cache
def fp32_add() -> Module:
    """`y` = `a` + `b` (fp32), `overflow` where C6 applied: LATENCY clocks later, one a clock."""
    m = Module("fp32_add", f"y = a + b in fp32, {LATENCY} clocks later, one a clock; overflow: y was saturated.")
    a, b = m.input("a", 32), m.input("b", 32)

    # 1: ordered by magnitude. The distance is taken both ways, since it is not known yet which one is not negative.
    swap = m.named("swap", a[0:31] < b[0:31])
    larger = m.register("larger", mux(swap, b[0:23], a[0:23]))
    smaller = m.register("smaller", mux(swap, a[0:23], b[0:23]))
    above_a, above_b = m.named("above_a", b[23:31] - a[23:31]), m.named("above_b", a[23:31] - b[23:31])
    distance = m.register("distance", mux(swap, above_a, above_b))
    exponent_1 = m.register("exponent_1", mux(swap, b[23:31], a[23:31]))
    smaller_zero = m.register("smaller_zero", mux(swap, a[23:31], b[23:31]) == 0)
    sign_1, subtract_1 = m.register("sign_1", mux(swap, b[31], a[31])), m.register("subtract_1", a[31] ^ b[31])

    # 2
    aligned, near, lost = _align(m, smaller, distance, smaller_zero)
    larger_2, nothing_2 = m.register("larger_2", larger), m.register("nothing_2", exponent_1 == 0)
    exponent_3 = delay_stages(m, "exponent_of_sum", exponent_1, 2)[-1]
    signs, subtracts = delay_stages(m, "sign_of_sum", sign_1, 4), delay_stages(m, "subtracted", subtract_1, 4)
    zeros = delay_stages(m, "both_zero", nothing_2, 3)

    # 3: 24 bits and 3 below, and a place below these for the carry of a difference.
    subtract = subtracts[1]
    above = concat(m.constant(1, 2), larger_2, m.constant(0, 3), subtract)
    added = m.named("added", concat(m.constant(0, 1), aligned & near.replicate(26), lost.any()))
    below = m.named("added_or_not", added ^ subtract.replicate(28))
    both = m.named("sum", above + concat(below, subtract))
    m.unused(both[0])
    total = m.register("total", both[1:29])

    # 4, 5. Where the shift is 2 or more, nothing was lost.
    normal = normalize(m, total)
    exponent_4 = m.register("exponent_4", exponent_3.zext(10) + 1)
    exponent_5 = m.register("exponent_5", exponent_4)

    # 6: rounding carries into the exponent.
    kept, guard, sticky = normal.value[4:27], normal.value[3], normal.value[0:3].any()
    up = m.named("round_up", guard & (sticky | kept[0]))
    exponent = m.named("exponent", exponent_5 - normal.shift.zext(10))
    rounded = m.named("rounded", concat(exponent[0:8], kept) + up.zext(31))
    nothing = m.named("nothing", zeros[3] | ~normal.value[27])
    carries = m.named("carries", kept.all() & up)
    overflow = m.named("saturated", ~nothing & too_large(exponent, carries))
    flushed = m.named("flushed", nothing | too_small(exponent))  # a sum below the normal numbers is exact
    sign = m.named("sign", signs[4] & ~(nothing & subtracts[4]))
    m.output("y", m.register("y_q", concat(sign, mux(overflow, 0x7F7FFFFF, mux(flushed, 0, rounded)))))
    m.output("overflow", m.register("overflow_q", overflow))
    return m


def _align(m: Module, fraction: Signal, distance: Signal, zero: Signal) -> tuple[Signal, Signal, Signal]:
    """Cycle 2: 1.fraction, and two bits below, shifted down; whether these count; whether a 1 fell off, in two bits."""
    value = concat(m.constant(1, 1), fraction, m.constant(0, 2))
    lost = list[Signal]()
    for place in (4, 3, 2, 1, 0):
        step, shifts = 1 << place, distance[place]
        lost.append(shifts & value[0:step].any())
        value = m.named(f"aligned_by_{step}", mux(shifts, value >> step, value))
    far = m.named("far", distance[5:8].any())
    # Of a zero, or of what lies far below, something may seem lost too: too little to change the sum.
    coarse = m.register("lost_coarsely", lost[0] | lost[1])
    fine = m.register("lost_finely", lost[2] | lost[3] | lost[4])
    return m.register("aligned", value), m.register("near", ~(far | zero)), concat(coarse, fine)
