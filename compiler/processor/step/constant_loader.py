"""LOAD: fp32 values out of a stream, flushed (C5), into words of L elements."""

from dataclasses import asdict

from elastix.compiler.circuit import Module, concat, mux
from elastix.compiler.processor.arithmetic.float_order import flushed
from elastix.compiler.processor.parameters import COLUMNS, index_bits
from elastix.compiler.processor.step.fields import INSTRUCTION_BITS, field
from elastix.compiler.processor.step.instructions import Opcode, Target
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters
from elastix.compiler.processor.step.word_lanes import word_lanes


def constant_loader(p: StepParameters) -> Module:
    """start (pulse), instruction: a LOAD begins. in_*: its beats; out_*: words, as load_* of the loader.

    done (level, from the last word to the next start).
    """
    m = Module("constant_loader", constant_loader.__doc__, asdict(p))
    values, lanes = p.beat // COLUMNS, p.vector_lanes
    clear, start = m.input("clear"), m.input("start")
    instruction = m.input("instruction", INSTRUCTION_BITS)
    m.unused(instruction)
    in_valid, in_data, out_ready = m.input("in_valid"), m.input("in_data", p.beat), m.input("out_ready")
    words, width = max(1, values // lanes), min(values, lanes)

    full, left = m.state("full", 1, reset=0), m.state("left", ELEMENT_BITS, reset=0)
    ahead_full = m.state("ahead_full", 1, reset=0)
    constant = m.register("to_constants", field(instruction, Opcode.LOAD, "target") == Target.CONSTANT, enable=start)
    sent = m.named("sent", full & out_ready)
    word = m.state("word", index_bits(words), reset=0)
    count = field(instruction, Opcode.LOAD, "count")
    # These follow `left`, as registers: the memory waits for them.
    ends, some_left = m.state("ends", 1), m.state("some_left", 1, reset=0)
    leaves = m.named("leaves", sent & (ends | (word == words - 1)))
    free = m.named("free", ~full | leaves)
    # A beat may come ahead of the one whose words leave: so the stream hears from registers whether one may come.
    within, bits = index_bits(values), ELEMENT_BITS - index_bits(values) + 1
    beats = m.named("beats", count[within:].zext(bits) + count[:within].any().zext(bits))
    wanted, some_wanted = m.state("wanted", bits), m.state("some_wanted", 1, reset=0)
    ready = m.named("ready", some_wanted & ~ahead_full)
    load = m.named("load", in_valid & ready)
    m.output("in_ready", ready)
    wanted.next(mux(start, beats, wanted - 1), enable=start | load)
    some_wanted.next(~clear & mux(start, count.any(), wanted != 1), enable=clear | start | load)
    there = m.named("there", ahead_full | load)
    ahead_full.next(~clear & ~start & there & ~free)
    full.next(~clear & ~start & (there | ~free))
    word.next(mux(start | leaves, 0, word + 1) if words > 1 else m.constant(0, 1), enable=start | sent)
    left.next(mux(start, count, mux(ends, 0, left - width)), enable=start | sent)
    ends.next(mux(start, count <= width, ends | (left <= 2 * width)), enable=start | sent)
    some_left.next(mux(start, count.any(), ~ends), enable=start | sent)
    data = m.state("data", p.beat)
    come = mux(ahead_full, m.register("ahead", in_data, enable=load), in_data)
    data.next(mux(free, come, data >> 32 * width) if words > 1 else come, enable=~full | sent)
    to = m.state("to", ELEMENT_BITS)
    to.next(mux(start, field(instruction, Opcode.LOAD, "to"), to + width), enable=start | sent)

    elements = concat(*reversed([flushed(data[32 * k : 32 * k + 32]) for k in range(width)]))
    counted = concat(*reversed([left > k for k in range(width)]))
    word_data, mask = word_lanes(m, p, width, to, elements, counted)
    m.output("out_valid", full)
    m.output("out_target", constant)
    m.output("out_to", to & ((1 << ELEMENT_BITS) - lanes))
    m.output("out_mask", mask)
    m.output("out_data", word_data)
    m.output("done", ~some_left & ~start)
    return m
