"""A small circuit with the processor's ports: it reads BEATS beats at DESCRIPTOR, writes their complement a page on."""

from elastix.compiler.circuit import Memory, Module, Signal, Wire, concat, mux
from elastix.runtime.simulate import Interface

BEATS = 8
PAGE = 4096


def copier(beat: int) -> Module:
    m = Module(f"copier_{beat}", "Copies a burst from m_axi_w0 to m_axi_io, inverted.")
    size = (beat // 8).bit_length() - 1
    start, descriptor, done = _registers(m)

    one = m.constant(1, 1)
    asking = m.state("asking", 1, reset=0)
    ar_ready = m.input("m_axi_w0_arready")
    asking.next(mux(start, one, asking & ~ar_ready))
    r_valid, r_data, _, r_last = (
        m.input(f"m_axi_w0_r{name}", width) for name, width in (("valid", 1), ("data", beat), ("resp", 2), ("last", 1))
    )
    reading = m.state("reading", 1, reset=0)
    arrived = m.named("arrived", r_valid & reading)
    reading.next((reading | (asking & ar_ready)) & ~(arrived & r_last))
    got = m.state("got", 4, reset=0)
    got.next(mux(start, m.constant(0, 4), got + 1), enable=start | arrived)
    store = Memory(m, "store", BEATS, beat, latency=0)
    store.write(got[0:3], ~r_data, arrived)

    addressing = m.state("addressing", 1, reset=0)
    aw_ready, w_ready = m.input("m_axi_io_awready"), m.input("m_axi_io_wready")
    addressing.next(mux(arrived & r_last, one, addressing & ~aw_ready))
    giving = m.state("giving", 1, reset=0)
    given = m.state("given", 4, reset=0)
    taken = m.named("taken", giving & w_ready)
    w_last = m.named("w_last", given == BEATS - 1)
    giving.next(mux(addressing & aw_ready, one, giving & ~(taken & w_last)))
    given.next(mux(start, m.constant(0, 4), given + 1), enable=start | taken)
    b_valid = m.input("m_axi_io_bvalid")
    done.assign(b_valid)

    zero, length, bytes_, incr = m.constant(0, 1), m.constant(BEATS - 1, 8), m.constant(size, 3), m.constant(1, 2)
    for bus, letter, valid, address in (
        ("w0", "ar", asking, descriptor),
        ("io", "ar", zero, descriptor),
        ("io", "aw", addressing, descriptor + PAGE),
    ):
        for name, value in (("valid", valid), ("addr", address), ("len", length), ("size", bytes_), ("burst", incr)):
            m.output(f"m_axi_{bus}_{letter}{name}", value)
    m.output("m_axi_w0_rready", reading)
    m.output("m_axi_io_rready", zero)
    m.output("m_axi_io_wvalid", giving)
    m.output("m_axi_io_wdata", store.read(given[0:3]))
    m.output("m_axi_io_wstrb", m.constant((1 << beat // 8) - 1, beat // 8))
    m.output("m_axi_io_wlast", w_last)
    m.output("m_axi_io_bready", one)
    for name, width in (("arready", 1), ("rvalid", 1), ("rdata", beat), ("rresp", 2), ("rlast", 1), ("bresp", 2)):
        m.input(f"m_axi_io_{name}", width)
    return m


def interface(beat: int) -> Interface:
    return Interface(beat=beat, channels=1, max_burst=BEATS)


def _registers(m: Module) -> tuple[Signal, Signal, Wire]:
    """CONTROL and DESCRIPTOR; reads give 0. Returns the start pulse, the address, and a wire that ends the run."""
    write = m.state("write", 1, reset=0)
    aw_valid, w_valid = m.input("s_axil_awvalid"), m.input("s_axil_wvalid")
    answer = m.state("answer", 1, reset=0)
    write.next(aw_valid & w_valid & ~write & ~answer)
    answer.next(mux(answer, ~m.input("s_axil_bready"), write))
    address, data = m.input("s_axil_awaddr", 8), m.input("s_axil_wdata", 32)
    m.input("s_axil_wstrb", 4)
    control = m.named("control", write & (address == 0x0C))
    start = m.register("start", control & data[0], reset=0)
    low = m.register("descriptor_low", data, enable=write & (address == 0x14), reset=0)
    high = m.register("descriptor_high", data[0:8], enable=write & (address == 0x18), reset=0)
    done = m.wire("done", 1)
    irq = m.state("irq_q", 1, reset=0)
    irq.next(done | (irq & ~(control & data[3])))
    m.output("irq", irq)
    read, returning = m.input("s_axil_arvalid"), m.state("returning", 1, reset=0)
    returning.next(mux(returning, ~m.input("s_axil_rready"), read))
    m.input("s_axil_araddr", 8)
    for name, value in (
        ("awready", write),
        ("wready", write),
        ("bvalid", answer),
        ("bresp", m.constant(0, 2)),
        ("arready", ~returning),
        ("rvalid", returning),
        ("rdata", m.constant(0, 32)),
        ("rresp", m.constant(0, 2)),
    ):
        m.output(f"s_axil_{name}", value)
    return start, concat(high, low), done
