"""SCORES and VALUES: cached rows times queries or probabilities, exactly, and what is kept of a run's own rows."""

from dataclasses import asdict

from elastix.compiler.circuit import Module
from elastix.compiler.processor.axi import ADDRESS_BITS, offset_bits
from elastix.compiler.processor.step.attention_ports import VISIT, input_group, quantized_ports, scale_word_bits
from elastix.compiler.processor.step.fields import INSTRUCTION_BITS
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters


def attention_engine(p: StepParameters) -> Module:
    """Carries out SCORES and VALUES (C7 to C9, C13, C21), one instruction at a time; README.md has the ports.

    attention_*: the stream. attention_wanted (level): a beat would be looked at if it were there. visit_*: visiting
    words; `visitor_written` (pulse) says that one with `last` is where it belongs. `scale_data`: the L value scales of
    word `scale_word` of bank `scale_bank`, two cycles later. quantized_*: words for the banks and the current rows.
    row_*: beats of rows and of their scales for the row writer. rows_pending (level, from the cycle after the first
    quantized word of a row on): the row writer has not taken all of them. overflow (pulse): C6 has happened.
    """
    m = Module("attention_engine", attention_engine.__doc__, asdict(p))
    lanes = p.vector_lanes
    m.input("clear")
    m.input("begin")
    m.unused(m.input("instruction", INSTRUCTION_BITS))
    m.unused(m.input("position", ELEMENT_BITS))
    m.input("attention_valid")
    m.input("attention_data", p.beat)
    m.input("visit_ready")
    m.input("visitor_written")
    m.input("scale_word", scale_word_bits(p))
    m.input("scale_bank")
    input_group(m, "quantized", quantized_ports(p))
    m.input("row_ready")

    for name, width in (("taken", 1), ("done_attention", 1), ("overflow", 1)):
        m.output(name, m.constant(0, width))
    m.output("attention_ready", m.constant(0, 1))
    m.output("attention_wanted", m.constant(0, 1))
    m.output("scale_data", m.constant(0, 16 * lanes))
    m.output("visit_valid", m.constant(0, 1))
    for name, width in {"data": 32 * lanes, "mask": lanes, "tracked": lanes, **VISIT}.items():
        m.output(f"visit_{name}", m.constant(0, width))
    m.output("row_valid", m.constant(0, 1))
    m.output("row_beat", m.constant(0, ADDRESS_BITS - offset_bits(p.beat)))
    m.output("row_data", m.constant(0, p.beat))
    m.output("row_strobe", m.constant(0, p.beat // 8))
    m.output("rows_pending", m.constant(0, 1))
    return m
