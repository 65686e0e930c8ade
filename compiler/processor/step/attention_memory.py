"""Memories of small integers that are written some at a time and read another number at a time."""

from functools import cache

from elastix.compiler.circuit import Memory, Module, Signal, concat, select
from elastix.compiler.processor.parameters import index_bits

LATENCY = 2
DISTRIBUTED_WORDS = 32
"""The deepest memory that is made of LUTs."""


def power_of_two(count: int) -> int:
    """The least power of two that is at least `count`."""
    return 1 << (count - 1).bit_length()


@cache
def element_memory(count: int, bits: int, written: int, read: int) -> Module:
    """`count` integers of `bits` bits; `written` of them are written, and `read` of them read, in a cycle.

    Word i of `write_word` has the integers from written·i on, word i of `read_word` those from read·i on; all four
    numbers are powers of two, read < count. `read_data`: LATENCY cycles after `read_word`. A word that is written may
    be asked for from the next cycle on.
    """
    m = Module(
        f"elements_{count}x{bits}_by_{written}_{read}",
        element_memory.__doc__,
        {"count": count, "bits": bits, "written": written, "read": read},
    )
    write, data = m.input("write"), m.input("write_data", bits * written)
    write_word = m.input("write_word", index_bits(count // written))
    read_word = m.input("read_word", index_bits(count // read))
    wider = max(read // written, 1)
    parts, skipped = (wider, wider.bit_length() - 1), (max(written // read, 1)).bit_length() - 1
    depth = count // max(written, read)
    place = write_word[parts[1] : write_word.width]
    line = read_word[skipped : read_word.width]
    later = m.register("line_1", line) if depth <= DISTRIBUTED_WORDS else line
    words = list[Signal]()
    for part in range(parts[0]):
        memory = Memory(m, f"part_{part}", depth, bits * written, latency=int(depth > DISTRIBUTED_WORDS))
        memory.write(place, data, write & (write_word[0 : parts[1]] == part) if parts[1] else write)
        words.append(memory.read(later))
    if skipped:
        which = m.register("which_1", read_word[0:skipped])
        words = [select(which, [words[0][bits * read * k : bits * read * (k + 1)] for k in range(1 << skipped)])]
    m.output("read_data", m.register("read_data_q", concat(*reversed(words))))
    return m
