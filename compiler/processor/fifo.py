"""A synchronous FIFO in block RAM whose first word falls through."""

from functools import cache

from elastix.compiler.circuit import Memory, Module, mux
from elastix.compiler.errors import ElastixError

AHEAD = 8
"""Words that wait behind the block RAM: more than are under way, so that one can leave every cycle."""


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
    write_at, read_at = m.state("write_at", bits, reset=0), m.state("read_at", bits, reset=0)
    # Words are fetched ahead into LUT RAM, as many as have a place: so `ready` reaches its few counters and none of
    # the block RAM's addresses, which lie far apart.
    ahead = Memory(m, "ahead", AHEAD, width, latency=0)
    near = ahead.address_bits
    promised = m.state("promised", near + 1, reset=0)  # words there or on their way
    put_at, take_at = m.state("put_at", near, reset=0), m.state("take_at", near, reset=0)
    come, valid = m.state("come", 1, reset=0), m.state("valid_q", 1, reset=0)

    fetch = m.named("fetch", stored.any() & ~promised[-1])
    taken = m.named("taken", valid & ready)
    write_at.next(mux(clear, 0, write_at + 1), enable=push | clear)
    read_at.next(mux(clear, 0, read_at + 1), enable=fetch | clear)
    stored.next(mux(clear, 0, stored + push.zext(bits + 1) - fetch.zext(bits + 1)))
    promised.next(mux(clear, 0, promised + fetch.zext(near + 1) - taken.zext(near + 1)))
    come.next(fetch & ~clear)
    put_at.next(mux(clear, 0, put_at + 1), enable=come | clear)
    take_at.next(mux(clear, 0, take_at + 1), enable=taken | clear)
    valid.next(~clear & (come | (promised > 1) | (valid & ~taken)))

    memory.write(write_at, push_data, push)
    ahead.write(put_at, memory.read(read_at), come)
    m.output("valid", valid)
    m.output("data", ahead.read(take_at))
    return m
