"""Notices that an AXI master's transactions make no progress."""

from elastix.compiler.circuit import Module, Signal, mux


def watchdog(m: Module, waiting: Signal, progress: Signal, timeout: Signal) -> Signal:
    """A pulse whenever `waiting` has lasted `timeout` cycles (0: for ever) without `progress`; registers in `m`."""
    waited = m.state("waited", timeout.width, reset=0)
    still = m.named("still_waiting", waiting & ~progress)
    limited = m.register("limited", timeout.any(), reset=0)
    expired = m.named("expired", still & limited & (waited >= timeout))
    waited.next(mux(still & ~expired, waited + 1, 0))
    return m.register("stuck_q", expired, reset=0)
