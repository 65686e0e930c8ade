"""From an exact integer to fp32 (C7)."""

from functools import cache
from typing import Final

from elastix.compiler.circuit import Module, concat, mux
from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.arithmetic.normalize import normalize
from elastix.compiler.processor.pipeline import delay_stages

LATENCY: Final = 4
_BIAS, _MANTISSA = 127, 24


@cache
def integer_to_fp32(width: int, signed: bool) -> Module:
    """`y` = RNE of `value`, an integer of `width` bits, 25 … 64: LATENCY clocks later, one a clock.

    Raises ElastixError for other widths.
    """
    if not _MANTISSA < width <= 64:
        raise ElastixError(f"integer_to_fp32 of {width} bits", wanted=f"{_MANTISSA + 1} … 64", do="widen the integer")
    kind = "signed" if signed else "unsigned"
    m = Module(
        f"{kind}_{width}_to_fp32",
        f"y = value, a {kind} integer, rounded to fp32, {LATENCY} clocks later, one a clock.",
        {"width": width, "signed": signed},
    )
    value = m.input("value", width)
    negative = value[-1] if signed else m.constant(0, 1)
    # 1
    magnitude = m.register("magnitude", mux(negative, -value, value) if signed else value)
    sign = delay_stages(m, "sign", negative, LATENCY - 1)[-1] if signed else negative

    # 2, 3. The lowest bits after the coarse shift can no longer reach the bits that stay.
    normal = normalize(m, magnitude)
    rest = width - _MANTISSA - 1
    beyond_reach = rest - normal.reach
    lowest = m.constant(0, 1)
    if beyond_reach > 0:
        lowest = m.register("lowest_any", normal.coarse[0:beyond_reach].any())
        m.unused(normal.value[0:beyond_reach])

    # 4: rounding carries into the exponent.
    top = normal.value
    kept, guard = top[rest + 1 : width - 1], top[rest]
    sticky = top[max(beyond_reach, 0) : rest].any() | lowest if rest else lowest
    up = m.named("round_up", guard & (sticky | kept[0]))
    exponent = m.named("exponent", m.constant(_BIAS + width - 1, 8) - normal.shift.zext(8))
    rounded = m.named("rounded", concat(exponent, kept) + up.zext(31))
    m.output("y", m.register("y_q", concat(sign, mux(top[-1], rounded, 0))))
    return m
