"""From fp32 to fixed point, rounded towards zero (C16)."""

from functools import cache
from typing import Final

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.pipeline import delay_stages

LATENCY: Final = 3
MAGNITUDE_LATENCY: Final = 2
_BIAS = 127


@cache
def fp32_to_fixed(k: int) -> Module:
    """`y` = fix_k(`x`), a signed integer of 32 bits: LATENCY clocks later, one a clock. k: 0 … 32."""
    m = Module(
        f"fp32_to_fixed_{k}",
        f"y = x * 2^{k} rounded towards zero, at most 2^31 - 1 in magnitude, {LATENCY} clocks later, one a clock.",
        {"k": k},
    )
    x = m.input("x", 32)
    magnitude = fixed_magnitude(m, x, k, 31)
    negative = delay_stages(m, "negative", x[31], MAGNITUDE_LATENCY)[-1]
    m.output("y", m.register("y_q", add_signed(m, m.constant(0, 32), magnitude, negative)))
    return m


def fixed_magnitude(m: Module, x: Signal, k: int, bits: int) -> Signal:
    """|x|·2^k rounded down, at most 2^bits − 1, MAGNITUDE_LATENCY clocks later; 16 < bits <= 31."""
    fraction = m.register("fraction_of_x", x[0:23])
    # How far the number lies below those that fill all the bits. Numbers without exponent lie far enough to vanish.
    places = m.register("places", m.constant(_BIAS + bits - 1 - k, 9) - x[23:31].zext(9))
    mantissa = concat(m.constant(1, 1), fraction)
    if bits < 24:
        m.unused(fraction[0 : 24 - bits])
    value = mantissa[24 - bits : 24] if bits < 24 else concat(mantissa, m.constant(0, bits - 24))
    for place in (4, 3, 2, 1, 0):
        value = m.named(f"down_by_{1 << place}", mux(places[place], value >> (1 << place), value))
    # Left to the next stage, where it costs no LUT.
    moved, beyond = m.register("moved_down", value), m.register("beyond", places[8])
    near = m.register("near", ~places[5:8].any())
    return m.named("fixed", (moved & near.replicate(bits)) | beyond.replicate(bits))


def add_signed(m: Module, base: Signal, magnitude: Signal, negative: Signal) -> Signal:
    """`base` (32 bits) plus the magnitude, or minus it: one adder, with a place below for the carry."""
    operand = concat(magnitude.zext(32) ^ negative.replicate(32), negative)
    total = m.named("signed_sum", concat(base, negative) + operand)
    m.unused(total[0])
    return total[1:33]
