"""Powers of two of differences, as integers and as fp32 (C21)."""

from functools import cache
from typing import Final

from elastix.compiler.circuit import Module, concat, mux
from elastix.compiler.numbers.functions import OFFSET_BITS
from elastix.compiler.processor.arithmetic import fixed_point, function_table
from elastix.compiler.processor.pipeline import delay_stages

MAXIMUM_DELAY: Final = fixed_point.MAGNITUDE_LATENCY
"""`maximum` is looked at so many clocks after the score that it belongs to."""
LATENCY: Final = MAXIMUM_DELAY + 1 + function_table.LATENCY + 1
FRACTION_BITS: Final = 20
_BIAS, _P_BITS = 127, 25


@cache
def exponential() -> Module:
    """`p` = 2^(`score` − maximum) in units of 2^−24 (25 bits), `p_fp32` the same as fp32: LATENCY clocks later.

    `maximum`: fix_20 of the largest score, from fp32_to_fixed(FRACTION_BITS), held or delayed by MAXIMUM_DELAY.
    """
    m = Module(
        "exponential",
        f"""p = 2^(score - maximum) in units of 2^-24 and as fp32, {LATENCY} clocks later, one a clock.
        maximum is the largest score times 2^{FRACTION_BITS}, seen {MAXIMUM_DELAY} clocks after the score.""",
    )
    maximum, score = m.input("maximum", 32), m.input("score", 32)
    fixed = fixed_point.fixed_magnitude(m, score, FRACTION_BITS, 31)
    positive = delay_stages(m, "positive", ~score[31], MAXIMUM_DELAY)[-1]
    below = m.register("below", fixed_point.add_signed(m, maximum, fixed, positive))
    power = m.instance(
        "curve",
        function_table.function_table(("exp2",)),
        index=below[OFFSET_BITS:FRACTION_BITS],
        offset=below[0:OFFSET_BITS],
    )["y"]
    halvings = delay_stages(m, "halvings", below[FRACTION_BITS:32], function_table.LATENCY)[-1]

    far = m.named("vanishes", halvings[5:12].any())
    p = m.named("power_unless_far", power & (~far).replicate(_P_BITS))
    for place in (4, 3, 2, 1, 0):
        p = m.named(f"halved_{1 << place}_times", mux(halvings[place], p >> (1 << place), p))
    p_q = m.register("p_q", p)
    # The table gives 2^23 … 2^24, so its leading 1 is known; the halvings drop as many bits below.
    kept = m.named("kept_places", m.constant(-1, 23) << halvings[0:5].zext(23))
    exponent = m.named("exponent", m.constant(_BIAS - 1, 8) - halvings[0:5].zext(8) + power[24].zext(8))
    body = m.register("fraction_q", concat(exponent, power[0:23] & kept))
    m.output("p", p_q)
    m.output("p_fp32", concat(m.constant(0, 1), mux(p_q.any(), body, 0)))
    return m
