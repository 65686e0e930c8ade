"""Leading zeros counted and shifted out, in two stages."""

from dataclasses import dataclass
from typing import Final

from elastix.compiler.circuit import Module, Signal, concat, mux

LATENCY: Final = 2
_GROUP = 8


@dataclass(frozen=True)
class Normalized:
    """value: as wide as it was, its top bit 1 unless it is zero; shift: by how much it was shifted up.

    coarse: the value one clock earlier, which the last `reach` places are still missing from.
    """

    value: Signal
    shift: Signal
    coarse: Signal
    reach: int


def normalize(m: Module, value: Signal) -> Normalized:
    """`value` (at most 64 bits) shifted up as far as it goes, LATENCY clocks later.

    First by whole groups of bits, by flags that say which groups hold a 1; then by the rest.
    """
    ends = range(value.width, 0, -_GROUP)
    filled = [m.named(f"group_{n}_filled", value[max(end - _GROUP, 0) : end].any()) for n, end in enumerate(ends)]
    counts = list[Signal]()
    for step in (4, 2, 1):
        if step >= len(filled):
            continue
        empty = m.named(f"first_{step}_groups_empty", ~concat(*filled[:step]).any())
        value = m.named(f"shifted_by_{step}_groups", mux(empty, value << step * _GROUP, value))
        after = [*filled[step:], *[m.constant(0, 1)] * step]
        filled = [
            m.named(f"group_{n}_after_{step}", mux(empty, later, now))
            for n, (now, later) in enumerate(zip(filled, after, strict=True))
        ]
        counts.append(empty)
    coarse = value = m.register("coarsely_normalized", value)
    counts = [m.register("coarse_shift", concat(*counts))]
    step = _GROUP // 2
    while step:
        empty = m.named(f"top_{step}_empty", ~value[value.width - step : value.width].any())
        value = m.named(f"shifted_by_{step}", mux(empty, value << step, value))
        counts.append(empty)
        step //= 2
    return Normalized(m.register("normalized", value), m.register("normal_shift", concat(*counts)), coarse, _GROUP - 1)
