"""The arithmetic of one lane: two products and a sum, each of which an operation may leave out (C15 to C21)."""

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.arithmetic.activation_factor import LATENCY as FACTOR_LATENCY
from elastix.compiler.processor.arithmetic.activation_factor import activation_factor
from elastix.compiler.processor.arithmetic.exponential import LATENCY as EXPONENTIAL_LATENCY
from elastix.compiler.processor.arithmetic.exponential import exponential
from elastix.compiler.processor.arithmetic.fp32_add import LATENCY as ADD_LATENCY
from elastix.compiler.processor.arithmetic.fp32_add import fp32_add
from elastix.compiler.processor.arithmetic.fp32_multiply import LATENCY as MULTIPLY_LATENCY
from elastix.compiler.processor.arithmetic.fp32_multiply import fp32_multiply
from elastix.compiler.processor.pipeline import delay_stages
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.vector_timing import OPERANDS, PRODUCT, Timing


def vector_lane(p: StepParameters) -> Module:
    """One element a cycle; every input has its cycle, by vector_timing.py.

    At READ: `read` (of vector memory) or `visitor`, by `visiting`; `scalar`, or `early` (of constant memory) for
    `by_constant`. At `factors`: `b` (for `partner` the partner), `late` (of constant memory), `value_scale`,
    `subtrahend`, and selections of the second product's and the sum's operands. `first_product`, `second_product` and
    `summed` say at the cycles of these whether they are taken. Out: `a` at OPERANDS; `p` (C21); `result` a cycle after
    the sum; what saturated, each at its cycle.
    """
    features, timing = p.features, Timing(p)
    m = Module("vector_lane", vector_lane.__doc__)
    visiting, visitor, read = m.input("visiting"), m.input("visitor", 32), m.input("read", 32)
    a = m.register("a_q", mux(visiting, visitor, read))
    m.output("a", a)

    # The first product, and what else the second may take.
    factor = m.input("scalar", 32)
    early = m.input("early", 32) if "rotate" in features or "normalize_shift" in features else None
    if early is not None and "rotate" in features:
        factor = mux(m.input("by_constant"), early, factor)
    first = m.instance("first_multiplier", fp32_multiply(), a=a, b=m.register("first_factor", factor))
    m.output("first_overflow", first["overflow"])
    at_product = delay_stages(m, "a", a, PRODUCT - OPERANDS)[-1]
    taken = m.named("first_taken", mux(m.input("first_product"), first["y"], at_product))
    x = delay_stages(m, "x", taken, timing.factors - PRODUCT)[-1]

    b, late = m.input("b", 32), m.input("late", 32)
    left, right = x, mux(m.input("late_constant"), late, b)
    if p.activations:
        activated = m.instance("activation", activation_factor(p.activations[0]), x=a)["factor"]
        found = delay_stages(m, "activation_found", activated, timing.factors - OPERANDS - FACTOR_LATENCY)[-1]
        right = mux(m.input("activate"), found, right)
    if timing.attention:
        power = m.instance("exponential", exponential(), maximum=m.input("fixed_maximum", 32), score=a)
        found = delay_stages(m, "p_found", power["p_fp32"], timing.factors - OPERANDS - EXPONENTIAL_LATENCY)[-1]
        selected = m.input("exponential_taken")
        left = mux(selected, found, left)
        right = mux(selected, concat(m.input("value_scale", 16), m.constant(0, 16)), right)
        m.output("p", power["p"])
    partner = m.input("partner") if "rotate" in features else None
    left = m.register("left", left if partner is None else mux(partner, b, left))
    right_q = m.register("right", right)
    second = m.instance("second_multiplier", fp32_multiply(), a=left, b=right_q)
    m.output("second_overflow", second["overflow"])

    # The sum: of a product, or what went in, and an operand.
    term = _term(m, p, x, right, early, partner)
    passed = delay_stages(m, "left", left, MULTIPLY_LATENCY)[-1]
    augend = m.register("augend", mux(m.input("second_product"), second["y"], passed))
    addend = delay_stages(m, "term", term, MULTIPLY_LATENCY + 2)[-1]
    total = m.instance("adder", fp32_add(), a=augend, b=addend)
    m.output("sum_overflow", total["overflow"])
    alone = delay_stages(m, "augend", augend, ADD_LATENCY)[-1]
    m.output("result", m.register("result_q", mux(m.input("summed"), total["y"], alone)))
    return m


def _term(
    m: Module, p: StepParameters, x: Signal, right: Signal, early: Signal | None, partner: Signal | None
) -> Signal:
    """What is added, as it is chosen at `factors`."""
    term = right
    if partner is not None:
        term = mux(partner, x, term)
    if early is not None and "normalize_shift" in p.features:
        wait = Timing(p).factors - OPERANDS + 1
        term = mux(m.input("shift"), delay_stages(m, "early", early, wait)[-1], term)
    return mux(m.input("subtract"), m.input("subtrahend", 32), term)
