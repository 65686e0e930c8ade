"""One bit plane of 32 columns: the sum of the activations whose weight bit is 1."""

from elastix.compiler.circuit import Module, Signal, mux
from elastix.compiler.processor.parameters import COLUMNS, ProcessorParameters

LATENCY = 4


def dot_tree(parameters: ProcessorParameters) -> Module:
    """LATENCY cycles after `weight` (32 bits), `x` and `pairs`: `total` = Σ weight[k]·x[k], A+5 bits.

    A pair of columns picks 0, x[2i], x[2i+1] or their shared sum, which saves half of the first adders in every row.
    """
    a, m = parameters.activation_bits, Module("dot_tree", "Sum of the activations whose weight bit is 1.")
    weight, x = m.input("weight", COLUMNS), m.input("x", parameters.tile_bits)
    pairs = m.input("pairs", (a + 1) * (COLUMNS // 2))
    chosen = list[Signal]()
    for pair in range(COLUMNS // 2):
        even, odd = (x[a * k : a * (k + 1)].sext(a + 1) for k in (2 * pair, 2 * pair + 1))
        both = pairs[(a + 1) * pair : (a + 1) * (pair + 1)]
        low, high = weight[2 * pair], weight[2 * pair + 1]
        chosen.append(m.named(f"pick_{pair}", mux(high, mux(low, both, odd), mux(low, even, 0))))
    level = 1
    while len(chosen) > 1:
        width = chosen[0].width + 1
        sums = [left.sext(width) + right.sext(width) for left, right in zip(chosen[0::2], chosen[1::2], strict=True)]
        chosen = [m.register(f"sum_{level}_{index}", total) for index, total in enumerate(sums)]
        level += 1
    m.output("total", chosen[0])
    return m
