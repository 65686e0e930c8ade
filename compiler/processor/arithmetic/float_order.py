"""fp32 numbers in order, compared as integers (C22). No clocks; numbers must be flushed (C5), as results here are."""

from typing import Final

from elastix.compiler.circuit import Signal, concat, mux

LEAST: Final = 0xFF7FFFFF
"""What a signed maximum starts from: the least finite fp32. One of magnitudes starts from 0."""


def flushed(x: Signal) -> Signal:
    """C5: a biased exponent of 0 becomes zero of its sign."""
    return concat(x[23:32], x[0:23] & x[23:31].any().replicate(23))


def magnitude(x: Signal) -> Signal:
    """|x| as an integer of 31 bits that orders as |x| does, and is |x| as fp32 with a 0 above it."""
    return x[0:31]


def larger_magnitude(a: Signal, b: Signal) -> Signal:
    """max(|a|, |b|) as fp32."""
    larger = mux(magnitude(a) > magnitude(b), magnitude(a), magnitude(b))
    return larger.zext(32)


def order_key(x: Signal) -> Signal:
    """An unsigned integer of 32 bits that orders as x does, −0 being equal to +0."""
    negative = x[31] & x[23:31].any()
    return concat(~negative, x[0:31] ^ negative.replicate(31))


def signed_greater(a: Signal, b: Signal) -> Signal:
    """One bit: a > b."""
    return order_key(a) > order_key(b)
