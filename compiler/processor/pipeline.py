"""Events that travel down a pipeline and vanish when a run starts anew."""

from elastix.compiler.circuit import Module, Signal


def delay_event(m: Module, name: str, event: Signal, cycles: int, clear: Signal) -> list[Signal]:
    """`event` after 0, 1, … `cycles` clocks, as registers name_1 …; `clear` and reset drop what is on its way."""
    stages = [event]
    for cycle in range(1, cycles + 1):
        stages.append(m.register(f"{name}_{cycle}", stages[-1] & ~clear, reset=0))
    return stages


def delay_stages(m: Module, name: str, value: Signal, cycles: int) -> list[Signal]:
    """`value` after 0, 1, … `cycles` clocks, as registers name_1 …"""
    stages = [value]
    for cycle in range(1, cycles + 1):
        stages.append(m.register(f"{name}_{cycle}", stages[-1]))
    return stages
