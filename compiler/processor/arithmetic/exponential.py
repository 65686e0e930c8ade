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
    # Far below nothing is left; 24 halvings leave something of 2^24 alone. Told early, which is short to carry along.
    far, last = below[FRACTION_BITS + 5 : 32].any(), below[FRACTION_BITS + 3 : FRACTION_BITS + 5].all()
    some = below[FRACTION_BITS : FRACTION_BITS + 3].any()
    vanishes = delay_stages(m, "vanishes", far | (last & some), function_table.LATENCY)[-1]
    leaves_one = delay_stages(m, "leaves_one", last, function_table.LATENCY)[-1]
    halvings = delay_stages(m, "halvings", below[FRACTION_BITS : FRACTION_BITS + 5], function_table.LATENCY)

    p = power
    for place in (4, 3, 2, 1, 0):
        p = m.named(f"halved_{1 << place}_times", mux(halvings[-1][place], p >> (1 << place), p))
    m.output("p", m.register("p_q", p & (~vanishes).replicate(_P_BITS)))
    # The table gives 2^23 … 2^24, so its leading 1 is known; the halvings drop as many bits below.
    kept = m.register("kept_places", m.constant(-1, 23) << halvings[-2].zext(23))
    exponent = m.named("exponent", m.constant(_BIAS - 1, 8) - halvings[-1].zext(8) + power[24].zext(8))
    nothing = m.named("nothing", vanishes | (leaves_one & ~power[24]))
    body = m.register("body_q", mux(nothing, 0, concat(exponent, power[0:23] & kept)))
    m.output("p_fp32", concat(m.constant(0, 1), body))
    return m
