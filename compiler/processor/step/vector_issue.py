"""A word a cycle into the vector engine's pipeline: of the matrix engines, else of attention, else own."""

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.step.attention_ports import input_group
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters
from elastix.compiler.processor.step.vector_ports import visitor_ports
from elastix.compiler.processor.step.vector_sequencer import to_word_bits


def own_ports(p: StepParameters) -> dict[str, int]:
    """What the sequencer says of a word it offers, and their bits; early only where some operation wants it."""
    ports = {"mask": p.vector_lanes, "first": 1, "last": 1, "a": p.vector_word_bits, "b": p.vector_word_bits}
    ports |= {"late": p.constant_word_bits}
    ports |= {"early": p.constant_word_bits} if wants_early(p) else {}
    ports |= {"to": to_word_bits(p), "operation": 4, "maximum": 2, "max_register": 6, "bank": 1}
    return ports | {"to_vector": 1, "to_constant": 1}


def wants_early(p: StepParameters) -> bool:
    """Some operation reads c or d together with a."""
    return "rotate" in p.features or "normalize_shift" in p.features


def vector_issue(p: StepParameters) -> Module:
    """own_*: the sequencer's word, with `offered`; `issued` (comb.): it passes. quiet: nothing may pass.

    The fields of the word that passed are there a clock later: `valid`, `visiting` and, of visitors, `of_attention` and
    `data`; the rest as own_ports has it, and `tracked`. mask is 0 where there is no word.
    """
    lanes, lane_bits = p.vector_lanes, (p.vector_lanes - 1).bit_length()
    m = Module("vector_issue", vector_issue.__doc__)
    clear, quiet, offered = m.input("clear"), m.input("quiet"), m.input("offered")
    own = input_group(m, "own", own_ports(p))
    matrix, attention = (input_group(m, unit, visitor_ports(p)) for unit in ("matrix", "attention"))
    with_attention = "attention" in p.features
    visitor = dict(matrix)
    if with_attention:
        visitor = {name: mux(matrix["valid"], value, attention[name]) for name, value in matrix.items()}
        visitor["valid"] = matrix["valid"] | attention["valid"]
    m.output("matrix_ready", ~quiet)
    m.output("attention_ready", ~quiet & ~matrix["valid"])
    for name, value in attention.items():
        if name in ("to", "from") or not with_attention:
            m.unused(value)
    for name in ("to", "from"):
        m.unused(matrix[name])
    visiting = m.named("visitor_passes", visitor["valid"] & ~quiet)
    issued = m.named("own_passes", offered & ~quiet & ~visitor["valid"])
    m.output("issued", issued)

    def word(name: str, bits: int) -> Signal:
        element = visitor[name][lane_bits:ELEMENT_BITS]
        return element[0:bits] if element.width >= bits else element.zext(bits)

    of_visitor = {name: visitor[name] for name in ("first", "last", "operation", "maximum", "max_register")}
    of_visitor |= {
        "b": word("from", p.vector_word_bits),
        "late": word("from", p.constant_word_bits),
        "to": word("to", to_word_bits(p)),
        "to_vector": m.constant(1, 1),
        "to_constant": m.constant(0, 1),
    }
    # A visitor that waits in a cycle without a word is looked at in vain.
    choose = m.named("choose_visitor", visitor["valid"])
    for name, value in own.items():
        if name != "mask":
            chosen = mux(choose, of_visitor[name], value) if name in of_visitor else value
            m.output(name, m.register(f"{name}_q", chosen))
    passes = m.named("passes", concat(visiting | issued, mux(choose, visitor["mask"], own["mask"])))
    some = m.named("some_passes", (visiting | issued) & ~clear)
    alive = m.register("alive", mux(some, passes, 0), reset=0)
    m.output("valid", alive[lanes])
    m.output("mask", alive[0:lanes])
    m.output("tracked", m.register("tracked_q", mux(choose, visitor["tracked"], own["mask"])))
    m.output("visiting", m.register("visiting_q", choose))
    m.output("of_attention", m.register("of_attention_q", ~matrix["valid"]))
    m.output("data", m.register("data_q", visitor["data"]))
    return m
