"""What an activation multiplies its operand by (C18)."""

from functools import cache
from typing import Final

from elastix.compiler.circuit import Module, concat, mux
from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.functions import ACTIVATIONS, OFFSET_BITS, TABLES
from elastix.compiler.processor.arithmetic import fixed_point, function_table, normalize
from elastix.compiler.processor.pipeline import delay_stages

LATENCY: Final = fixed_point.MAGNITUDE_LATENCY + function_table.LATENCY + 1 + normalize.LATENCY + 1
_BIAS, _PLACE_BITS, _FRACTION_BITS = 127, 20, 16


@cache
def activation_factor(kind: str) -> Module:
    """`factor` = T(`x`) as fp32, exact: LATENCY clocks later, one a clock. kind: silu, gelu, gelu_tanh or relu.

    Raises ElastixError for another kind.
    """
    if kind not in ACTIVATIONS:
        raise ElastixError(f"activation {kind!r}", wanted=", ".join(ACTIVATIONS))
    m = Module(
        f"activation_factor_{kind}",
        f"factor = {kind}(x) / x in fp32, exact, {LATENCY} clocks later, one a clock.",
        {"kind": kind},
    )
    x = m.input("x", 32)
    if kind == "relu":
        one = delay_stages(m, "positive", ~x[31] & x[23:31].any(), LATENCY)[-1]
        m.unused(x[0:23])
        m.output("factor", concat(m.constant(0, 2), one.replicate(7), m.constant(0, 23)))
        return m
    whole = 1 << TABLES[kind].scale_bits
    width = TABLES[kind].scale_bits + 1

    place = fixed_point.fixed_magnitude(m, x, _FRACTION_BITS, _PLACE_BITS)
    y = m.instance(
        "curve",
        function_table.function_table((kind,)),
        index=place[OFFSET_BITS:_PLACE_BITS],
        offset=place[0:OFFSET_BITS],
    )["y"]
    tail = y[0:width]
    m.unused(y[width : y.width])
    negative = delay_stages(m, "negative", x[31], fixed_point.MAGNITUDE_LATENCY + function_table.LATENCY)[-1]
    share = m.register("share", mux(negative, tail, m.constant(whole, width) - tail))
    normal = normalize.normalize(m, share)
    exponent = m.named("exponent", m.constant(_BIAS, 8) - normal.shift.zext(8))
    body = concat(exponent, normal.value[0 : width - 1], m.constant(0, 24 - width))
    m.output("factor", concat(m.constant(0, 1), m.register("factor_q", mux(normal.value[-1], body, 0))))
    return m
