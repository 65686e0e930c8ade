"""From fp32 to integers of a given scale: C3, and the 8 bits of C12."""

from functools import cache
from typing import Final

from elastix.compiler.circuit import Module, concat, mux
from elastix.compiler.processor.pipeline import delay_stages

LATENCY: Final = 4
R_BITS, POWER_BITS = 17, 10
_KEPT = 15


@cache
def quantizer() -> Module:
    """`z` (int16) = RNE(`x`·`r`·2^(−23−`power`)), at most 2^(`bits`−1) − 1 in magnitude: LATENCY clocks later.

    x: fp32; r: at most 2^16; power: signed; bits: 8 … 16. The magnitude before rounding must be below 2^(bits−1).
    """
    m = Module(
        "quantizer",
        f"""z = x * r * 2^(-23 - power) to the nearest integer, ties to even, {LATENCY} clocks later, one a clock.
        r, power and bits, from quantization, belong to x; |z| is kept below 2^(bits - 1).""",
    )
    x, r, power = m.input("x", 32), m.input("r", R_BITS), m.input("power", POWER_BITS)
    bits = delay_stages(m, "bits_of_x", m.input("bits", 5), 3)[-1]
    sign = delay_stages(m, "sign", x[31], 3)[-1]

    # 1: the product of 24 by 17 bits in two parts; its 40 bits are an integer times 2^(stored − 173 − power).
    mantissa = m.named("mantissa", concat(m.constant(1, 1), x[0:23]))
    low_1 = m.register("low_1", mantissa[0:18].zext(35) * r.zext(35))
    high_1 = m.register("high_1", mantissa[18:24].zext(22) * r.zext(22))
    places_1 = m.register("places_1", power.sext(11) - x[23:31].zext(11))
    zero_1 = m.register("zero_1", x[23:31] == 0)

    # 2: bits 39 … 18. Bit 25 has weight 1 where places is 0.
    upper = m.register("upper", low_1[18:35].zext(22) + high_1)
    lowest = m.register("lowest_any", low_1[0:18].any())
    places = m.register("places", places_1 + 148)
    zero_2 = m.register("zero_2", zero_1)

    # 3: down by up to 15 places; the last bit is the one below the integer.
    value = m.named("window", upper[6:22] & (~(zero_2 | places[4:11].any())).replicate(_KEPT + 1))
    lost = [upper[0:6].any(), lowest]
    for place in (3, 2, 1, 0):
        step = 1 << place
        lost.append(places[place] & value[0:step].any())
        value = m.named(f"down_by_{step}", mux(places[place], value >> step, value))
    kept, guard = m.register("kept", value[1 : _KEPT + 1]), m.register("guard", value[0])
    sticky = m.register("sticky", concat(*lost).any())

    # 4: what is largest already is not rounded up; a negative integer is the complement of kept, rounded the other way.
    spare = concat(*(bits <= place + 1 for place in reversed(range(7, _KEPT))))
    largest = m.named("largest", concat(kept[7:_KEPT] | spare, kept[0:7]).all())
    up = m.named("round_up", guard & (sticky | kept[0]) & ~largest)
    signed = concat(sign, kept ^ sign.replicate(_KEPT))
    m.output("z", m.register("z_q", signed + (up ^ sign).zext(16)))
    return m
