"""Sums over the lanes and words of a pass: of squares or integers (C19), of exponentials (C21)."""

from collections.abc import Mapping

from elastix.compiler.circuit import Module, Signal, mux
from elastix.compiler.processor.pipeline import delay_event, delay_stages
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.vector_timing import Timing

INTEGER_BITS = 16
P_BITS = 25
TERM_BITS = 32
"""Bits of a term with its sign: the square of an integer whose magnitude is less than 2^15, or less."""


def total_bits(p: StepParameters) -> int:
    """Bits of the sum of as many terms as vector memory has elements, with its sign."""
    return 2 * (INTEGER_BITS - 1) + p.vector_elements.bit_length() + 1


def _events(m: Module, prefix: str) -> dict[str, Signal]:
    return {name: m.input(f"{prefix}_{name}") for name in ("valid", "first", "last")}


def _registers(m: Module, prefix: str, events: Mapping[str, Signal]) -> dict[str, Signal]:
    return {name: m.register(f"{prefix}_{name}_q", event) for name, event in events.items()}


def reduction_sum(p: StepParameters) -> Module:
    """`total` of the words from `first` to `last`, standing from then until that of the next pass is there.

    integers: words of SQUARES, or of MEAN if integers_mean; p: words of EXPONENTIAL. Masked elements must be 0. Words
    of the two never come in the same cycle.
    """
    lanes, timing = p.vector_lanes, Timing(p)
    m = Module("reduction_sum", f"total: the sum over all elements of the words from first to last, {lanes} a cycle.")
    clear, integers, events = m.input("clear"), m.input("integers", INTEGER_BITS * lanes), _events(m, "integers")
    mean = m.input("integers_mean") if "mean" in p.features else None
    mean_q = None if mean is None else m.register("mean_q", mean)
    terms = list[Signal]()
    for lane in range(lanes):
        z = integers[INTEGER_BITS * lane : INTEGER_BITS * (lane + 1)].sext(TERM_BITS)
        square = m.register(f"square_{lane}", z * z)
        terms.append(square if mean_q is None else mux(mean_q, m.register(f"integer_{lane}", z), square))
    events = _registers(m, "squares", events)
    if timing.attention:
        powers, of_powers = m.input("p", P_BITS * lanes), _events(m, "p")
        chosen = of_powers["valid"]
        for lane, term in enumerate(terms):
            terms[lane] = mux(chosen, powers[P_BITS * lane : P_BITS * (lane + 1)].zext(TERM_BITS), term)
        events = {name: mux(chosen, of_powers[name], event) for name, event in events.items()}
    level = [m.register(f"term_{lane}", term) for lane, term in enumerate(terms)]
    for depth in range(timing.levels):
        width = TERM_BITS + depth + 1
        pairs = zip(level[0::2], level[1::2], strict=True)
        level = [m.register(f"sum_{depth}_{n}", a.sext(width) + b.sext(width)) for n, (a, b) in enumerate(pairs)]

    arrives = delay_event(m, "arrives", events["valid"], timing.levels + 1, clear)[-1]
    first, last = (delay_stages(m, name, events[name], timing.levels + 1)[-1] for name in ("first", "last"))
    running = m.state("running_sum", total_bits(p))
    added = m.named("added", level[0].sext(running.width) + mux(first, 0, running))
    running.next(added, enable=arrives)
    m.output("total", m.register("total_q", added, enable=arrives & last))
    return m
