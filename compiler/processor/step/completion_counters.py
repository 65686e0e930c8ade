"""How many instructions each unit has finished."""

from functools import cache

from elastix.compiler.circuit import Module, mux
from elastix.compiler.processor.step.instructions import Unit

FINISHED_BITS = 16


@cache
def completion_counters() -> Module:
    """How many instructions of this run each unit has finished.

    done_<unit> (pulses): one by the unit; skipped_<unit>: one that was left out; never both. clear (pulse): a new run.
    """
    m = Module("completion_counters", completion_counters.__doc__)
    clear = m.input("clear")
    for unit in Unit:
        name = unit.name.lower()
        done = m.named(f"finishes_{name}", m.input(f"done_{name}") | m.input(f"skipped_{name}"))
        count = m.state(f"count_{name}", FINISHED_BITS, reset=0)
        count.next(mux(clear, 0, count + 1), enable=clear | done)
        m.output(f"finished_{name}", count)
    return m
