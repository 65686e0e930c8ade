"""What a run of a program costs: cycles, instructions, beats and stalls by cause."""

from dataclasses import asdict

from elastix.compiler.circuit import Module
from elastix.compiler.processor.counters import COUNTERS, count_events
from elastix.compiler.processor.step.instructions import Unit
from elastix.compiler.processor.step.parameters import StepParameters

STEP_COUNTERS = ("instructions", "cache_beats", "constant_beats", "stream_stall", "stream_empty")
"""Those beside COUNTERS, in the order of their registers."""


def run_counters(p: StepParameters) -> Module:
    """What a run of a program costs: cycles, instructions, beats and stalls by cause.

    Counts from `start` (pulse, which clears) while `running`: the bits that are 1, one bit a channel (beats,
    stall_memory, stall_output, constant_beats; cache_beats: a channel with caches), a unit and END (instructions) or
    just one. `freeze` (pulse) copies all counters; outputs other than cycles are the copy, cycles is the counter
    itself.
    """
    m = Module("run_counters", run_counters.__doc__, asdict(p))
    # A run begins cycles after its start, so that what clears many registers may be a register itself.
    start, clear = (m.register(f"{name}_q", m.input(name), reset=0) for name in ("start", "clear"))
    running, freeze = m.input("running"), m.input("freeze")
    channels = ("beats", "stall_memory", "stall_output", "constant_beats")
    # An instruction of each unit may finish in a cycle, and END.
    widths: dict[str, int] = {name: p.channels for name in channels} | {"instructions": len(Unit) + 1}
    widths["cache_beats"] = p.attention_channels
    always = m.constant(1, 1)
    events = {
        name: always if name in ("cycles", "busy") else m.input(name, widths.get(name, 1))
        for name in (*COUNTERS, *STEP_COUNTERS)
    }
    count_events(m, start, clear, running, freeze, events)
    return m
