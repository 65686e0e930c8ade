"""Read-only memories: a module of their own each, which every tool infers as block RAM with contents."""

from collections.abc import Sequence

from elastix.compiler.circuit.memory import address_bits
from elastix.compiler.circuit.module import Module
from elastix.compiler.errors import ElastixError


def rom(name: str, words: Sequence[int], width: int) -> Module:
    """`data`: words[address] of `width` bits, one clock after `address`. `name` belongs to these words alone.

    words: unsigned, as many as a power of two, at least 2; raises ElastixError for anything else.
    """
    depth = len(words)
    bits = address_bits(depth)
    if depth != 1 << bits:
        raise ElastixError(f"rom {name} of {depth} words", wanted="a power of two, at least 2")
    wide = next((word for word in words if not 0 <= word < 1 << width), None)
    if wide is not None:
        raise ElastixError(f"word {wide} in rom {name} of {width} bits", wanted="unsigned words that fit")
    inputs, outputs = {"address": bits}, {"data": width}
    head = f"""hw.module @{name}(in %clk : !seq.clock, in %address : i{bits}, out data : i{width})
    attributes {{comment = "{depth} constant words of {width} bits; data comes one clock after address."}} {{"""
    result = f"  hw.output %result : i{width}\n}}\n"
    verilog = "\n".join([head, _verilog_body(words, width), result])
    simulation = "\n".join([head, _simulation_body(name, depth, width), result])
    return Module.from_text(
        name, inputs, outputs, verilog=verilog, simulation=simulation, contents={name: tuple(words)}
    )


def _verilog_body(words: Sequence[int], width: int) -> str:
    bits, array = address_bits(len(words)), f"!hw.inout<uarray<{len(words)}xi{width}>>"
    rows = "\n".join(
        f"""    %row_{place} = hw.constant {_literal(place, bits)}
    %word_{place} = hw.constant {_literal(word, width)}
    %cell_{place} = sv.array_index_inout %storage[%row_{place}] : {array}, i{bits}
    sv.bpassign %cell_{place}, %word_{place} : i{width}"""
        for place, word in enumerate(words)
    )
    return f"""
  %storage = sv.reg name "storage" {{sv.attributes = [#sv.attribute<"rom_style" = "\\"block\\"">]}} : {array}
  sv.initial {{
{rows}
  }}
  %clock = seq.from_clock %clk
  %cell = sv.array_index_inout %storage[%address] : {array}, i{bits}
  %word = sv.read_inout %cell : !hw.inout<i{width}>
  %output = sv.reg name "data_q" : !hw.inout<i{width}>
  sv.always posedge %clock {{
    sv.passign %output, %word : i{width}
  }}
  %result = sv.read_inout %output : !hw.inout<i{width}>"""


def _simulation_body(name: str, depth: int, width: int) -> str:
    memory = f"<{depth} x i{width}, i{address_bits(depth)}>"
    return f"""
  %storage = arc.memory {memory} {{name = "{name}"}}
  %word = arc.memory_read_port %storage[%address] : {memory}
  %result = seq.compreg name "data_q" %word, %clk : i{width}"""


def _literal(value: int, width: int) -> str:
    """An unsigned value as CIRCT writes constants: with a sign."""
    if width == 1:
        return "true" if value else "false"
    return f"{value - (1 << width) if value >> (width - 1) else value} : i{width}"
