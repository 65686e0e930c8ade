"""Division by a constant, a bit a cycle, for numbers of channels that are no power of two."""

from functools import cache

from elastix.compiler.circuit import Module, concat, mux

DIVIDEND_BITS = 32


@cache
def divider(divisor: int) -> Module:
    """quotient and remainder of `dividend` (32 bits) by `divisor`, `done` (level) 33 cycles after the pulse `start`."""
    m = Module(f"divide_by_{divisor}", divider.__doc__, {"divisor": divisor})
    start, dividend = m.input("start"), m.input("dividend", DIVIDEND_BITS)
    bits = divisor.bit_length()
    left = m.state("left", 6, reset=0)
    working = m.named("working", left.any())
    remainder, quotient = m.state("remainder_q", bits, reset=0), m.state("quotient_q", DIVIDEND_BITS, reset=0)
    # The quotient's register holds the dividend's bits that are still to come, above those of the quotient.
    partial = concat(remainder, quotient[-1])
    fits = m.named("fits", partial >= divisor)
    remainder.next(mux(start, 0, mux(fits, partial - divisor, partial)[0:bits]), enable=start | working)
    quotient.next(mux(start, dividend, concat(quotient[0:-1], fits)), enable=start | working)
    left.next(mux(start, DIVIDEND_BITS, left - 1), enable=start | working)
    m.output("quotient", quotient)
    m.output("remainder", remainder)
    m.output("done", ~start & ~working)
    return m
