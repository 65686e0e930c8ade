"""The step processor: masters and slave on the outside; sequencer, streams and four units inside."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, Wire, concat, mux
from elastix.compiler.processor.burst_reader import BLOCK_BEATS_BITS, burst_reader, io_reader_shape
from elastix.compiler.processor.control_registers import Extension, control_registers
from elastix.compiler.processor.counters import COUNTERS
from elastix.compiler.processor.fault_monitor import fault_monitor
from elastix.compiler.processor.result_writer import AXI_INPUTS as WRITE_INPUTS
from elastix.compiler.processor.result_writer import AXI_OUTPUTS as WRITE_OUTPUTS
from elastix.compiler.processor.step.attention_engine import attention_engine
from elastix.compiler.processor.step.dispatcher import units
from elastix.compiler.processor.step.instructions import Unit
from elastix.compiler.processor.step.loader import loader
from elastix.compiler.processor.step.matrix_unit import matrix_unit
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters
from elastix.compiler.processor.step.row_writer import row_writer
from elastix.compiler.processor.step.run_control import run_control
from elastix.compiler.processor.step.run_counters import STEP_COUNTERS, run_counters
from elastix.compiler.processor.step.sequencer import REQUEST_OUTPUTS, sequencer
from elastix.compiler.processor.step.stream_control import READ_INPUTS, READ_OUTPUTS, stream_control
from elastix.compiler.processor.step.unit_queue import side_bits
from elastix.compiler.processor.step.vector_engine import vector_engine
from elastix.compiler.processor.step.vector_ports import activation_ports
from elastix.compiler.processor.top import SLAVE_INPUTS, SLAVE_OUTPUTS

NAME = "elastix_step_processor"
COMMENT = """A processor for whole decode steps of language models: token ids and a position in, logits and arg max out.

clk, rst: one clock; rst synchronous, high, together with the memory's. irq: level, an enabled interrupt waits.
s_axil_*: AXI4-Lite slave of 32 bits, the registers. m_axi_w<c>_*: AXI4 master that reads channel c of the stream:
weights, on channel 0 constants, on the first `attention_channels` cached rows. m_axi_io_*: AXI4 master that reads the
program and writes cached rows and logits. Masters have `beat` bits of data and 40 of byte address, one ID, answers in
order; bursts are incrementing, of whole beats, max_burst of them at most, and never cross 4 KB. No output depends on an
input of the same cycle.
"""
VERSION = 0x103
TOKENS, POSITION, MAX_CONTEXT, COUNTERS_AT, TOKEN, ARG_MAX = 0x58, 0x5C, 0x60, 0x64, 0x80, 0xC0
"""Offsets of the registers of the step processor."""

Ports = Mapping[str, Signal]


def build(parameters: StepParameters) -> Module:
    """`elastix_step_processor`, with the ports of ../README.md. No output depends on an input of the same cycle."""
    return _Top(parameters).module


def step_registers(p: StepParameters) -> Extension:
    """The registers beside those of every processor."""
    settings = {TOKENS: "tokens", POSITION: "position"}
    if "embed" in p.features:
        settings |= {TOKEN + 4 * i: f"token_{i}" for i in range(p.lanes)}
    shown = {COUNTERS_AT + 4 * i: f"count_{name}" for i, name in enumerate(STEP_COUNTERS)}
    if "arg_max" in p.features:
        shown |= {ARG_MAX + 4 * i: f"arg_max_{i}" for i in range(p.lanes)}
    return Extension(VERSION, settings, shown, {MAX_CONTEXT: p.max_context})


class _Part:
    """An instance whose inputs are wires, to be connected when all parts are there."""

    def __init__(self, m: Module, name: str, module: Module) -> None:
        self.m, self.name = m, name
        self.wires: dict[str, Wire] = {port: m.wire(f"{name}_{port}", width) for port, width in module.inputs.items()}
        self.out = m.instance(name, module, **self.wires)

    def __getitem__(self, port: str) -> Signal:
        return self.out[port]

    def connect(self, **values: Signal) -> None:
        for port, value in values.items():
            self.wires[port].assign(value)

    def group(self, prefix: str) -> dict[str, Signal]:
        """Outputs whose names begin so."""
        return {name: value for name, value in self.out.items() if name.startswith(prefix)}


class _Top:
    def __init__(self, parameters: StepParameters) -> None:
        p = self.parameters = parameters
        m = self.module = Module(NAME, COMMENT, asdict(p))
        self.channels = range(p.channels)
        self.units = {unit: unit.name.lower() for unit in units(p)}
        self.registers = _Part(m, "registers", control_registers(p, step_registers(p)))
        self.control = _Part(m, "control", run_control(p))
        self.sequencer = _Part(m, "sequencer", sequencer(p))
        self.streams = [_Part(m, f"stream_{c}", stream_control(p, c)) for c in self.channels]
        self.reader = _Part(m, "program_reader", burst_reader(io_reader_shape(p.beat, p.max_burst, p.fifo_beats)))
        self.matrix = _Part(m, "matrix", matrix_unit(p))
        self.vector = _Part(m, "vector", vector_engine(p))
        self.loader = _Part(m, "loader", loader(p))
        self.attention = _Part(m, "attention", attention_engine(p)) if Unit.ATTENTION in self.units else None
        self.writer = _Part(m, "writer", row_writer(p))
        self.monitor = _Part(m, "monitor", fault_monitor(p))
        self.counters = _Part(m, "counters", run_counters(p))
        self.none = m.constant(0, 1)

        self._connect_run()
        self._connect_sequencer()
        self._connect_streams()
        self._connect_units()
        if self.attention is not None:
            self._connect_attention(self.attention)
        self._connect_memory()
        self._connect_monitor()
        self._count()

    def _connect_run(self) -> None:
        """The slave's ports, and the registers' and the run's inputs."""
        m, registers, control = self.module, self.registers, self.control
        registers.connect(
            **{f"s_axil_{name}": m.input(f"s_axil_{name}", width) for name, width in SLAVE_INPUTS.items()}
        )
        for name in SLAVE_OUTPUTS:
            m.output(f"s_axil_{name}", registers[f"s_axil_{name}"])
        m.output("irq", registers["irq"])
        registers.connect(**{name: control[name] for name in ("busy", "resetting", "started", "ended", "clear")})
        registers.connect(**{f"count_{name}": self.counters[f"count_{name}"] for name in (*COUNTERS, *STEP_COUNTERS)})
        registers.connect(kinds=self.monitor["kinds"], address=self.monitor["address"])
        registers.connect(**self.matrix.group("arg_max_"))
        parts = (self.matrix, self.vector, self.loader, self.attention)
        overflow = [part["overflow"] for part in parts if part is not None]
        registers.connect(overflow=control["running"] & concat(*overflow).any())
        masters = self.masters
        control.connect(
            **{name: registers[name] for name in ("start", "soft_reset", "descriptor", "tokens", "position")},
            error=self.monitor["error"],
            program_ended=self.sequencer["ended"],
            master_idle=_bits(masters, "idle"),
            master_stuck=_bits(masters, "stuck"),
        )

    @property
    def masters(self) -> list[_Part]:
        """In the order of run_control and fault_monitor."""
        return [*self.streams, self.reader, self.writer]

    def _connect_sequencer(self) -> None:
        p, control, registers, sequencer = self.parameters, self.control, self.registers, self.sequencer
        descriptor = registers["descriptor"]
        sequencer.connect(
            clear=control["stop_all"],
            start=control["begin"],
            number=descriptor[6 : descriptor.width],
            in_valid=self.reader["valid"],
            in_data=self.reader["data"],
            tokens=registers["tokens"][0:4],
            position=registers["position"][0:ELEMENT_BITS],
            request_ready=_bits(self.streams, "request_ready"),
            quiet=concat(*(stream["quiet"] for stream in self.streams), self.writer["written"]).all(),
        )
        if "embed" in p.features:
            sequencer.connect(**{f"token_{i}": registers[f"token_{i}"] for i in range(p.lanes)})
        done = {
            Unit.MATRIX: self.matrix["done"],
            Unit.VECTOR: self.vector["done_vector"],
            Unit.LOAD: self.loader["done"],
        }
        taken = {Unit.MATRIX: self.matrix, Unit.VECTOR: self.vector, Unit.LOAD: self.loader}
        if self.attention is not None:
            done[Unit.ATTENTION], taken[Unit.ATTENTION] = self.attention["done_attention"], self.attention
        sequencer.connect(**{f"done_{name}": done[unit] for unit, name in self.units.items()})
        sequencer.connect(**{f"taken_{name}": taken[unit]["taken"] for unit, name in self.units.items()})

    def _connect_streams(self) -> None:
        """Requests in, beats to the units; the ports of the masters that read."""
        m, p, sequencer = self.module, self.parameters, self.sequencer
        for c, stream in enumerate(self.streams):
            stream.connect(
                **{name: sequencer[name] for name in REQUEST_OUTPUTS if name != "request_valid"},
                request_valid=sequencer["request_valid"][c],
                clear=self.control["stop_all"],
            )
            readies = {"matrix_ready": self.matrix[f"w_ready_{c}"], "load_ready": self.loader["load_stream_ready"]}
            if "embed" in p.features:
                readies["embed_ready"] = self.loader[f"embed_ready_{c}"]
            if self.attention is not None and c < p.attention_channels:
                readies["attention_ready"] = self.attention[f"ready_{c}"]
                readies["attention_wanted"] = self.attention[f"wanted_{c}"]
            stream.connect(**{name: value for name, value in readies.items() if name in stream.wires})
            self._read_ports(stream, f"w{c}")
        zero = m.constant(0, 32)
        self.reader.connect(
            start=sequencer["io_start"],
            cancel=self.control["stop_all"],
            address=sequencer["io_address"],
            beats=sequencer["io_beats"],
            blocks=zero,
            block_beats=zero[0:BLOCK_BEATS_BITS],
        )
        self._read_ports(self.reader, "io")

    def _read_ports(self, part: _Part, bus: str) -> None:
        m = self.module
        part.connect(**{name: m.input(f"m_axi_{bus}_{name}", width) for name, width in READ_INPUTS.items()})
        part.connect(rdata=m.input(f"m_axi_{bus}_rdata", self.parameters.beat), timeout=self.registers["timeout"])
        for name in READ_OUTPUTS:
            m.output(f"m_axi_{bus}_{name}", part[name])

    def _connect_units(self) -> None:
        """Matrix unit, loader and vector engine, but for what the attention engine gives."""
        p, sequencer = self.parameters, self.sequencer
        parts = {Unit.MATRIX: self.matrix, Unit.VECTOR: self.vector, Unit.LOAD: self.loader}
        if self.attention is not None:
            parts[Unit.ATTENTION] = self.attention
        for unit, part in parts.items():
            name = self.units[unit]
            part.connect(clear=self.control["stop_all"])
            for port in ("begin", "instruction", *side_bits(p, unit)):
                if port in part.wires:
                    part.connect(**{port: sequencer[f"{port}_{name}"]})
        matrix, vector = self.matrix, self.vector
        matrix.connect(
            tokens=self.registers["tokens"][0:4],
            matrix_ready=vector["matrix_ready"],
            logits_ready=self.writer["logits_ready"],
            written=vector["visitor_written_matrix"],
            **{name: vector[name] for name in activation_ports(p)},
        )
        vector.connect(**matrix.group("matrix_"))
        vector.connect(**{name: value for name, value in self.loader.group("load_").items() if name in vector.wires})
        self.loader.connect(load_ready=vector["load_ready"])
        first = self.streams[0]
        self.loader.connect(load_stream_valid=first["load_valid"], load_stream_data=first["data"])
        for c, stream in enumerate(self.streams):
            matrix.connect(**{f"w_valid_{c}": stream["matrix_valid"], f"w_data_{c}": stream["data"]})
            if "embed" in p.features:
                self.loader.connect(**{f"embed_valid_{c}": stream["embed_valid"], f"embed_data_{c}": stream["data"]})
        if self.attention is None:
            self._leave_out()
            absent = [name for name in vector.wires if name.startswith(("attention_", "scale_data"))]
            vector.connect(**{name: self.module.constant(0, vector.wires[name].width) for name in absent})

    def _leave_out(self) -> None:
        """What only an attention engine would look at."""
        vector = self.vector
        ports = [vector[name] for name in ("attention_ready", "visitor_written_attention", "scale_word", "scale_bank")]
        for value in [*ports, *vector.group("quantized_").values(), self.writer["row_ready"]]:
            self.module.unused(value)

    def _connect_attention(self, attention: _Part) -> None:
        vector = self.vector
        for c, stream in enumerate(self.streams[: self.parameters.attention_channels]):
            attention.connect(**{f"valid_{c}": stream["attention_valid"], f"data_{c}": stream["data"]})
        attention.connect(
            visit_ready=vector["attention_ready"],
            visitor_written=vector["visitor_written_attention"],
            scale_word=vector["scale_word"],
            scale_bank=vector["scale_bank"],
            row_ready=self.writer["row_ready"],
            **vector.group("quantized_"),
        )
        visits = {f"attention_{name.removeprefix('visit_')}": each for name, each in attention.group("visit_").items()}
        vector.connect(scale_data=attention["scale_data"], **visits)

    def _connect_memory(self) -> None:
        """The writer of rows and logits."""
        m, writer = self.module, self.writer
        rows = {} if self.attention is None else self.attention.group("row_") | self.attention.group("rows_pending")
        absent = [name for name in writer.wires if name.startswith("row") and self.attention is None]
        writer.connect(**rows, **{name: m.constant(0, writer.wires[name].width) for name in absent})
        writer.connect(**self.matrix.group("logits_"))
        writer.connect(**{name: m.input(f"m_axi_io_{name}", width) for name, width in WRITE_INPUTS})
        writer.connect(cancel=self.control["stop_all"], timeout=self.registers["timeout"])
        for name in WRITE_OUTPUTS:
            m.output(f"m_axi_io_{name}", writer[name])

    def _connect_monitor(self) -> None:
        masters, bad = self.masters, self.sequencer["bad"]
        descriptor = self.registers["descriptor"]
        self.monitor.connect(
            watching=self.control["watching"],
            fault=_bits(masters, "fault"),
            stuck=_bits(masters, "stuck"),
            bad_crc=_bits(self.streams, "bad"),
            bad_descriptor=bad | self.control["bad_descriptor"],
            out_of_range=self.none,
            descriptor=mux(bad, self.sequencer["bad_address"], descriptor),
            x=descriptor,
            **{f"segment_{c}": stream["segment"] for c, stream in enumerate(self.streams)},
            **{f"fault_address_{i}": master["fault_address"] for i, master in enumerate(masters)},
        )

    def _count(self) -> None:
        m, first = self.module, self.streams[0]
        # Of these, channel 0 alone counts.
        for stream in self.streams[1:]:
            for name in ("stalled", "empty"):
                m.unused(stream[name])
        cached = self.streams[: self.parameters.attention_channels]
        for stream in self.streams[len(cached) :]:
            m.unused(stream["taken_attention"])
        # Weights wait for activations while no LINEAR has beats to come.
        waiting = m.named("weights_wait", _bits(self.streams, "matrix_valid").any() & ~self.matrix["at_work"])
        self.counters.connect(
            start=self.control["started"],
            clear=self.control["clear"],
            running=self.control["busy"],
            freeze=self.registers["freeze"],
            beats=_bits(self.streams, "taken_matrix"),
            stall_memory=_bits(self.streams, "starving"),
            stall_output=self.matrix["stall_output"],
            stall_load=waiting,
            instructions=concat(self.sequencer["ended"], self.sequencer["finishing"]),
            cache_beats=_bits(cached, "taken_attention"),
            constant_beats=_bits(self.streams, "taken_constant"),
            stream_stall=first["stalled"],
            stream_empty=first["empty"],
        )


def _bits(parts: Sequence[_Part], port: str) -> Signal:
    """One bit of each part, part 0 lowest."""
    return concat(*(part[port] for part in reversed(parts)))
