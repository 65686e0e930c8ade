"""The first fault of a run: which kind, and at which address."""

from dataclasses import asdict
from enum import IntEnum

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.axi import ADDRESS_BITS
from elastix.compiler.processor.parameters import ProcessorParameters


class ErrorBit(IntEnum):
    """Bits of the ERROR register."""

    READ_RESPONSE = 0
    WRITE_RESPONSE = 1
    TIME_OUT = 2
    WEIGHT_CRC = 3
    OVERFLOW = 4
    BAD_DESCRIPTOR = 5


def fault_monitor(p: ProcessorParameters) -> Module:
    """The first fault of a run: which kind, and at which address.

    Faults of the masters (weight readers, io reader, writer: C + 2), of the CRCs, of what the io reader read.

    `error` (pulse) a cycle after the first of them while `watching`, with `kinds` (ERROR bits to set) and `address`,
    that of the burst, the segment (CRC), the descriptor or the activations; where faults coincide, the first named of
    these, of the lowest-numbered master. What follows from an error is no error of its own.
    """
    m = Module("fault_monitor", fault_monitor.__doc__, asdict(p))
    masters = p.channels + 2
    watching = m.input("watching")
    fault, stuck = m.input("fault", masters), m.input("stuck", masters)
    bad_crc = m.input("bad_crc", p.channels)
    bad_descriptor, out_of_range = m.input("bad_descriptor"), m.input("out_of_range")
    descriptor, x = m.input("descriptor", ADDRESS_BITS), m.input("x", ADDRESS_BITS)

    address: Signal = mux(bad_descriptor, descriptor, x)
    segments = [m.input(f"segment_{c}", ADDRESS_BITS) for c in range(p.channels)]
    for c in reversed(range(p.channels)):
        address = mux(bad_crc[c], segments[c], address)
    bursts = [m.input(f"fault_address_{i}", ADDRESS_BITS) for i in range(masters)]
    for i in reversed(range(masters)):
        address = mux(fault[i] | stuck[i], bursts[i], address)

    kinds: dict[ErrorBit, Signal] = {
        ErrorBit.READ_RESPONSE: fault[0 : masters - 1].any(),
        ErrorBit.WRITE_RESPONSE: fault[masters - 1],
        ErrorBit.TIME_OUT: stuck.any(),
        ErrorBit.WEIGHT_CRC: bad_crc.any(),
        ErrorBit.OVERFLOW: m.constant(0, 1),
        ErrorBit.BAD_DESCRIPTOR: bad_descriptor | (out_of_range & ~fault.any()),
    }
    seen = m.state("seen", 1, reset=0)
    now = m.named("now", mux(watching & ~seen, concat(*(kinds[bit] for bit in reversed(ErrorBit))), 0))
    seen.next(watching & (seen | now.any()))
    m.output("error", m.register("error_q", now.any(), reset=0))
    m.output("kinds", m.register("kinds_q", now, reset=0))
    m.output("address", m.register("address_q", address, enable=now.any()))
    return m
