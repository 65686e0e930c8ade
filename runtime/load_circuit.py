"""A circuit as code in this process, through the JIT or Verilator: an address to call, addresses of its ports."""

import ctypes
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from elastix.compiler.circuit import CompiledModel, Module, to_llvm, to_systemverilog
from elastix.runtime import verilator


@dataclass(frozen=True)
class LoadedCircuit:
    """A circuit in memory: evaluate(state), ports by name → (address, bits, is an output).

    seen_clock: address of the byte that holds the clock last seen, 0 if unknown; owner: whatever keeps the addresses
    valid; close: frees it. Of the JIT alone, registers: by path → (address, bits), and memories: by the path of the
    instance → (address, bytes from word to word, words).
    """

    evaluate: int
    state: int
    ports: dict[str, tuple[int, int, bool]]
    seen_clock: int
    owner: object
    close: Callable[[], None]
    registers: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    memories: dict[str, tuple[int, int, int]] = field(default_factory=dict[str, tuple[int, int, int]])


@dataclass(frozen=True)
class _Compiled:
    model: CompiledModel
    entry: int
    owner: object


# A few seconds to compile: engines of one processor share the code, each with a state of its own.
@lru_cache(maxsize=8)
def _compiled(module: Module) -> _Compiled:
    model = to_llvm(module)
    ir: Any = importlib.import_module("torch_mlir.ir")
    execution_engine: Any = importlib.import_module("torch_mlir.execution_engine")
    context = ir.Context()
    with context:
        engine = execution_engine.ExecutionEngine(ir.Module.parse(model.text), opt_level=3)
    return _Compiled(model, int(engine.raw_lookup(model.entry)), (engine, context))


def load_arc(module: Module) -> LoadedCircuit:
    """The circuit compiled into this process: CIRCT's arc dialect, LLVM, the JIT of the MLIR that torch-mlir brings."""
    compiled = _compiled(module)
    model = compiled.model
    # Aligned as the widest vector loads want; slack so that an address of a port may be read in eights.
    buffer = np.zeros(model.size + 4096 + 64, dtype=np.uint8)
    base = -(-buffer.ctypes.data // 4096) * 4096
    for offset, data in model.contents:
        ctypes.memmove(base + offset, data, len(data))
    # The wrapper that raw_lookup finds takes an array of pointers to the arguments, of which there is one: the state.
    argument = ctypes.c_uint64(base)
    arguments = (ctypes.c_void_p * 1)(ctypes.addressof(argument))
    outputs = module.outputs
    ports = {name: (base + offset, bits, name in outputs) for name, (offset, bits) in model.ports.items()}
    return LoadedCircuit(
        evaluate=compiled.entry,
        state=ctypes.addressof(arguments),
        ports=ports,
        seen_clock=base + model.previous_clock if model.previous_clock >= 0 else 0,
        owner=(compiled, buffer, argument, arguments),
        close=lambda: None,
        registers={name: (base + offset, bits) for name, (offset, bits) in model.registers.items()},
        memories={name: (base + offset, stride, words) for name, (offset, stride, words) in model.memories.items()},
    )


@lru_cache(maxsize=8)
def _systemverilog(module: Module) -> dict[str, str]:
    return to_systemverilog(module)


def load_verilator(module: Module) -> LoadedCircuit:
    """The circuit's SystemVerilog as compiled by Verilator; built once, then taken from the cache."""
    model = verilator.load(_systemverilog(module), module.name)
    return LoadedCircuit(model.evaluate, model.state, model.ports, 0, model, model.close)
