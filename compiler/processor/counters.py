"""What a run costs: cycles, beats and stalls by cause."""

from collections.abc import Mapping
from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, mux
from elastix.compiler.processor.parameters import ProcessorParameters

COUNTER_BITS = 32
COUNTERS = ("cycles", "busy", "beats", "stall_memory", "stall_output", "stall_load")
"""In the order of their registers."""


def counters(p: ProcessorParameters) -> Module:
    """Cycles, beats and stalls of a run.

    Counts from `start` (pulse, which clears) while `running`. Per channel, one bit each: `taken` a weight beat,
    `wanted` a beat that was not there, `last` beat taken, `stall_output`. `written`: all results have their response.

    `freeze` (pulse) copies all counters; outputs other than cycles are the copy, cycles is the counter itself.
    """
    m = Module("counters", counters.__doc__, asdict(p))
    start, clear, running = m.input("start"), m.input("clear"), m.input("running")
    freeze, written, stall_load = m.input("freeze"), m.input("written"), m.input("stall_load")
    taken, wanted = m.input("taken", p.channels), m.input("wanted", p.channels)
    last, stall_output = m.input("last", p.channels), m.input("stall_output", p.channels)

    begun, ended = m.state("begun", p.channels, reset=0), m.state("ended", p.channels, reset=0)
    begun.next(mux(start, 0, begun | taken))
    ended.next(mux(start, 0, ended | (taken & last)))
    starving = m.named("starving", wanted & begun & ~ended)
    busy = m.named("busy_now", (begun | taken).any() & ~written)
    events = (m.constant(1, 1), busy, taken, starving, stall_output, stall_load)
    count_events(m, start, clear, running, freeze, dict(zip(COUNTERS, events, strict=True)))
    return m


def count_events(
    m: Module, start: Signal, clear: Signal, running: Signal, freeze: Signal, events: Mapping[str, Signal]
) -> None:
    """Counters in `m`, given out as count_<name>, of the bits that are 1 while `running`; frozen as `counters` says."""
    for name, event in events.items():
        count = m.state(f"{name}_q", COUNTER_BITS, reset=0)
        # Events are the ends of long paths, and sums over channels: they are counted a cycle later.
        amount = m.register(f"{name}_amount", _population(event & (running & ~clear).replicate(event.width)), reset=0)
        count.next(mux(start | clear, 0, count + amount.zext(COUNTER_BITS)))
        if name == "cycles":
            m.output("count_cycles", count)
        else:
            copy = m.register(f"copy_{name}", mux(clear, 0, count), enable=freeze | clear, reset=0)
            m.output(f"count_{name}", copy)


def _population(bits: Signal) -> Signal:
    """How many bits are 1."""
    terms = [bits[i] for i in range(bits.width)]
    while len(terms) > 1:
        width = terms[0].width + 1
        if len(terms) % 2:
            terms.append(terms[-1] ^ terms[-1])
        terms = [a.zext(width) + b.zext(width) for a, b in zip(terms[0::2], terms[1::2], strict=True)]
    return terms[0]
