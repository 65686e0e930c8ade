"""Small queues: in LUT memory, whose first word is there at once, or in block RAM for wide words."""

from functools import cache

from elastix.compiler.circuit import Memory, Module, Signal, mux

QUEUE_DEPTH = 16
"""Words: LUT memories have so many places anyway."""


@cache
def queue(width: int) -> Module:
    """QUEUE_DEPTH words of `width` bits.

    push, push_data, while `room`: in. valid, data, and `take`, only while valid: out. clear (pulse): empty; what is
    pushed then is lost.
    """
    m = Module(f"queue_{QUEUE_DEPTH}x{width}", queue.__doc__, {"width": width})
    _, _, some = _words(m, width, latency=0)
    m.output("valid", some)
    return m


@cache
def block_queue(width: int) -> Module:
    """QUEUE_DEPTH words of `width` bits in block RAM, a word every other cycle.

    Ports as those of `queue`, and `empty`. `valid` comes two cycles after a push, and falls for a cycle after `take`.
    """
    m = Module(f"block_queue_{QUEUE_DEPTH}x{width}", block_queue.__doc__, {"width": width})
    # The first word is read in every cycle, by its register alone: the RAMs are many, and lie far apart.
    clear, take, some = _words(m, width, latency=1)
    valid = m.state("valid_q", 1, reset=0)
    valid.next(some & ~take & ~clear)
    m.output("valid", valid)
    m.output("empty", ~some)
    return m


def _words(m: Module, width: int, latency: int) -> tuple[Signal, Signal, Signal]:
    """The words and their count: all ports but `valid`. Returns `clear`, `take`, and whether there is a word."""
    clear = m.input("clear")
    push, push_data, take = m.input("push"), m.input("push_data", width), m.input("take")
    memory = Memory(m, "words", QUEUE_DEPTH, width, latency=latency)
    bits = memory.address_bits
    count = m.state("count", bits + 1, reset=0)
    tail, head = m.state("tail", bits, reset=0), m.state("head", bits, reset=0)
    tail.next(mux(clear, 0, tail + 1), enable=clear | push)
    head.next(mux(clear, 0, head + 1), enable=clear | take)
    count.next(mux(clear, 0, count + push.zext(bits + 1) - take.zext(bits + 1)))
    memory.write(tail, push_data, push)
    m.output("room", ~count[-1])
    m.output("data", memory.read(head))
    return clear, take, m.named("some", count.any())
