"""The step processor's sequencer with its reader and its streams, as one circuit whose buses lead outside."""

from functools import cache

from simulated import Simulated

from elastix.compiler.circuit import Module, Signal, concat
from elastix.compiler.processor.burst_reader import burst_reader, io_reader_shape
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.sequencer import sequencer
from elastix.compiler.processor.step.stream_control import Consumer, consumers, stream_control

READ_IN = {"arready": 1, "rvalid": 1, "rresp": 2, "rlast": 1}
READ_OUT = ("arvalid", "araddr", "arlen", "arsize", "arburst", "rready")


def harness(p: StepParameters) -> Module:
    """The sequencer with its reader and its streams; AXI ports io_* and w<c>_*."""
    m = Module("sequencer_harness")
    clear, module = m.input("clear"), sequencer(p)
    request_ready, quiet, io = m.wire("ready_of_streams", p.channels), m.wire("quiet", 1), m.wire("io_comes", 1)
    io_data = m.wire("io_beat", p.beat)
    wires = {"request_ready": request_ready, "quiet": quiet, "in_valid": io, "in_data": io_data, "clear": clear}
    others = {name: m.input(name, width) for name, width in module.inputs.items() if name not in wires}
    parts = m.instance("sequencer", module, **wires, **others)
    for name in module.outputs:
        if not name.startswith(("request_", "io_")):
            m.output(name, parts[name])

    def axi(bus: str) -> dict[str, Signal]:
        given = {name: m.input(f"{bus}_{name}", width) for name, width in READ_IN.items()}
        return {**given, "rdata": m.input(f"{bus}_rdata", p.beat), "timeout": m.constant(0, 32)}

    reader = m.instance(
        "reader",
        burst_reader(io_reader_shape(p.beat, p.max_burst, p.fifo_beats)),
        start=parts["io_start"],
        cancel=clear,
        address=parts["io_address"],
        beats=parts["io_beats"],
        blocks=m.constant(0, 32),
        block_beats=m.constant(0, 20),
        **axi("io"),
    )
    io.assign(reader["valid"])
    io_data.assign(reader["data"])
    for name in READ_OUT:
        m.output(f"io_{name}", reader[name])
    readies, quiets = list[Signal](), list[Signal]()
    for c in range(p.channels):
        takers = {f"{each.name.lower()}_ready": m.input(f"w{c}_{each.name.lower()}_ready") for each in consumers(p, c)}
        if Consumer.ATTENTION in consumers(p, c):
            takers["attention_wanted"] = takers["attention_ready"]
        names = ("request_address", "request_count", "request_block_beats", "request_consumer")
        stream = m.instance(
            f"stream_{c}",
            stream_control(p, c),
            clear=clear,
            request_valid=parts["request_valid"][c],
            **{name: parts[name] for name in names},
            **takers,
            **axi(f"w{c}"),
        )
        readies.append(stream["request_ready"])
        quiets.append(stream["quiet"])
        for each in consumers(p, c):
            name = f"{each.name.lower()}_valid"
            m.output(f"w{c}_{name}", stream[name])
        for name in (*READ_OUT, "data", "bad"):
            m.output(f"w{c}_{name}", stream[name])
    request_ready.assign(concat(*reversed(readies)))
    quiet.assign(concat(*quiets).all())
    return m


class Prefixed(Simulated):
    """The ports of one bus."""

    def __init__(self, dut: Simulated, bus: str) -> None:
        self.dut, self.bus = dut, bus

    def set(self, **values: int) -> None:
        self.dut.set(**{f"{self.bus}_{name}": value for name, value in values.items()})

    def get(self, name: str) -> int:
        return self.dut.get(f"{self.bus}_{name}")


@cache
def simulated(p: StepParameters) -> Simulated:
    return Simulated(harness(p))
