"""L elements to integers, each by the scale of its token or row (C3, C12)."""

from elastix.compiler.circuit import Module, concat, mux
from elastix.compiler.processor.arithmetic.quantizer import POWER_BITS, R_BITS, quantizer
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.vector_timing import INTEGERS, OPERANDS

CODE_BITS = 16
LATENCY = INTEGERS - OPERANDS + 1


def quantize_stage(p: StepParameters) -> Module:
    """`codes` of `a` (L of 16 bits, of 32) LATENCY clocks later, 0 where `mask`, a clock before, is 0.

    r, power, bits: as quantizer has them, the same for all elements.
    """
    lanes = p.vector_lanes
    m = Module("quantize_stage", quantize_stage.__doc__)
    a, mask = m.input("a", 32 * lanes), m.input("mask", lanes)
    scale = {"r": m.input("r", R_BITS), "power": m.input("power", POWER_BITS), "bits": m.input("bits", 5)}
    codes = [
        m.instance(f"quantizer_{lane}", quantizer(), x=a[32 * lane : 32 * (lane + 1)], **scale)["z"]
        for lane in range(lanes)
    ]
    kept = [m.register(f"code_{lane}", mux(mask[lane], code, 0)) for lane, code in enumerate(codes)]
    m.output("codes", concat(*reversed(kept)))
    return m
