"""Functions in tables of 256 parabolas (C15)."""

from collections.abc import Sequence
from functools import cache
from typing import Final

from elastix.compiler.circuit import Module, concat, rom
from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.functions import OFFSET_BITS, SEGMENTS, coefficients
from elastix.compiler.processor.pipeline import delay_stages

LATENCY: Final = 6
INDEX_BITS: Final = 8
RESULT_BITS: Final = 25


@cache
def function_table(names: tuple[str, ...]) -> Module:
    """`y` = Y of segment `index` at `offset`/4096, unsigned, 25 bits: LATENCY clocks later, one a clock.

    names: of compiler/numbers/functions.py; if there is more than one, the input `which` is the place among them.
    Raises ElastixError for a table that does not fall, or that gives a Y below 0: the signs are wired in.
    """
    m = Module(
        f"function_table_{'_'.join(names)}",
        f"y = function({', '.join(names)}) at a place in a segment, {LATENCY} clocks later, one a clock.",
        {"names": ", ".join(names)},
    )
    index, offset = m.input("index", INDEX_BITS), m.input("offset", OFFSET_BITS)
    tables = (len(names) - 1).bit_length()
    address = concat(m.input("which", tables), index) if tables else index
    offsets = delay_stages(m, "offset", offset, 4)

    # 1, 2. Falling and convex: Y = c0 − ⌈(fall − ⌊curve·d⌋)·d⌉, in units of the offset, with fall = −c1 and curve = c2.
    rows = [tuple(map(abs, row)) for name in names for row in _checked(name)]
    rows += [(0, 0, 0)] * ((1 << tables) * SEGMENTS - len(rows))
    start_bits, fall_bits, curve_bits = (max(row[k] for row in rows).bit_length() for k in range(3))
    words = [(start << fall_bits | fall) << curve_bits | curve for start, fall, curve in rows]
    width = start_bits + fall_bits + curve_bits
    read = m.instance("rows", rom(f"coefficients_{'_'.join(names)}", words, width), address=address)["data"]
    row = m.register("row", read)  # block RAM and multiplier are too slow to stand in one stage
    starts = delay_stages(m, "start", row[fall_bits + curve_bits : width], 3)
    fall, curve = row[curve_bits : fall_bits + curve_bits], row[0:curve_bits]

    # 3
    curved = m.register("curved", curve.zext(curve_bits + OFFSET_BITS) * offsets[2].zext(curve_bits + OFFSET_BITS))
    m.unused(curved[0:OFFSET_BITS])
    fall_3 = m.register("fall_3", fall)
    # 4
    slope = m.register("slope", fall_3 - curved[OFFSET_BITS : curve_bits + OFFSET_BITS].zext(fall_bits))
    # 5
    fallen = m.register("fallen", slope.zext(fall_bits + OFFSET_BITS) * offsets[4].zext(fall_bits + OFFSET_BITS))
    # 6: rounding the fall up rounds Y down. x − ⌈f⌉ = x + ~⌊f⌋ + (f is whole), with a place below for the carry.
    whole = m.named("whole", ~fallen[0:OFFSET_BITS].any())
    steps = m.named("steps", fallen[OFFSET_BITS : fall_bits + OFFSET_BITS].zext(RESULT_BITS))
    value = m.named("value", concat(starts[3].zext(RESULT_BITS), m.constant(1, 1)) + concat(~steps, whole))
    m.unused(value[0])
    m.output("y", m.register("y_q", value[1 : RESULT_BITS + 1]))
    return m


def _checked(name: str) -> Sequence[tuple[int, int, int]]:
    found = coefficients(name)
    c0, c1, c2 = found.T
    if (c2 < 0).any() or (c1 + c2 > 0).any() or (c0 + c1 + c2 < 0).any() or c0.max() >> RESULT_BITS:
        raise ElastixError(
            f"table {name}, which rises, bends down or ends below 0 somewhere", wanted="a falling, convex function ≥ 0"
        )
    return [(int(row[0]), int(row[1]), int(row[2])) for row in found]
