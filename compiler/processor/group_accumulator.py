"""The sum of one row and group (C1), from its planes, most significant first."""

from elastix.compiler.circuit import Module, concat, mux
from elastix.compiler.processor.parameters import ProcessorParameters

LATENCY = 4
ADD_AT = 3


def group_accumulator(parameters: ProcessorParameters) -> Module:
    """Adds 16·total − 8·digit·x_sum − fine·x_fine to d, which doubles when a plane begins and is zero before a group.

    `digit` 0 … 3, `fine` 0 or 1 (C1); `x_fine` is 8·2^−n·x_sum, n fine bits in all. `add` and the two flags come
    ADD_AT cycles after `total`, `digit`, `fine` and the sums; LATENCY cycles after those, `group_sum` is d with them.

    What the zero point takes away passes through registers that a digit of 0 clears, which costs no logic.
    """
    m, sum_bits = Module("group_accumulator", "Sum of one row and group from its bit planes."), parameters.sum_bits
    total, digit, fine = m.input("total", sum_bits), m.input("digit", 2), m.input("fine")
    x_sum, x_fine = m.input("x_sum", sum_bits), m.input("x_fine", sum_bits + 2)
    add, first_of_plane, first_of_group = m.input("add"), m.input("first_of_plane"), m.input("first_of_group")
    total_1 = m.register("total_1", total)
    once = m.register("once", mux(digit[0], x_sum, 0))
    twice = m.register("twice", mux(digit[1], x_sum, 0))
    fine_part = m.register("fine_part", mux(fine, x_fine, 0))

    # A plane's sum and 2·digit[1]·x_sum are multiples of 16; both lie within Σ|x|.
    above = m.register("above", total_1.sext(sum_bits + 1) - twice.sext(sum_bits + 1))
    below = m.register("below", (once.sext(sum_bits + 4) << 3) + fine_part.sext(sum_bits + 4))
    width = sum_bits + 5
    term = m.register("term", concat(above, m.constant(0, 4)) - below.sext(width))
    d = m.state("group_sum_now", parameters.group_sum_bits)
    before = mux(first_of_group, 0, mux(first_of_plane, d << 1, d))
    d.next(before + term.sext(parameters.group_sum_bits), enable=add)
    m.output("group_sum", d)
    return m
