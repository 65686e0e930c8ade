"""A group sum times its scale, in two registered halves, so that a multiplier block needs no cascade."""

from elastix.compiler.circuit import Module, concat, mux
from elastix.compiler.processor.parameters import ProcessorParameters

LATENCY = 3
MULTIPLIER_BITS = 17


def scale_multiplier(parameters: ProcessorParameters) -> Module:
    """LATENCY cycles after `group_sum` (signed) and `scale` (8 bits): `product`, signed, 8 bits longer.

    The group sum has a register of its own before the multiplier blocks, since the one that adds up lies far from them.
    The low bits, 17 or less, and the bits above them are unsigned factors of one 18-bit multiplier each; the sign
    bit only takes away a shifted scale.
    """
    m, width = Module("scale_multiplier", "Group sum times scale."), parameters.group_sum_bits
    group_sum, scale = m.register("factor", m.input("group_sum", width)), m.register("scale_1", m.input("scale", 8))
    low_bits = min(MULTIPLIER_BITS, width - 9)  # then low_product, 8 bits longer, ends below the sign bit
    high_bits = width - 1 - low_bits
    low = m.register("low_product", group_sum[0:low_bits].zext(low_bits + 8) * scale.zext(low_bits + 8))
    high = m.register("high_product", group_sum[low_bits : width - 1].zext(high_bits + 8) * scale.zext(high_bits + 8))
    sign = m.register("sign_product", mux(group_sum[-1], -scale.zext(9), 0))
    gap = width - 1 - low.width
    corner = concat(sign, m.constant(0, gap), low) if gap else concat(sign, low)
    product_bits = width + 8
    shifted = concat(high, m.constant(0, low_bits)).zext(product_bits)
    m.output("product", m.register("product_q", corner.sext(product_bits) + shifted))
    return m
