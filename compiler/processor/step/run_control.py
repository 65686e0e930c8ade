"""The course of a run, from the start bit to the end of its program, or to the last outstanding transaction."""

from dataclasses import asdict
from enum import IntEnum

from elastix.compiler.circuit import Module, Signal, mux
from elastix.compiler.processor.axi import ADDRESS_BITS
from elastix.compiler.processor.step.instructions import INSTRUCTION_BYTES
from elastix.compiler.processor.step.parameters import StepParameters


class State(IntEnum):
    """SETTLE, CHECK: tokens, position, address. RUN: the program. STOP: ask for no more. DRAIN: until what was asked
    for has come. CLEAR: the end of a soft reset."""

    IDLE = 0
    SETTLE = 1
    CHECK = 2
    RUN = 3
    STOP = 4
    DRAIN = 5
    CLEAR = 6


def run_control(p: StepParameters) -> Module:
    """The course of a run. Masters are counted 0 … C−1 (streams), C (io reader), C + 1 (writer).

    `start`, `soft_reset` (pulses), descriptor, tokens, position: from the registers. `program_ended` (pulse): END is
    reached. `error` (pulse, while `watching`) stops the run. `begin` (pulse): the program starts. `stop_all` (pulse, at
    the start and when a run is stopped): units, queues and masters forget what is under way. `running`: the program
    is. `ended` (pulse): the run is over, well or not, and all is drained. `clear` (pulse): the end of a soft reset,
    `resetting` until then. A master that makes no progress for the time-out while draining is given up: what it awaits
    stays owed to it.
    """
    m = Module("run_control", run_control.__doc__, asdict(p))
    masters = p.channels + 2
    start, soft_reset, error = m.input("start"), m.input("soft_reset"), m.input("error")
    program_ended = m.input("program_ended")
    idle, stuck = m.input("master_idle", masters), m.input("master_stuck", masters)

    state = m.state("state", 3, reset=State.IDLE)
    at = {which: m.named(f"in_{which.name.lower()}", state == which) for which in State}
    begin = m.named("begin_run", at[State.IDLE] & start & ~soft_reset)
    gave_up = m.state("gave_up", masters, reset=0)
    gave_up.next(mux(at[State.DRAIN], gave_up | stuck, 0))
    quiet = m.register("quiet", at[State.DRAIN] & (idle | gave_up).all(), reset=0)
    drained = m.named("drained", at[State.DRAIN] & quiet)
    resetting = m.state("resetting_q", 1, reset=0)
    reset_wanted = m.named("reset_wanted", resetting | soft_reset)
    resetting.next(~at[State.CLEAR] & reset_wanted)
    ending = m.named("stopping", at[State.STOP] | at[State.DRAIN] | at[State.CLEAR])
    watching = m.named("watching_now", ~ending & ~at[State.IDLE])
    bad = _bad_run(m, p)
    stops = m.named("stops", (watching & error) | (~ending & soft_reset))
    ends_well = m.named("ends_well", at[State.RUN] & program_ended)

    following: Signal = state
    for condition, target in (  # later ones win
        (begin, State.SETTLE),
        (at[State.SETTLE], State.CHECK),
        (at[State.CHECK] & ~bad, State.RUN),
        (ends_well, State.IDLE),
        (at[State.STOP], State.DRAIN),
        (drained & reset_wanted, State.CLEAR),
        (drained & ~reset_wanted, State.IDLE),
        (at[State.CLEAR], State.IDLE),
        (stops, State.STOP),
    ):
        following = mux(condition, int(target), following)
    state.next(following)

    m.output("bad_descriptor", m.register("bad_descriptor_q", at[State.CHECK] & bad, reset=0))
    m.output("begin", at[State.CHECK] & ~bad)
    # A register: all parts see it. It is 1 in the states SETTLE and STOP.
    m.output("stop_all", m.register("stop_all_q", begin | stops, reset=0))
    m.output("running", at[State.RUN])
    m.output("busy", ~at[State.IDLE])
    m.output("watching", watching)
    m.output("resetting", resetting)
    m.output("started", begin)
    m.output("ended", (ends_well & ~error & ~soft_reset) | (drained & ~reset_wanted))
    m.output("clear", at[State.CLEAR])
    return m


def _bad_run(m: Module, p: StepParameters) -> Signal:
    """A register: tokens, position or the program's address are none. The first two are whole registers."""
    tokens, position = m.input("tokens", 32), m.input("position", 32)
    address = m.input("descriptor", ADDRESS_BITS)
    m.unused(address)
    wrong_tokens = m.named("wrong_tokens", (tokens == 0) | (tokens > p.lanes))
    after = position[0 : p.position_bits].zext(p.position_bits + 5) + tokens[0:4].zext(p.position_bits + 5)
    wrong_position = m.named("wrong_position", position[p.position_bits : 32].any() | (after > p.max_context))
    unaligned = address[0 : INSTRUCTION_BYTES.bit_length() - 1].any()
    return m.register("bad_run", wrong_tokens | wrong_position | unaligned)
