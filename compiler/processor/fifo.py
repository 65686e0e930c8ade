"""A synchronous FIFO in block RAM whose first word falls through."""

from functools import cache

from elastix.compiler.circuit import Memory, Module, mux
from elastix.compiler.errors import ElastixError


@cache
def fifo(depth: int, width: int) -> Module:
    """A FIFO of `depth` words (a power of two, >= 2) of `width` bits; one push and one pop a cycle.

    push, push_data: in. valid, data, ready: out, as AXI streams. clear (pulse): empty. There is no `full`: who pushes
    counts what is inside, the word at the output included. A word is at the output three cycles after its push.
    """
    if depth < 2 or depth & (depth - 1):
        raise ElastixError(f"a FIFO of {depth} words", wanted="a power of two, at least 2")
    m = Module(f"fifo_{depth}x{width}", fifo.__doc__, {"depth": depth, "width": width})
    clear = m.input("clear")
    push, push_data = m.input("push"), m.input("push_data", width)
    ready = m.input("ready")

    memory = Memory(m, "words", depth, width)
    bits = memory.address_bits
    stored = m.state("stored", bits + 1, reset=0)
    fetched, valid = m.state("fetched", 1, reset=0), m.state("valid_q", 1, reset=0)
    write_at, read_at = m.state("write_at", bits, reset=0), m.state("read_at", bits, reset=0)

    load = m.named("load", fetched & (~valid | ready))
    fetch = m.named("fetch", stored.any() & (~fetched | load))
    write_at.next(mux(clear, 0, write_at + 1), enable=push | clear)
    read_at.next(mux(clear, 0, read_at + 1), enable=fetch | clear)
    stored.next(mux(clear, 0, stored + push.zext(bits + 1) - fetch.zext(bits + 1)))
    fetched.next(~clear & (fetch | (fetched & ~load)))
    valid.next(~clear & (load | (valid & ~ready)))

    memory.write(write_at, push_data, push)
    # The RAM's output register always reads; a word that waits there is read again from the address it came from.
    word = memory.read(mux(fetch, read_at, m.register("fetched_from", read_at, enable=fetch, reset=0)))
    m.output("valid", valid)
    m.output("data", m.register("data_q", word, enable=load))
    return m
