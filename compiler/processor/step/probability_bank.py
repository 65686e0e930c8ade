"""Quantized weights of rows (C21): two banks, written by the vector engine, read a row of every query at a time."""

from functools import cache

from elastix.compiler.circuit import Module, concat
from elastix.compiler.processor.step.attention_memory import element_memory
from elastix.compiler.processor.step.attention_ports import HEAD_BITS, QUANTIZED_BITS, row_bits, row_room
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters


@cache
def probability_bank(p: StepParameters) -> Module:
    """`read_data`, two cycles after `read_bank` and `read_row`: the row's integer of every query, query 0's lowest.

    `write` stores L integers of query `write_query` for the rows from `write_index` (a multiple of L) on.
    """
    m = Module("probability_bank", probability_bank.__doc__, {"group": p.group, "max_context": p.max_context})
    lanes, rows = p.vector_lanes, row_room(p)
    write, write_bank, query = m.input("write"), m.input("write_bank"), m.input("write_query", HEAD_BITS)
    index, data = m.input("write_index", ELEMENT_BITS), m.input("write_data", QUANTIZED_BITS * lanes)
    read_bank, read_row = m.input("read_bank"), m.input("read_row", row_bits(p))
    place = lanes.bit_length() - 1
    m.unused(index)
    word = m.named("word", concat(write_bank, index[place : row_bits(p)]))
    element = m.named("element", concat(read_bank, read_row))
    words = [
        m.instance(
            f"query_{j}",
            element_memory(2 * rows, QUANTIZED_BITS, lanes, 1),
            write=write & (query == j),
            write_word=word,
            write_data=data,
            read_word=element,
        )["read_data"]
        for j in range(p.group)
    ]
    m.output("read_data", concat(*reversed(words)))
    return m
