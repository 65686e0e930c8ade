"""Memories: one write port, one read port, as a module of their own per shape, which every tool infers as RAM."""

from functools import cache

from elastix.compiler.circuit.module import Module
from elastix.compiler.circuit.signal import Signal
from elastix.compiler.errors import ElastixError


def address_bits(depth: int) -> int:
    """Bits of an address into `depth` words, at least 1."""
    return max(1, (depth - 1).bit_length())


@cache
def storage(depth: int, width: int, latency: int) -> Module:
    """`depth` words of `width` bits: written at the clock edge; read one clock later (latency 1) or at once (0).

    With latency 1 a word read at the edge that writes it is undefined: the Verilog says so with x, so that block RAM
    needs no bypass.
    """
    name = f"{'ram' if latency else 'register_file'}_{depth}x{width}"
    note = "a read of the word being written gives x" if latency else "read without a clock"
    inputs = {"write_enable": 1, "write_address": address_bits(depth), "write_data": width}
    inputs["read_address"] = address_bits(depth)
    ports = ", ".join(["in %clk : !seq.clock", *(f"in %{port} : i{bits}" for port, bits in inputs.items())])
    head = f"""hw.module @{name}({ports}, out read_data : i{width})
    attributes {{comment = "{depth} words of {width} bits; {note}."}} {{"""
    result = f"  hw.output %result : i{width}\n}}\n"
    verilog = "\n".join([head, _verilog_body(depth, width, latency), result])
    simulation = "\n".join([head, _simulation_body(depth, width, latency), result])
    return Module.from_text(name, inputs, {"read_data": width}, verilog=verilog, simulation=simulation)


def _verilog_body(depth: int, width: int, latency: int) -> str:
    bits, array = address_bits(depth), f"!hw.inout<uarray<{depth}xi{width}>>"
    style = "block" if latency else "distributed"
    registered = f"""
  %same = comb.icmp bin eq %read_address, %write_address : i{bits}
  %collision = comb.and bin %write_enable, %same : i1
  %unknown = sv.constantX : i{width}
  %known_word = comb.mux %collision, %unknown, %word : i{width}
  %output = sv.reg name "read_data_q" : !hw.inout<i{width}>
  sv.always posedge %clock {{
    sv.passign %output, %known_word : i{width}
  }}
  %result = sv.read_inout %output : !hw.inout<i{width}>"""
    return f"""
  %storage = sv.reg name "storage" {{sv.attributes = [#sv.attribute<"ram_style" = "\\"{style}\\"">]}} : {array}
  %clock = seq.from_clock %clk
  sv.always posedge %clock {{
    sv.if %write_enable {{
      %write_cell = sv.array_index_inout %storage[%write_address] : {array}, i{bits}
      sv.passign %write_cell, %write_data : i{width}
    }}
  }}
  %read_cell = sv.array_index_inout %storage[%read_address] : {array}, i{bits}
  %{"word" if latency else "result"} = sv.read_inout %read_cell : !hw.inout<i{width}>{registered if latency else ""}"""


def _simulation_body(depth: int, width: int, latency: int) -> str:
    memory = f"<{depth} x {width}>"
    register = f'\n  %result = seq.compreg name "read_data_q" %word, %clk : i{width}'
    return f"""
  %storage = seq.firmem name "storage" 0, 1, undefined, port_order : {memory}
  seq.firmem.write_port %storage[%write_address] = %write_data, clock %clk enable %write_enable : {memory}
  %{"word" if latency else "result"} = seq.firmem.read_port %storage[%read_address], clock %clk : {memory}{
        register if latency else ""
    }"""


class Memory:
    """A memory of one write and one read port inside a module; `write` and `read` are each called once."""

    def __init__(self, module: Module, name: str, depth: int, width: int, latency: int = 1) -> None:
        if latency not in (0, 1):
            raise ElastixError(f"memory {name} with read latency {latency}", wanted="0 or 1")
        bits = address_bits(depth)
        self.depth, self.width, self.latency, self.address_bits = depth, width, latency, bits
        self._enable = module.wire(f"{name}_write", 1)
        self._write_address = module.wire(f"{name}_write_address", bits)
        self._write_data = module.wire(f"{name}_write_data", width)
        self._read_address = module.wire(f"{name}_read_address", bits)
        self._read_data = module.instance(
            name,
            storage(depth, width, latency),
            write_enable=self._enable,
            write_address=self._write_address,
            write_data=self._write_data,
            read_address=self._read_address,
        )["read_data"]

    def write(self, address: Signal, data: Signal, enable: Signal) -> None:
        """Store `data` at `address` at each clock edge where `enable` is 1."""
        self._enable.assign(enable)
        self._write_address.assign(address)
        self._write_data.assign(data)

    def read(self, address: Signal) -> Signal:
        """The word at `address`, `latency` clocks later; with latency 1 undefined if that edge writes it."""
        self._read_address.assign(address)
        return self._read_data
