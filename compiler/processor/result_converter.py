"""From an exact integer to fp32: round, times the row scale, times two to the token's exponent (C7, C8, C9)."""

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.compiler.processor.pipeline import delay_event, delay_stages

LATENCY = 14
MANTISSA, BIAS, LARGEST = 24, 127, 254
LEAST_SUM_BITS = MANTISSA + 3


def result_converter(parameters: ProcessorParameters) -> Module:
    """The matrix engine's: `integer_converter` of row sums (C2)."""
    return integer_converter("result_converter", parameters.accumulator_bits)


def integer_converter(name: str, sum_bits: int) -> Module:
    """LATENCY cycles after `valid`, `sum`, `row_scale` (bf16) and `exponent` (int16): `result`.

    `overflow` comes with it where C6 applied. `clear` drops what is on its way. sum_bits: 27 … 65, of a sum below
    2^(sum_bits − 1) in magnitude.
    """
    m = Module(name, "Exact integer to fp32, times row scale and token exponent.")
    clear, valid = m.input("clear"), m.input("valid")
    total, row_scale = m.input("sum", sum_bits), m.input("row_scale", 16)
    scale = delay_stages(m, "row_scale", row_scale, 6)[6]
    exponent = delay_stages(m, "token_exponent", m.input("exponent", 16), 11)[11]
    events = delay_event(m, "valid", valid, LATENCY, clear)
    sign = delay_stages(m, "sum_sign", total[-1], 6)[6]

    # |sum| < 2^(width - 1), so the top bit of the magnitude is not kept.
    magnitude = m.register("magnitude", mux(total[-1], -total, total)[0 : total.width - 1])
    top, shift = _normalize(m, magnitude)
    mantissa_6, carry_6, exponent_6, zero_6 = _round_integer(m, top, shift)

    # C8. Integers are at least 1 and row scales normal, so this product cannot underflow.
    fraction, half = m.named("scale_fraction", concat(m.constant(1, 1), scale[0:7]).zext(20)), MANTISSA // 2
    low = m.register("low_product", mantissa_6[0:half].zext(20) * fraction)
    high = m.register("high_product", mantissa_6[half:MANTISSA].zext(20) * fraction)
    exponent_7 = m.register("exponent_7", exponent_6.zext(10) + carry_6.zext(10) + scale[7:15].zext(10))
    zero = m.register("zero_7", zero_6 | (scale[7:15] == 0))
    zeros = delay_stages(m, "zero_product", zero, 5)
    signs = delay_stages(m, "product_sign", m.register("sign_7", sign ^ scale[15]), 6)

    product = m.register("product", low.zext(32) + (high.zext(32) << half))
    exponent_8 = m.register("exponent_8", exponent_7 - BIAS)
    carry = product[31]  # the product of two fractions in [1, 2) is in [1, 4), with 31 bits below 2
    kept = m.named("kept", mux(carry, product[8:31], product[7:30]))  # without the leading 1
    guard, sticky = mux(carry, product[7], product[6]), product[0:6].any() | (carry & product[6])
    kept_9, up_9 = m.register("kept_9", kept), m.register("round_up_9", guard & (sticky | kept[0]))
    exponent_9 = m.register("exponent_9", exponent_8 + carry.zext(10))

    # Rounding may carry into the exponent: both exponents are ready before that is known.
    rounded = m.register("rounded_10", kept_9.zext(MANTISSA) + up_9.zext(MANTISSA))
    same_10, next_10 = m.register("exponent_same_10", exponent_9), m.register("exponent_next_10", exponent_9 + 1)
    same_over = m.register("same_overflows", exponent_9.signed_ge(LARGEST + 1))
    next_over = m.register("next_overflows", exponent_9.signed_ge(LARGEST))
    carried = rounded[-1]
    saturated = m.named("product_overflow", ~zeros[3] & mux(carried, next_over, same_over))
    fraction_11 = m.register("fraction_11", rounded[0:-1] | saturated.replicate(MANTISSA - 1))
    exponent_11 = m.register("exponent_11", mux(saturated, LARGEST, mux(carried, next_10, same_10)))
    overflow_11 = m.register("overflow_11", saturated)

    # C9. Only the exponent moves.
    moved = m.register("moved", exponent_11.zext(18) + exponent.sext(18))
    fraction_13 = delay_stages(m, "fraction", fraction_11, 2)[2]
    under = m.register("underflow", zeros[5] | moved.signed_lt(1))
    beyond = m.register("result_overflow", ~zeros[5] & moved.signed_ge(LARGEST + 1))
    exponent_13 = m.register("exponent_13", moved[0:8])
    overflow_13 = delay_stages(m, "product_overflow_seen", overflow_11, 2)[2]
    body = mux(beyond, 0x7F7FFFFF, concat(exponent_13, fraction_13))
    m.output("result", m.register("result_q", concat(signs[6], mux(under, 0, body))))
    m.output("overflow", m.register("overflow_q", (overflow_13 | beyond) & events[LATENCY - 1] & ~clear, reset=0))
    m.output("result_valid", events[LATENCY])
    return m


def _normalize(m: Module, magnitude: Signal) -> tuple[Signal, Signal]:
    """Cycles 2 to 5: the value shifted up until its top bit is 1 (unless zero), and by how much.

    Whole bytes first, by flags that say which bytes are not zero; then 4 and 2; then 1.
    """
    size = -(-magnitude.width // 8)
    padded = concat(magnitude, m.constant(0, 8 * size - magnitude.width)) if magnitude.width % 8 else magnitude
    filled = [
        m.register(f"byte_{n}_filled", padded[8 * (size - 1 - n) : 8 * (size - n)].any()) for n in range(size - 1)
    ]
    value = m.register("magnitude_2", magnitude)
    shifted, count = value << 8 * (size - 1), m.constant(size - 1, 3)
    for n in reversed(range(size - 1)):
        shifted, count = mux(filled[n], value << 8 * n, shifted), mux(filled[n], n, count)
    value, count = m.register("whole_bytes", shifted), m.register("bytes_3", count)
    for cycle, steps in ((4, (4, 2)), (5, (1,))):
        for step in steps:
            empty = m.named(f"top_{step}_empty", ~value[value.width - step : value.width].any())
            value = m.named(f"shifted_by_{step}", mux(empty, value << step, value))
            count = concat(count, empty)
        value, count = m.register(f"normalized_{cycle}", value), m.register(f"shift_{cycle}", count)
    return value, count


def _round_integer(m: Module, top: Signal, shift: Signal) -> tuple[Signal, Signal, Signal, Signal]:
    """C7, cycle 6: 24 bits, ties to even; one more for the exponent; biased exponent; whether the integer is zero."""
    width = top.width
    kept, guard = top[width - MANTISSA : width], top[width - MANTISSA - 1]
    sticky = top[0 : width - MANTISSA - 1].any()
    up = guard & (sticky | kept[0])
    rounded = m.named("rounded_integer", kept.zext(MANTISSA + 1) + up.zext(MANTISSA + 1))
    # When rounding carries out, the lower bits are zero: only the top one has to be put back.
    mantissa = concat(rounded[-1] | rounded[MANTISSA - 1], rounded[0 : MANTISSA - 1])
    exponent = m.constant(width - 1 + BIAS, 8) - shift.zext(8)
    return (
        m.register("mantissa_6", mantissa),
        m.register("carry_6", rounded[-1]),
        m.register("exponent_6", exponent),
        m.register("zero_6", ~top[-1]),
    )
