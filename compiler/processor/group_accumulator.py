"""The sum of one row and group (C1), from its planes, most significant first."""

from elastix.compiler.circuit import Module, mux, select
from elastix.compiler.processor.parameters import ProcessorParameters

LATENCY = 2


def group_accumulator(parameters: ProcessorParameters) -> Module:
    """Adds 2·total − digit·x_sum to d, which doubles when a plane begins and is zero before a group begins.

    `digit` 0 … 3 (C1). `total`, `digit` and the sums come one cycle before `add` and the two flags;
    LATENCY cycles after `total`, `group_sum` is d with it, A+17 bits.
    """
    m, sum_bits = Module("group_accumulator", "Sum of one row and group from its bit planes."), parameters.sum_bits
    total, digit = m.input("total", sum_bits), m.input("digit", 2)
    x_sum, x_sum_3 = m.input("x_sum", sum_bits), m.input("x_sum_3", sum_bits + 2)
    add, first_of_plane, first_of_group = m.input("add"), m.input("first_of_plane"), m.input("first_of_group")
    width = sum_bits + 3
    once = x_sum.sext(width)
    zero_point = select(digit, [m.constant(0, width), once, once << 1, x_sum_3.sext(width)])
    term = m.register("term", (total.sext(width) << 1) - zero_point)
    d = m.state("group_sum_now", parameters.group_sum_bits)
    before = mux(first_of_group, 0, mux(first_of_plane, d << 1, d))
    d.next(before + term.sext(parameters.group_sum_bits), enable=add)
    m.output("group_sum", d)
    return m
