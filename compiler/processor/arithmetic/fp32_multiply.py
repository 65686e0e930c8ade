"""The product of two fp32 numbers, rounded once, flushed, saturated (C4 to C6)."""

from functools import cache
from typing import Final

from elastix.compiler.circuit import Module, concat, mux
from elastix.compiler.processor.arithmetic.exponent_range import too_large
from elastix.compiler.processor.pipeline import delay_stages

LATENCY: Final = 5
_BIAS, _HALF = 127, 12


@cache
def fp32_multiply() -> Module:
    """`y` = `a` × `b` (fp32), `overflow` where C6 applied: LATENCY clocks later, one a clock."""
    m = Module("fp32_multiply", f"y = a * b in fp32, {LATENCY} clocks later, one a clock; overflow: y was saturated.")
    a, b = m.input("a", 32), m.input("b", 32)
    sign = delay_stages(m, "sign", a[31] ^ b[31], LATENCY - 1)[-1]
    zero = delay_stages(m, "zero", (a[23:31] == 0) | (b[23:31] == 0), LATENCY - 1)[-1]

    # 1: products of halves, each of which fits a multiplier of 18 by 18 bits. A zero's are left out at the end.
    a_low, b_low = m.named("a_low", a[0:_HALF].zext(24)), m.named("b_low", b[0:_HALF].zext(24))
    a_high = m.named("a_high", concat(m.constant(1, 13), a[_HALF:23]))
    b_high = m.named("b_high", concat(m.constant(1, 13), b[_HALF:23]))
    low_1, high_1 = m.register("low_1", a_low * b_low), m.register("high_1", a_high * b_high)
    cross_1, other_1 = m.register("cross_1", a_high * b_low), m.register("other_1", a_low * b_high)
    exponent_1 = m.register("exponent_1", a[23:31].zext(10) + b[23:31].zext(10))

    # 2
    cross_2 = m.register("cross_2", cross_1.zext(25) + other_1.zext(25))
    outer_2 = m.register("outer_2", concat(high_1, low_1[_HALF:24]))
    lowest_2 = m.register("lowest_any_2", low_1[0:_HALF].any())

    # 3: bits 47 … 12 of the product; of the others only whether one is 1.
    upper = m.register("upper_3", outer_2 + cross_2.zext(36))
    lowest_3 = m.register("lowest_any_3", lowest_2)
    exponent_3 = delay_stages(m, "exponents", exponent_1, 2)[-1]

    # 4: the product of two numbers in [1, 2) is in [1, 4).
    carry = upper[35]
    kept = m.named("kept", mux(carry, upper[12:35], upper[11:34]))  # without the leading 1
    guard, sticky = mux(carry, upper[11], upper[10]), upper[0:10].any() | (carry & upper[10]) | lowest_3
    kept_4, up_4 = m.register("kept_4", kept), m.register("round_up_4", guard & (sticky | kept[0]))
    unbiased = m.named("unbiased", concat(exponent_3, carry) + concat(m.constant(-_BIAS, 10), carry))
    m.unused(unbiased[0])
    exponent_4 = m.register("exponent_4", unbiased[1:11])  # one adder: its lowest place carries `carry` in

    # 5: rounding carries into the exponent.
    rounded = m.named("rounded", concat(exponent_4[0:8], kept_4) + up_4.zext(31))
    all_ones = m.named("all_ones", kept_4.all())
    overflow = m.named("saturated", ~zero & too_large(exponent_4, all_ones & up_4))
    none = m.named("no_exponent", ~exponent_4.any())
    flushed = m.named("flushed", zero | exponent_4[9] | none)
    # On the subnormal grid, a bit coarser, only all ones round up to the least normal number; a half is even there.
    least = m.named("least_normal", ~zero & none & all_ones)
    small = concat(m.constant(0, 7), least, m.constant(0, 23))
    body = mux(overflow, 0x7F7FFFFF, mux(flushed, small, rounded))
    m.output("y", m.register("y_q", concat(sign, body)))
    m.output("overflow", m.register("overflow_q", overflow))
    return m
