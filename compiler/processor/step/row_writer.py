"""Beats of cached rows and of logits, written to memory one at a time."""

from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, mux
from elastix.compiler.processor.axi import ADDRESS_BITS, offset_bits
from elastix.compiler.processor.burst_writer import WriterShape, burst_writer
from elastix.compiler.processor.result_writer import AXI_INPUTS, AXI_OUTPUTS
from elastix.compiler.processor.step.parameters import StepParameters

SOURCES = ("row", "logits")


def row_writer(p: StepParameters) -> Module:
    """Writes beats to memory, each with the strobes that come with it, from two sources that it asks in turn.

    <source>_valid, _ready, _beat (address in beats), _data, _strobe: in. `rows_pending` (level): more will come.
    `written` (level): nothing is pending and every beat has its response. `cancel`, `timeout`, `idle`, `fault`,
    `stuck`, `fault_address` and the AXI ports: as in burst_writer; a beat that waits at `cancel` is dropped.
    """
    m = Module("row_writer", row_writer.__doc__, asdict(p))
    cancel, rows_pending = m.input("cancel"), m.input("rows_pending")
    ports = {"beat": ADDRESS_BITS - offset_bits(p.beat), "data": p.beat, "strobe": p.beat // 8}
    valid, words = list[Signal](), list[dict[str, Signal]]()
    for source in SOURCES:
        valid.append(m.input(f"{source}_valid"))
        words.append({name: m.input(f"{source}_{name}", width) for name, width in ports.items()})

    # One word waits here until the bus has it; a burst that ends after a cancel still shows it. The turn passes on
    # while nothing comes.
    full, turn = m.state("full", 1, reset=0), m.state("turn", 1, reset=0)
    take, ending = m.wire("take", 1), m.wire("ending", 1)
    empty = m.named("empty", ~full & ~ending)
    taken = m.named("taken", empty & mux(turn, valid[1], valid[0]))
    turn.next(turn ^ (empty & ~taken))
    full.next(~cancel & (taken | (full & ~take)))
    word = {
        name: m.register(f"waiting_{name}", mux(turn, words[1][name], words[0][name]), enable=taken) for name in ports
    }
    m.output("row_ready", empty & ~turn)
    m.output("logits_ready", empty & turn)

    requested = m.state("requested", 1, reset=0)
    request = m.named("request", full & ~requested)
    request_ready = m.wire("request_ready", 1)
    requested.next(~cancel & ~take & (requested | (request & request_ready)))
    writer = m.instance(
        "bursts",
        burst_writer(WriterShape(p.beat, 1)),
        cancel=cancel,
        request=request,
        beat_address=word["beat"],
        beats=m.constant(1, 1),
        data=word["data"],
        timeout=m.input("timeout", 32),
        **{name: m.input(name, width) for name, width in AXI_INPUTS},
    )
    request_ready.assign(writer["request_ready"])
    take.assign(writer["take"])
    ending.assign(writer["ending"])
    for name in AXI_OUTPUTS:
        m.output(name, writer[name] & word["strobe"] if name == "wstrb" else writer[name])
    for name in ("idle", "fault", "stuck", "fault_address"):
        m.output(name, writer[name])
    m.output("written", writer["idle"] & ~full & ~rows_pending)
    return m
