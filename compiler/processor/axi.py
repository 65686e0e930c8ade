"""What the AXI4 masters share: widths, responses, the constant fields of an address channel."""

from elastix.compiler.circuit import Module, Signal, concat

ADDRESS_BITS = 40
OKAY = 0
INCREMENTING = 1
BOUNDARY_BYTES = 4096
"""No burst crosses a multiple of this (AXI4, A3.4.1)."""


def offset_bits(beat: int) -> int:
    """Low address bits inside a beat of `beat` bits."""
    return (beat // 8).bit_length() - 1


def burst_beats(beat: int, max_burst: int) -> int:
    """The largest power of two of beats that is at most `max_burst` and divides 4 KB."""
    limit = min(max_burst, BOUNDARY_BYTES * 8 // beat)
    return 1 << (limit.bit_length() - 1)


def read_address_channel(
    m: Module, prefix: str, valid: Signal, beat_address: Signal, length: Signal, beat: int
) -> None:
    """AR outputs: `length` beats (>= 1) of `beat` bits, incrementing from beat number `beat_address` on."""
    _address_channel(m, f"{prefix}ar", valid, beat_address, length, beat)


def write_address_channel(
    m: Module, prefix: str, valid: Signal, beat_address: Signal, length: Signal, beat: int
) -> None:
    """AW outputs, like `read_address_channel`."""
    _address_channel(m, f"{prefix}aw", valid, beat_address, length, beat)


def _address_channel(m: Module, name: str, valid: Signal, beat_address: Signal, length: Signal, beat: int) -> None:
    offset = offset_bits(beat)
    m.output(f"{name}valid", valid)
    m.output(f"{name}addr", concat(beat_address, m.constant(0, offset)))
    m.output(f"{name}len", (length - 1).zext(9)[0:8])
    m.output(f"{name}size", m.constant(offset, 3))
    m.output(f"{name}burst", m.constant(INCREMENTING, 2))
