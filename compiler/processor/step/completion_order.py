"""Instructions that end in different places, told as finished in their order."""

from functools import cache

from elastix.compiler.circuit import Memory, Module, Signal, mux, select

DEPTH = 16
KIND_BITS = 2


@cache
def completion_order(kinds: int) -> Module:
    """`done` (pulse), once for every instruction, in the order in which they were taken.

    taken, kind (below `kinds`, at most 4): an instruction begins. ended: a bit for each kind, an instruction of that
    kind has ended; those of a kind end in order. room (level): another may be taken. clear: forget all.
    """
    m = Module(f"completion_order_of_{kinds}", completion_order.__doc__, {"kinds": kinds})
    clear, taken, kind, ended = m.input("clear"), m.input("taken"), m.input("kind", KIND_BITS), m.input("ended", kinds)
    order = Memory(m, "kinds", DEPTH, KIND_BITS, latency=0)
    bits = order.address_bits
    tail, head = m.state("tail", bits, reset=0), m.state("head", bits, reset=0)
    under_way = m.state("under_way", bits + 1, reset=0)
    order.write(tail, kind, taken)
    next_kind = m.named("next_kind", order.read(head))
    done = m.wire("done_now", 1)
    some = list[Signal]()
    for index in range(kinds):
        count = m.state(f"ended_of_{index}", bits + 1, reset=0)
        takes = done & (next_kind == index)
        count.next(mux(clear, 0, count + ended[index].zext(bits + 1) - takes.zext(bits + 1)))
        some.append(m.named(f"some_of_{index}", count.any()))
    done.assign(under_way.any() & select(next_kind, some))
    tail.next(mux(clear, 0, tail + 1), enable=clear | taken)
    head.next(mux(clear, 0, head + 1), enable=clear | done)
    under_way.next(mux(clear, 0, under_way + taken.zext(bits + 1) - done.zext(bits + 1)))
    m.output("room", ~under_way[bits])
    m.output("done", m.register("done_q", done & ~clear, reset=0))
    return m
