"""The key and value rows of this run's own tokens: codes and scales, as they are written to the cache."""

from functools import cache

from elastix.compiler.circuit import Memory, Module, Signal, concat
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.step.attention_memory import element_memory, power_of_two
from elastix.compiler.processor.step.attention_ports import (
    CODE_BITS,
    SCALE_BITS,
    chunks_of,
    lanes_of,
)
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters


def slot_bits(p: StepParameters) -> int:
    """Bits of the number of a row: token, head, and whether it is values."""
    return (power_of_two(p.lanes) * power_of_two(p.kv_heads) * 2 - 1).bit_length()


def slot_of(p: StepParameters, lane: Signal, head: Signal, is_value: Signal) -> Signal:
    """The row's number, from LANE_BITS, HEAD_BITS and a bit."""
    parts = [lane[0 : index_bits(p.lanes)]] if p.lanes > 1 else []
    parts += [head[0 : index_bits(p.kv_heads)]] if p.kv_heads > 1 else []
    return concat(*parts, is_value)


@cache
def current_rows(p: StepParameters) -> Module:
    """`read_codes`, two cycles after `read_slot` and `read_chunk`: w codes. `scale`, at once: that of `scale_slot`.

    `write` stores L codes from element `write_index` (a multiple of L) of row `write_slot` on, and the row's scale.
    """
    m = Module("current_rows", current_rows.__doc__, {"lanes": p.lanes, "kv_heads": p.kv_heads, "head_dim": p.head_dim})
    slots, bits = 1 << slot_bits(p), slot_bits(p)
    written, read = p.vector_lanes, lanes_of(p)
    write, slot = m.input("write"), m.input("write_slot", bits)
    index, data = m.input("write_index", ELEMENT_BITS), m.input("write_data", CODE_BITS * written)
    m.unused(index)
    place, top = written.bit_length() - 1, p.head_dim.bit_length() - 1
    read_slot, chunk = m.input("read_slot", bits), m.input("read_chunk", index_bits(chunks_of(p)))
    if chunks_of(p) == 1:
        m.unused(chunk)
    codes = m.instance(
        "codes",
        element_memory(slots * p.head_dim, CODE_BITS, written, read),
        write=write,
        write_word=concat(slot, index[place:top]) if place < top else slot,
        write_data=data,
        read_word=concat(read_slot, chunk) if chunks_of(p) > 1 else read_slot,
    )
    scales = Memory(m, "scales", slots, SCALE_BITS, latency=0)
    scales.write(slot, m.input("write_scale", SCALE_BITS), write)
    m.output("read_codes", codes["read_data"])
    m.output("scale", scales.read(m.input("scale_slot", bits)))
    return m
