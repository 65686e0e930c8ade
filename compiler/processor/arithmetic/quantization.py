"""The scale that a token or row is quantized with: C3's exponent, C12's bf16 scale."""

from functools import cache
from typing import Final

from elastix.compiler.circuit import Module, concat, mux, rom
from elastix.compiler.processor.arithmetic.quantizer import POWER_BITS, R_BITS
from elastix.compiler.processor.pipeline import delay_stages

LATENCY: Final = 5
_LEAST_POWER = -133
"""128 · 2^−133 is the least normal bf16."""
_LEAST_STORED = 141 + _LEAST_POWER
_RECIPROCALS = tuple((2 * 2**23 + significand) // (2 * significand) for significand in range(128, 256))


@cache
def quantization() -> Module:
    """From `maximum`, the largest magnitude (fp32), to what quantizer wants: LATENCY clocks later, one a clock.

    `row` 0: C3 with A = `bits` (8 … 16): `r`, `power`, and e in `exponent` (int16). `row` 1: C12 at 8 bits: `r`,
    `power`, and s in `scale` (bf16). The other of `exponent` and `scale` means nothing.
    """
    m = Module(
        "quantization",
        f"""r and power for quantizer from the largest magnitude of a token or row, {LATENCY} clocks later, one a clock.
        row 0: integers of `bits` bits and a power of two, exponent. row 1: integers of 8 bits and a bf16 scale.""",
    )
    maximum, bits, row = m.input("maximum", 32), m.input("bits", 5), m.input("row")
    m.unused(maximum[31])
    stored = delay_stages(m, "stored", maximum[23:31], 3)
    rows = delay_stages(m, "row", row, 3)

    # Row: the least C with 127·C·2^9 ≥ mantissa, C = ⌊n/127⌋ with n = ⌈mantissa/2^9⌉ + 126. As 128 = 127 + 1,
    # ⌊n/127⌋ is n div 128 plus the same of (n div 128 + n mod 128). 1:
    mantissa = concat(m.constant(1, 2), maximum[9:23])
    n = m.register("n", mantissa + maximum[0:9].any().zext(16) + 126)
    # 2
    folded = m.register("folded", n[7:16] + n[0:7].zext(9))
    high_2 = m.register("high_2", n[7:16])
    # 3
    again = m.named("folded_again", folded[0:7].zext(8) + folded[7:9].zext(8))
    whole = m.named("one_more", again[7] | again[0:7].all())
    candidate = m.register("candidate", high_2 + folded[7:9].zext(9) + whole.zext(9))
    # 4: 256 and more are halved, rounded up. The significand 128 with its r of 2^16 serves C3 too.
    halved = m.named("halved", candidate[8])
    stored_3 = m.named("stored_exponent", stored[3].zext(POWER_BITS))
    reached = m.named("row_exponent", stored_3 + halved.zext(POWER_BITS))
    least = m.named("least_scale", reached < _LEAST_STORED)
    half = m.named("candidate_and_one", candidate + 1)
    m.unused(half[0])
    significand = mux(halved, half[1:9], candidate[0:8])
    significand_4 = m.named("significand", mux(least | ~rows[3], 128, significand))
    of_row = mux(least, _LEAST_POWER, reached - 141)
    bits_3 = delay_stages(m, "bits_of_token", bits, 3)[-1]
    some = m.named("some", stored[3].any())
    exponent = m.named("token_exponent", mux(some, stored_3 - bits_3.zext(POWER_BITS) - 125, 0))
    power = m.register("power_4", mux(rows[3], of_row, exponent - 7))
    exponent_4, fraction_4 = m.register("exponent_4", exponent), m.register("fraction_4", significand_4[0:7])
    # 5
    table = rom("significand_reciprocals", _RECIPROCALS, R_BITS)
    m.output("r", m.instance("reciprocals", table, address=fraction_4)["data"])
    m.output("power", m.register("power_q", power))
    m.output("exponent", m.register("exponent_q", exponent_4).sext(16))
    biased = m.named("scale_exponent", power[0:8] + 134)
    m.output("scale", concat(m.constant(0, 1), m.register("scale_q", concat(biased, fraction_4))))
    return m
