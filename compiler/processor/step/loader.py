"""The loader: constants and embedding rows from the streams into the on-chip memories."""

from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, mux, select
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.step.constant_loader import constant_loader
from elastix.compiler.processor.step.embedding_reader import embedding_reader
from elastix.compiler.processor.step.fields import INSTRUCTION_BITS
from elastix.compiler.processor.step.instructions import Opcode
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.vector_ports import load_ports


def loader(p: StepParameters) -> Module:
    """Carries out LOADs and EMBEDs, one at a time.

    begin, taken, instruction, channel, slice: from the unit's queue; the row is slice `slice` of the beats that
    `channel` gives. load_stream_*: beats of channel 0 for LOAD; embed_*_<c>: of channel c for EMBED. load_*: words for
    vector or constant memory. done, overflow (C6; pulses). clear (pulse): forget everything.
    """
    m = Module("loader", loader.__doc__, asdict(p))
    clear, begin = m.input("clear"), m.input("begin")
    instruction = m.input("instruction", INSTRUCTION_BITS)
    load_ready = m.input("load_ready")
    running, done = m.state("running", 1, reset=0), m.wire("done_now", 1)
    taken = m.named("taken_now", begin & ~running & ~clear)
    running.next(~clear & (taken | (running & ~done)))
    m.output("taken", taken)
    with_embedding = "embed" in p.features
    # LOAD and EMBED differ in the lowest bit of the opcode.
    is_embed = instruction[0] == (Opcode.EMBED & 1) if with_embedding else m.constant(0, 1)
    constants = m.instance(
        "constants",
        constant_loader(p),
        clear=clear,
        start=taken & ~is_embed,
        instruction=instruction,
        in_valid=m.input("load_stream_valid"),
        in_data=m.input("load_stream_data", p.beat),
        out_ready=load_ready,
    )
    m.output("load_stream_ready", constants["in_ready"])
    words = {name: constants[f"out_{name}"] for name in load_ports(p)}
    finished, overflow = constants["done"], m.constant(0, 1)
    if with_embedding:
        embedding = m.register("embedding_q", is_embed, enable=taken)
        row = _embedding(m, p, clear, taken & is_embed, instruction, taken, load_ready)
        words = {name: mux(embedding, row[f"out_{name}"], value) for name, value in words.items()}
        finished, overflow = mux(embedding, row["done"], finished), row["overflow"]
    for name, value in words.items():
        m.output(f"load_{name}", value)
    done.assign(running & finished)
    m.output("done", done)
    m.output("overflow", overflow)
    return m


def _embedding(
    m: Module,
    p: StepParameters,
    clear: Signal,
    start: Signal,
    instruction: Signal,
    taken: Signal,
    load_ready: Signal,
) -> dict[str, Signal]:
    """The reader of embedding rows, on the stream of the row's channel."""
    channel_given = m.input("channel", 6)
    m.unused(channel_given)
    valid = [m.input(f"embed_valid_{c}") for c in range(p.channels)]
    data = [m.input(f"embed_data_{c}", p.beat) for c in range(p.channels)]
    bits = index_bits(p.channels)
    several = p.channels > 1
    channel = m.register("channel_q", channel_given[0:bits], enable=taken) if several else channel_given
    reader = m.instance(
        "embedding",
        embedding_reader(p),
        clear=clear,
        start=start,
        instruction=instruction,
        slice=m.input("slice", 4),
        in_valid=select(channel, valid) if several else valid[0],
        in_data=select(channel, data) if several else data[0],
        out_ready=load_ready,
    )
    for c in range(p.channels):
        here = reader["in_ready"] & (channel == c) if several else reader["in_ready"]
        m.output(f"embed_ready_{c}", here)
    return dict(reader)
