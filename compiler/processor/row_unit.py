"""One row of a block for one token lane: plane sums, group sums, scales, row sum."""

from elastix.compiler.circuit import Module, mux
from elastix.compiler.processor import dot_tree, group_accumulator, scale_multiplier
from elastix.compiler.processor.parameters import COLUMNS, ProcessorParameters

GROUP_SUM_AT = dot_tree.LATENCY + group_accumulator.LATENCY
ADD_AT = dot_tree.LATENCY + group_accumulator.ADD_AT
PRODUCT_AT = GROUP_SUM_AT + scale_multiplier.LATENCY
LATENCY = PRODUCT_AT + 1


def row_unit(parameters: ProcessorParameters) -> Module:
    """`sum` = Σ scale · group sum (C2), LATENCY cycles after the group's last `weight`.

    Relative to `weight`, `x`, `pairs`: `digit`, `fine` and the x sums come dot_tree.LATENCY cycles later; `add` and the
    plane and group flags ADD_AT; `scale` GROUP_SUM_AT; `accumulate` PRODUCT_AT. `clear` comes with `sum` of a block's
    last group, and before the first block; the header between two blocks leaves it a cycle.
    """
    m, a = Module("row_unit", "One row of a block for one token."), parameters.activation_bits
    weight, x = m.input("weight", COLUMNS), m.input("x", parameters.tile_bits)
    pairs = m.input("pairs", (a + 1) * (COLUMNS // 2))
    sums = {"x_sum": m.input("x_sum", parameters.sum_bits), "x_fine": m.input("x_fine", parameters.sum_bits + 2)}
    zero = {"digit": m.input("digit", 2), "fine": m.input("fine")}
    scale = m.input("scale", 8)
    flags = {name: m.input(name) for name in ("add", "first_of_plane", "first_of_group")}
    accumulate, clear = m.input("accumulate"), m.input("clear")
    tree = m.instance("tree", dot_tree.dot_tree(parameters), weight=weight, x=x, pairs=pairs)
    accumulator = group_accumulator.group_accumulator(parameters)
    group = m.instance("group", accumulator, total=tree["total"], **zero, **sums, **flags)
    multiplier = scale_multiplier.scale_multiplier(parameters)
    product = m.instance("scaled", multiplier, group_sum=group["group_sum"], scale=scale)["product"]
    total = m.state("row_sum", parameters.accumulator_bits)
    wide = product.sext(total.width) if product.width < total.width else product[0 : total.width]
    total.next(mux(clear, 0, total + wide), enable=accumulate | clear)
    m.output("sum", total)
    return m
