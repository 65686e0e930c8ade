"""The whole processor: masters and slave on the outside, one matrix engine a channel inside."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, concat
from elastix.compiler.processor.activation_loader import activation_loader
from elastix.compiler.processor.axi import offset_bits
from elastix.compiler.processor.burst_reader import ReaderShape, burst_reader, io_reader_shape, weight_reader_shape
from elastix.compiler.processor.control_registers import REGISTER_BITS, control_registers
from elastix.compiler.processor.counters import COUNTERS, counters
from elastix.compiler.processor.descriptor_fields import LOOKED_AT_BITS
from elastix.compiler.processor.fault_monitor import fault_monitor
from elastix.compiler.processor.launch_control import launch_control
from elastix.compiler.processor.matrix_engine import matrix_engine
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.compiler.processor.result_writer import AXI_INPUTS as WRITE_INPUTS
from elastix.compiler.processor.result_writer import AXI_OUTPUTS as WRITE_OUTPUTS
from elastix.compiler.processor.result_writer import result_writer
from elastix.compiler.processor.segment_check import segment_check

NAME = "elastix_processor"
COMMENT = """A processor for linear layers of neural networks: weights of 1 to 8 bits, streamed a bit plane at a time.

clk, rst: one clock; rst synchronous, high, together with the memory's. irq: level, an enabled interrupt waits.
s_axil_*: AXI4-Lite slave of 32 bits, the registers. m_axi_w<c>_*: AXI4 master that reads the weights of channel c.
m_axi_io_*: AXI4 master that reads descriptor and activations and writes results. Masters have `beat` bits of data and
40 of byte address, one ID, answers in order; bursts are incrementing, of whole beats, max_burst of them at most, and
never cross 4 KB. No output depends on an input of the same cycle.
activation_bits: of an activation. lanes: tokens at once. channels: weight streams. max_tiles: tiles of 32 columns of
the longest row. fifo_beats: room of a channel's FIFO. crc: segments are checked.
"""
READ_OUTPUTS = ("arvalid", "araddr", "arlen", "arsize", "arburst", "rready")
SLAVE_INPUTS = {
    "awvalid": 1,
    "awaddr": REGISTER_BITS,
    "wvalid": 1,
    "wdata": 32,
    "wstrb": 4,
    "bready": 1,
    "arvalid": 1,
    "araddr": REGISTER_BITS,
    "rready": 1,
}
SLAVE_OUTPUTS = ("awready", "wready", "bresp", "bvalid", "arready", "rdata", "rresp", "rvalid")
ENGINE_FIELDS = ("bits", "scale_format", "tiles", "group_tiles", "c9", "header_words", "tokens")
ENGINE_RESULTS = ("y_valid", "y_data", "y_lane", "y_block", "y_last")
LOADER_OUTPUTS = ("x_write", "x_lane", "x_tile", "x_data", "x_sum", "e_write", "e_lane", "e_data", "x_ready")

Ports = Mapping[str, Signal]


def build(parameters: ProcessorParameters) -> Module:
    """`elastix_processor`, with the ports of README.md. No output depends on an input of the same cycle."""
    return _Top(parameters).module


class _Top:
    """The parts, in the order in which data passes them. What flows backwards is a wire, declared first."""

    def __init__(self, parameters: ProcessorParameters) -> None:
        p = self.parameters = parameters
        m = self.module = Module(NAME, COMMENT, asdict(p))
        self.channels = range(p.channels)
        self.masters = p.channels + 2
        self.master_state = {name: m.wire(f"masters_{name}", self.masters) for name in ("idle", "fault", "stuck")}
        self.checked, self.written, self.error = m.wire("checked", p.channels), m.wire("written", 1), m.wire("error", 1)
        self.io_valid, self.io_data = m.wire("io_valid", 1), m.wire("io_data", p.beat)
        self.stream_ready = [m.wire(f"stream_ready_{c}", 1) for c in self.channels]
        self.w_ready = [m.wire(f"w_ready_{c}", 1) for c in self.channels]
        self.y_ready = [m.wire(f"y_ready_{c}", 1) for c in self.channels]

        self.registers = self._registers()
        self.timeout = self.registers["timeout"]
        self.control = self._control()
        readers = [self._weight_reader(c) for c in self.channels]
        checks = [self._check(c, readers[c]) for c in self.channels]
        io = self._io_reader()
        loader = self._loader()
        engines = [self._engine(c, readers[c], checks[c], loader) for c in self.channels]
        writer = self._writer(engines)

        self.io_valid.assign(io["valid"])
        self.io_data.assign(io["data"])
        self.checked.assign(_bits(checks, "finished"))
        self.written.assign(writer["finished"])
        for c in self.channels:
            self.stream_ready[c].assign(checks[c]["in_ready"])
            self.w_ready[c].assign(engines[c]["w_ready"])
            self.y_ready[c].assign(writer[f"y_ready_{c}"])
        masters = [*readers, io, writer]
        for name, wire in self.master_state.items():
            wire.assign(_bits(masters, name))
        self._monitor(masters, checks, loader["out_of_range"])
        self._count(readers, checks, engines, loader["x_ready"])
        self.to_registers["overflow"].assign(self.control["watching"] & _bits(engines, "overflow").any())

    def _registers(self) -> Ports:
        """The slave; what it takes comes from everywhere, as wires."""
        m, module = self.module, control_registers(self.parameters)
        slave = {f"s_axil_{name}": m.input(f"s_axil_{name}", width) for name, width in SLAVE_INPUTS.items()}
        self.to_registers = {
            name: m.wire(f"registers_{name}", width) for name, width in module.inputs.items() if name not in slave
        }
        registers = m.instance("registers", module, **slave, **self.to_registers)
        for name in SLAVE_OUTPUTS:
            m.output(f"s_axil_{name}", registers[f"s_axil_{name}"])
        m.output("irq", registers["irq"])
        return registers

    def _control(self) -> Ports:
        control = self.module.instance(
            "control",
            launch_control(self.parameters),
            start=self.registers["start"],
            soft_reset=self.registers["soft_reset"],
            descriptor=self.registers["descriptor"],
            error=self.error,
            in_valid=self.io_valid,
            in_data=self.io_data[0 : min(self.parameters.beat, LOOKED_AT_BITS)],
            checked=self.checked,
            written=self.written,
            master_idle=self.master_state["idle"],
            master_stuck=self.master_state["stuck"],
        )
        for name in ("busy", "resetting", "started", "ended", "clear"):
            self.to_registers[name].assign(control[name])
        return control

    def _reader(self, shape: ReaderShape, bus: str, **request: Signal) -> Ports:
        """A master that reads on the ports of `bus`."""
        m = self.module
        reader = m.instance(
            f"reader_{bus}",
            burst_reader(shape),
            cancel=self.control["cancel"],
            timeout=self.timeout,
            arready=m.input(f"m_axi_{bus}_arready"),
            rvalid=m.input(f"m_axi_{bus}_rvalid"),
            rdata=m.input(f"m_axi_{bus}_rdata", self.parameters.beat),
            rresp=m.input(f"m_axi_{bus}_rresp", 2),
            rlast=m.input(f"m_axi_{bus}_rlast"),
            **request,
        )
        for name in READ_OUTPUTS:
            m.output(f"m_axi_{bus}_{name}", reader[name])
        return reader

    def _weight_reader(self, c: int) -> Ports:
        """All blocks of the channel's segment, and its CRC beat."""
        p, control = self.parameters, self.control
        return self._reader(
            weight_reader_shape(p.beat, p.max_burst, p.fifo_beats),
            f"w{c}",
            start=control["weight_start"][c],
            address=control["weight_address"],
            beats=self.module.constant(1, 32),
            blocks=control[f"blocks_{c}"],
            block_beats=control["block_beats"],
            ready=self.stream_ready[c],
        )

    def _io_reader(self) -> Ports:
        p, control = self.parameters, self.control
        names = ("start", "address", "beats", "blocks", "block_beats")
        request = {name: control[f"io_{name}"] for name in names}
        return self._reader(io_reader_shape(p.beat, p.max_burst, p.fifo_beats), "io", **request)

    def _check(self, c: int, reader: Ports) -> Ports:
        p = self.parameters
        data = {"in_data": reader["data"]} if p.crc else {}
        return self.module.instance(
            f"check_{c}",
            segment_check(p.beat, p.crc),
            start=self.control["weight_start"][c],
            in_valid=reader["valid"],
            in_last=reader["last"],
            out_ready=self.w_ready[c],
            **data,
        )

    def _loader(self) -> Ports:
        return self.module.instance(
            "loader",
            activation_loader(self.parameters),
            start=self.control["launch"],
            cancel=self.control["cancel"],
            tiles=self.control["tiles"],
            tokens=self.control["tokens"],
            in_valid=self.io_valid,
            in_data=self.io_data,
        )

    def _engine(self, c: int, reader: Ports, check: Ports, loader: Ports) -> Ports:
        engine = self.module.instance(
            f"engine_{c}",
            matrix_engine(self.parameters),
            clear=self.control["launch"],
            start=self.control["launch"],
            blocks=self.control[f"blocks_{c}"],
            w_valid=check["out_valid"],
            w_data=reader["data"],
            y_ready=self.y_ready[c],
            **{name: self.control[name] for name in ENGINE_FIELDS},
            **{name: loader[name] for name in LOADER_OUTPUTS},
        )
        self.module.unused(engine["idle"])
        return engine

    def _writer(self, engines: Sequence[Ports]) -> Ports:
        m, control = self.module, self.control
        results = {f"{port}_{c}": engines[c][port] for c in self.channels for port in ENGINE_RESULTS}
        writer = m.instance(
            "writer",
            result_writer(self.parameters),
            start=control["launch"],
            cancel=control["cancel"],
            row_blocks=control["row_blocks"],
            tokens=control["tokens"],
            y_beat=control["y_beat"],
            timeout=self.timeout,
            **{name: m.input(f"m_axi_io_{name}", width) for name, width in WRITE_INPUTS},
            **results,
        )
        for name in WRITE_OUTPUTS:
            m.output(f"m_axi_io_{name}", writer[name])
        return writer

    def _monitor(self, masters: Sequence[Ports], checks: Sequence[Ports], out_of_range: Signal) -> None:
        m, control = self.module, self.control
        offset = m.constant(0, offset_bits(self.parameters.beat))
        segments = {
            f"segment_{c}": concat(
                m.register(f"segment_{c}", control["weight_address"], enable=control["weight_start"][c]), offset
            )
            for c in self.channels
        }
        monitor = m.instance(
            "monitor",
            fault_monitor(self.parameters),
            watching=control["watching"],
            fault=self.master_state["fault"],
            stuck=self.master_state["stuck"],
            bad_crc=_bits(checks, "bad"),
            bad_descriptor=control["bad_descriptor"],
            out_of_range=out_of_range,
            descriptor=self.registers["descriptor"],
            x=control["x"],
            **segments,
            **{f"fault_address_{i}": master["fault_address"] for i, master in enumerate(masters)},
        )
        self.error.assign(monitor["error"])
        self.to_registers["kinds"].assign(monitor["kinds"])
        self.to_registers["address"].assign(monitor["address"])

    def _count(
        self, readers: Sequence[Ports], checks: Sequence[Ports], engines: Sequence[Ports], x_ready: Signal
    ) -> None:
        m, control = self.module, self.control
        valid = m.named("weights_valid", _bits(readers, "valid"))
        counts = m.instance(
            "counters",
            counters(self.parameters),
            start=control["started"],
            clear=control["clear"],
            running=control["busy"],
            freeze=self.registers["freeze"],
            written=self.written,
            stall_load=valid.any() & ~x_ready,
            taken=_bits(checks, "taken"),
            wanted=_bits(engines, "w_ready") & ~valid,
            last=_bits(readers, "last"),
            stall_output=_bits(engines, "stall_output"),
        )
        for name in COUNTERS:
            self.to_registers[f"count_{name}"].assign(counts[f"count_{name}"])


def _bits(parts: Sequence[Ports], port: str) -> Signal:
    """One bit of each part, part 0 lowest."""
    return concat(*(part[port] for part in reversed(parts)))
