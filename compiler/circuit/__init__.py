"""Hardware written in Python: a small typed face over CIRCT's hw, comb and seq dialects; see README.md."""

from elastix.compiler.circuit.lower import CompiledModel, to_llvm, to_systemverilog
from elastix.compiler.circuit.memory import Memory, address_bits
from elastix.compiler.circuit.module import Module
from elastix.compiler.circuit.rom import rom
from elastix.compiler.circuit.signal import Register, Signal, Wire, concat, mux, select

__all__ = [
    "CompiledModel",
    "Memory",
    "Module",
    "Register",
    "Signal",
    "Wire",
    "address_bits",
    "concat",
    "mux",
    "rom",
    "select",
    "to_llvm",
    "to_systemverilog",
]
