"""bf16 scales of a head's rows, written some at a time as they come, read in words of L."""

from functools import cache

from elastix.compiler.circuit import Memory, Module, concat
from elastix.compiler.processor.step.attention_ports import SCALE_BITS, row_bits, row_room, scales_at_once
from elastix.compiler.processor.step.parameters import StepParameters


@cache
def scale_memory(p: StepParameters, banks: int) -> Module:
    """`read_data`, a cycle after `read_word` (bank above the word): L scales.

    `write` stores, of the scales in `write_data`, one for each row from `write_row` on, or with `single` that row's
    alone; `write_row` is a multiple of their number unless `single`. banks: 1 or 2.
    """
    m = Module(f"scale_memory_{banks}", scale_memory.__doc__, {"max_context": p.max_context, "banks": banks})
    lanes, at_once, bits = p.vector_lanes, scales_at_once(p), row_bits(p)
    place = lanes.bit_length() - 1
    bank_bits = banks.bit_length() - 1
    write, single, row = m.input("write"), m.input("single"), m.input("write_row", bits)
    data = m.input("write_data", SCALE_BITS * at_once)
    word_bits = bits - place + bank_bits
    read_word = m.input("read_word", word_bits)
    word = concat(m.input("write_bank"), row[place:bits]) if bank_bits else row[place:bits]
    if lanes == 1:
        m.unused(single)
    found = list[Memory]()
    for lane in range(lanes):
        memory = Memory(m, f"lane_{lane}", banks * row_room(p) // lanes, SCALE_BITS)
        enable = write
        if lanes > 1:
            alone = row[0:place] == lane
            part = at_once.bit_length() - 1
            together = row[part:place] == lane >> part if part < place else m.constant(1, 1)
            enable = m.named(f"write_{lane}", write & ((single & alone) | (~single & together)))
        source = lane % at_once
        memory.write(word, data[SCALE_BITS * source : SCALE_BITS * (source + 1)], enable)
        found.append(memory)
    m.output("read_data", concat(*reversed([memory.read(read_word) for memory in found])))
    return m
