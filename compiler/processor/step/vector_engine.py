"""Passes over vector memory, operations on results of the other engines, reductions, and quantizing."""

from dataclasses import asdict

from elastix.compiler.circuit import Module
from elastix.compiler.processor.step.attention_ports import input_group, quantized_ports, scale_word_bits
from elastix.compiler.processor.step.fields import INSTRUCTION_BITS
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters
from elastix.compiler.processor.step.vector_ports import activation_ports, load_ports, visitor_ports


def vector_engine(p: StepParameters) -> Module:
    """The ports of README.md: VECTOR instructions, visiting words of two units, the loader's words.

    matrix_*, attention_*: visiting words, and a pulse `visitor_written_<unit>` when all of one with `last` is where
    later instructions find it. load_*: the loader's words; one is written in the cycle in which it passes.
    scale_word, scale_bank: asks for L value scales, which come two cycles later at `scale_data`. quantized_*: words for
    the attention engine. x_*, e_*: tiles and exponents for the matrix engines' buffers. overflow (pulse): C6 happened.
    """
    m = Module("vector_engine", vector_engine.__doc__, asdict(p))
    m.input("clear")
    m.input("begin")
    m.unused(m.input("instruction", INSTRUCTION_BITS))
    m.unused(m.input("position", ELEMENT_BITS))
    input_group(m, "matrix", visitor_ports(p))
    input_group(m, "attention", visitor_ports(p))
    input_group(m, "load", load_ports(p))
    m.input("scale_data", 16 * p.vector_lanes)
    outputs = {"taken": 1, "done_vector": 1, "overflow": 1, "matrix_ready": 1, "attention_ready": 1, "load_ready": 1}
    outputs |= {"visitor_written_matrix": 1, "visitor_written_attention": 1}
    outputs |= {"scale_word": scale_word_bits(p), "scale_bank": 1}
    outputs |= {f"quantized_{name}": width for name, width in quantized_ports(p).items()} | activation_ports(p)
    for name, width in outputs.items():
        m.output(name, m.constant(0, width))
    return m
