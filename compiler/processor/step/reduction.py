"""From the sum over a pass to a scalar: the root of a mean square, a mean (C19), the reciprocal of a sum (C21)."""

from elastix.compiler.circuit import Module, mux
from elastix.compiler.processor.arithmetic.exponent_add import exponent_add
from elastix.compiler.processor.arithmetic.fp32_add import fp32_add
from elastix.compiler.processor.arithmetic.fp32_multiply import fp32_multiply
from elastix.compiler.processor.arithmetic.integer_to_fp32 import integer_to_fp32
from elastix.compiler.processor.arithmetic.reciprocals import reciprocals
from elastix.compiler.processor.step.instructions import Operation
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.reduction_sum import total_bits
from elastix.compiler.processor.step.vector_timing import Timing

POWERS_OF_D = 24
"""r = recip(D)·2^24 (C21)."""


def reduction(p: StepParameters) -> Module:
    """What an instruction makes of its `total`, written to a scalar register so many cycles after its last word.

    ended: the last word of SQUARES, MEAN or EXPONENTIAL is issued; the instruction's fields are looked at then.
    exponent_write, exponent: of its integers, later. reducing (level): a result is to come, `ended` must wait.
    quiet: no word may be issued in this cycle, so that no maximum is written together with the result.
    write, register, result: to the scalar registers. overflow (pulse): C6 happened on the way.
    """
    timing = Timing(p)
    m = Module("reduction", reduction.__doc__)
    clear, operation = m.input("clear"), m.input("operation", 4)
    # What is said of the instruction stands a cycle longer than its last word.
    ended = m.register("ended_q", m.input("ended") & ~clear, reset=0)
    k = m.register("k_q", m.input("k", 32), enable=ended)
    epsilon = m.register("epsilon_q", m.input("epsilon", 32), enable=ended)
    m.output("register", m.register("register_q", m.input("result_register", 6), enable=ended))
    squares = m.register("of_squares", operation == Operation.SQUARES, enable=ended)
    total = m.input("total", total_bits(p))
    exponent = m.register("exponent_q", m.input("exponent", 16), enable=m.input("exponent_write"))

    # Everything below stands still long enough before the result is written: only the cycles are counted.
    bits = (timing.squares_finished - 1).bit_length()
    cycles = m.constant(timing.squares_finished - 2, bits)
    if timing.attention:
        cycles = mux(operation == Operation.EXPONENTIAL, timing.exponential_finished - 2, cycles)
    left, reducing = m.state("cycles_left", bits), m.state("reducing_q", 1, reset=0)
    write = m.named("write_now", reducing & ~left.any())
    left.next(mux(ended, cycles, left - 1))
    reducing.next(~clear & (ended | (reducing & ~write)))
    m.output("reducing", reducing)
    m.output("quiet", m.register("quiet_q", reducing & (left == timing.maximum_written + 1), reset=0))
    m.output("write", write)

    value = m.instance("to_fp32", integer_to_fp32(total.width, signed="mean" in p.features), value=total)["y"]
    scaled = m.instance("scale", fp32_multiply(), a=value, b=k)
    move, by = scaled["y"], mux(squares, exponent << 1, exponent)
    inverse_of, inverse_y = m.wire("inverse_of", 32), m.wire("inverse_y", 32)
    overflow_before = scaled["overflow"]
    if timing.attention:
        powers = m.register("of_exponential", operation == Operation.EXPONENTIAL, enable=ended)
        move, by = mux(powers, inverse_y, move), mux(powers, POWERS_OF_D, by)
        inverted = squares | powers
        overflow_before = overflow_before & ~powers
    else:
        inverted = squares
    moved = m.instance("move", exponent_add(), p=move, e=by)
    square = m.instance("add_epsilon", fp32_add(), a=moved["y"], b=epsilon)
    inverse_of.assign(mux(squares, square["y"], value) if timing.attention else square["y"])
    inverse = m.instance("inverse", reciprocals(), x=inverse_of, root=squares)
    inverse_y.assign(inverse["y"])
    m.output("result", mux(squares, inverse_y, moved["y"]))
    overflow = overflow_before | moved["overflow"] | (squares & square["overflow"]) | (inverted & inverse["overflow"])
    m.output("overflow", write & overflow)
    return m
