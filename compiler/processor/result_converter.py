"""From an exact integer to fp32: round, times the row scale, times two to the token's exponent (C7, C8, C9)."""

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.compiler.processor.pipeline import delay_event, delay_stages

LATENCY = 11
MANTISSA, BIAS = 24, 127


def result_converter(parameters: ProcessorParameters) -> Module:
    """LATENCY cycles after `valid`, `sum`, `row_scale` (bf16) and `exponent` (int16): `result`, and `overflow` if C6 applied."""
    m = Module("result_converter", "Exact integer to fp32, times row scale and token exponent.")
    clear, valid = m.input("clear"), m.input("valid")
    total, row_scale, exponent = (
        m.input("sum", parameters.accumulator_bits),
        m.input("row_scale", 16),
        m.input("exponent", 16),
    )
    scales, exponents = delay_stages(m, "row_scale", row_scale, 5), delay_stages(m, "token_exponent", exponent, 9)
    events = delay_event(m, "valid", valid, LATENCY, clear)

    sign_1 = m.register("sign_1", total[-1])
    # |sum| < 2^(width - 1) by the bound of C2, so the top bit of the magnitude is not kept.
    magnitude = m.register("magnitude", mux(total[-1], -total, total)[0 : total.width - 1])
    top, shift = _normalize(m, magnitude)
    mantissa_5, exponent_5, zero_5 = _round_integer(m, top, shift)

    # C8. Integers are at least 1 and row scales normal, so this product cannot underflow.
    scale = scales[5]
    fraction = concat(m.constant(1, 1), scale[0:7]).zext(20)
    half = MANTISSA // 2
    low = m.register("low_product", mantissa_5[0:half].zext(20) * fraction)
    high = m.register("high_product", mantissa_5[half:MANTISSA].zext(20) * fraction)
    exponent_6 = m.register("exponent_6", exponent_5.zext(10) + scale[7:15].zext(10))
    zero_6 = m.register("zero_6", zero_5 | (scale[7:15] == 0))
    signs = delay_stages(m, "sum_sign", sign_1, 4)
    sign_6 = m.register("sign_6", signs[-1] ^ scale[15])
    product = m.register("product", low.zext(32) + (high.zext(32) << half))
    exponent_7, zero_7, sign_7 = (
        m.register("exponent_7", exponent_6),
        m.register("zero_7", zero_6),
        m.register("sign_7", sign_6),
    )

    carry = product[31]  # the product of two fractions in [1, 2) is in [1, 4), with 31 bits below 2
    kept = mux(carry, product[8:31], product[7:30])  # without the leading 1
    guard = mux(carry, product[7], product[6])
    sticky = mux(carry, product[0:7].any(), product[0:6].any())
    kept_8 = m.register("kept_8", kept)
    up_8 = m.register("round_up_8", guard & (sticky | kept[0]))
    exponent_8 = m.register("exponent_8", exponent_7 + carry.zext(10))
    zero_8, sign_8 = m.register("zero_8", zero_7), m.register("sign_8", sign_7)

    rounded = kept_8.zext(MANTISSA) + up_8.zext(MANTISSA)
    over = m.named("rounded_over", rounded[-1])
    biased = m.named("biased_9", exponent_8 - BIAS + over.zext(10))
    saturated = m.named("product_overflow", ~zero_8 & biased.signed_ge(255))
    fraction_9 = m.register("fraction_9", mux(saturated, (1 << 23) - 1, rounded[0:23]))
    exponent_9 = m.register("exponent_9", mux(saturated, 254, biased))
    overflow_9 = m.register("overflow_9", saturated)
    zero_9, sign_9 = m.register("zero_9", zero_8), m.register("sign_9", sign_8)

    # C9. Only the exponent moves.
    moved = m.register("moved", exponent_9.zext(18) + exponents[9].sext(18))
    fraction_10, zero_10, sign_10 = (
        m.register("fraction_10", fraction_9),
        m.register("zero_10", zero_9),
        m.register("sign_10", sign_9),
    )
    overflow_10 = m.register("overflow_10", overflow_9)
    under = m.named("underflow", zero_10 | moved.signed_lt(1))
    beyond = m.named("result_overflow", ~under & moved.signed_ge(255))
    body = mux(beyond, 0x7F7FFFFF, concat(moved[0:8], fraction_10))
    m.output("result", m.register("result_q", concat(sign_10, mux(under, 0, body))))
    m.output("overflow", m.register("overflow_q", (overflow_10 | beyond) & events[LATENCY - 1] & ~clear, reset=0))
    m.output("result_valid", events[LATENCY])
    return m


def _normalize(m: Module, magnitude: Signal) -> tuple[Signal, Signal]:
    """The value shifted up until its top bit is 1 (unless zero), and by how much (6 bits); cycles 2 to 4, two steps each."""
    value, shift = magnitude, list[Signal]()
    for cycle, steps in enumerate(((32, 16), (8, 4), (2, 1)), start=2):
        bits = list[Signal]()
        for step in steps:
            if step >= value.width:
                bits.append(m.constant(0, 1))
                continue
            empty = m.named(f"top_{step}_empty", ~value[value.width - step : value.width].any())
            value = mux(empty, value << step, value)
            bits.append(empty)
        value = m.register(f"normalized_{cycle}", value)
        shift = [m.register(f"shift_{cycle}_{index}", bit) for index, bit in enumerate([*shift, *bits])]
    return value, concat(*shift)


def _round_integer(m: Module, top: Signal, shift: Signal) -> tuple[Signal, Signal, Signal]:
    """C7: 24 bits, ties to even; biased exponent (8 bits); whether the integer is zero. One cycle."""
    width = top.width
    kept, guard = top[width - MANTISSA : width], top[width - MANTISSA - 1]
    sticky = top[0 : width - MANTISSA - 1].any()
    up = guard & (sticky | kept[0])
    rounded = m.named("rounded_integer", kept.zext(MANTISSA + 1) + up.zext(MANTISSA + 1))
    exponent = m.constant(width - 1 + BIAS, 8) - shift.zext(8) + rounded[-1].zext(8)
    # When rounding carries out the lower bits are zero: only the top one has to be put back.
    mantissa = concat(rounded[-1] | rounded[MANTISSA - 1], rounded[0 : MANTISSA - 1])
    return m.register("mantissa_5", mantissa), m.register("exponent_5", exponent), m.register("zero_5", ~top[-1])
