"""Values as they were some clocks ago, in LUT memory instead of long rows of registers."""

from functools import cache

from elastix.compiler.circuit import Memory, Module, mux
from elastix.compiler.errors import ElastixError

SHORTEST = 3


@cache
def delay_line(cycles: int, width: int) -> Module:
    """`delayed` is `value` (`width` bits) of `cycles` clocks ago, SHORTEST or more; undefined until then.

    Raises ElastixError for fewer cycles.
    """
    if cycles < SHORTEST:
        raise ElastixError(f"a delay line of {cycles} cycles", wanted=f"{SHORTEST} or more", do="use registers")
    m = Module(f"delay_line_{cycles}x{width}", delay_line.__doc__, {"cycles": cycles, "width": width})
    value = m.input("value", width)
    words = Memory(m, "words", cycles - 1, width, latency=0)
    place = m.state("place", words.address_bits, reset=0)
    place.next(mux(place == cycles - 2, 0, place + 1))
    # What is read is what was written a round before; the register at the end is the last of the cycles.
    words.write(place, value, m.constant(1, 1))
    m.output("delayed", m.register("delayed_q", words.read(place)))
    return m
