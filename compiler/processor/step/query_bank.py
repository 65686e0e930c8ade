"""Quantized queries of a group: two banks of them, written by the vector engine, read some elements a cycle."""

from functools import cache

from elastix.compiler.circuit import Module, concat
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.step.attention_memory import element_memory
from elastix.compiler.processor.step.attention_ports import QUANTIZED_BITS, lanes_of
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters


@cache
def query_bank(p: StepParameters) -> Module:
    """`read_data`, two cycles after `read_bank` and `read_chunk`: w elements of every query, query 0's lowest.

    `write` stores L elements from element `write_index` = query · Dh + element (a multiple of L) of `write_bank` on.
    """
    m = Module("query_bank", query_bank.__doc__, {"group": p.group, "head_dim": p.head_dim})
    written, read = p.vector_lanes, lanes_of(p)
    write, write_bank = m.input("write"), m.input("write_bank")
    index, data = m.input("write_index", ELEMENT_BITS), m.input("write_data", QUANTIZED_BITS * written)
    read_bank, chunk = m.input("read_bank"), m.input("read_chunk", index_bits(p.head_dim // read))
    place, query_at = written.bit_length() - 1, p.head_dim.bit_length() - 1
    inside = m.named("word", concat(write_bank, index[place:query_at]) if place < query_at else write_bank)
    query = index[query_at : query_at + index_bits(p.group)]
    m.unused(index)
    if read == p.head_dim:
        m.unused(chunk)
    words = [
        m.instance(
            f"query_{j}",
            element_memory(2 * p.head_dim, QUANTIZED_BITS, written, read),
            write=write & (query == j),
            write_word=inside,
            write_data=data,
            read_word=concat(read_bank, chunk) if read < p.head_dim else read_bank,
        )["read_data"]
        for j in range(p.group)
    ]
    m.output("read_data", concat(*reversed(words)))
    return m
