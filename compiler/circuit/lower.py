"""From modules to text that tools take: SystemVerilog for synthesis and Verilator, LLVM dialect for the JIT."""

import importlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from elastix.compiler.circuit.module import Module, Target
from elastix.compiler.errors import ElastixError

VERILOG_PASSES = (
    "lower-seq-to-sv{disable-mem-randomization=1 disable-reg-randomization=1}",
    "canonicalize",
    "cse",
    "hw.module(hw-cleanup,prettify-verilog)",
)
# Yosys reads neither packed arrays nor locals in always blocks; named terms become wires, so that names survive.
VERILOG_STYLE = (
    "disallowLocalVariables,disallowPackedArrays,locationInfoStyle=none,emittedLineLength=120,"
    "wireSpillingHeuristic=spillLargeTermsWithNamehints"
)

MODEL_PASSES = (
    "hw.module(lower-seq-compreg-ce)",
    "lower-seq-firmem",
    "arc-infer-memories{tap-memories=1 tap-ports=0}",
    "hw-flatten-modules",
    "convert-to-arcs",
    "arc-dedup",
    "canonicalize",
    "cse",
    "arc-split-loops",
    "arc-inline",
    "arc-lower-state",
    "canonicalize",
    "cse",
    "arc-lower-arcs-to-funcs",
    "arc.model(arc-allocate-state)",
)
_MEMORY_TYPE = re.compile(r"!arc.memory<(\d+) x ")
CODE_PASSES = ("arc-lower-clocks-to-funcs", "canonicalize", "cse", "lower-arc-to-llvm")


@dataclass(frozen=True)
class CompiledModel:
    """A module as code that simulates it.

    text: LLVM dialect; `entry`(state) moves the registers if the clock rose since the last call, then sets outputs.
    ports, registers: name -> (byte offset in the state, width in bits); little endian, unused high bits zero.
    size: bytes of the state, zero at power-on, 16-byte aligned or better.
    previous_clock: offset of the byte that remembers the clock; with `clk` at 1, writing 0 there makes a call a cycle.
    contents: (byte offset, bytes) to be written into the state before its first use, for memories with contents.
    memories: name of the instance -> (byte offset, bytes from word to word, words) of memories that are written.
    """

    text: str
    entry: str
    ports: dict[str, tuple[int, int]]
    registers: dict[str, tuple[int, int]]
    size: int
    previous_clock: int
    contents: tuple[tuple[int, bytes], ...] = ()
    memories: dict[str, tuple[int, int, int]] = field(default_factory=dict[str, tuple[int, int, int]])


def to_systemverilog(module: Module) -> dict[str, str]:
    """The module and all below it as SystemVerilog, one module a file: {file name: text}."""
    with _Circt() as circt:
        design = circt.parse(_source(module, "verilog"))
        design.operation.attributes["circt.loweringOptions"] = circt.ir.StringAttr.get(VERILOG_STYLE)
        circt.run(design, VERILOG_PASSES)
        stream = io.StringIO()
        circt.root.export_verilog(design, stream)
    files = _split_files(stream.getvalue())
    return {f"{part.name}.sv": part.header() + files[f"{part.name}.sv"] for part in module.hierarchy()}


def to_llvm(module: Module, top: str | None = None) -> CompiledModel:
    """The design under `top` (the module itself unless named) as LLVM dialect text, through CIRCT's arc dialect."""
    name = top or module.name
    tops = [part for part in module.hierarchy() if part.name == name]
    if not tops:
        raise ElastixError(f"no module {name} in the design {module.name}", wanted="the name of a module in it")
    with _Circt() as circt:
        design = circt.parse(_source(tops[0], "simulation"))
        circt.run(design, MODEL_PASSES)
        words = {key: value for part in tops[0].hierarchy() for key, value in part.contents.items()}
        model = _Model(design, words)
        circt.run(design, CODE_PASSES)
        return CompiledModel(
            str(design),
            f"{name}_eval",
            model.ports,
            model.registers,
            model.size,
            model.previous_clock,
            tuple(model.contents),
            model.memories,
        )


def _source(module: Module, target: Target) -> str:
    parts = list(module.hierarchy())
    texts = [part.text(target) for part in parts]
    return "\n".join(
        text if part is module else text.replace("hw.module @", "hw.module private @", 1)
        for part, text in zip(parts, texts, strict=True)
    )


class _Circt:
    """CIRCT's context, imported on first use (it adds 0.25 s); the raw bindings do not leave this file."""

    def __enter__(self) -> "_Circt":
        self.root: Any = importlib.import_module("pycde.circt")
        self.ir: Any = importlib.import_module("pycde.circt.ir")
        self.passmanager: Any = importlib.import_module("pycde.circt.passmanager")
        for dialect in ("hw", "comb", "seq", "sv", "arc"):
            importlib.import_module(f"pycde.circt.dialects.{dialect}")
        self.context: Any = self.ir.Context()
        self.context.__enter__()
        self.root.register_dialects(self.context)
        return self

    def __exit__(self, *exception: object) -> None:
        self.context.__exit__(None, None, None)

    def parse(self, text: str) -> Any:
        return self.ir.Module.parse(text)

    def run(self, design: Any, passes: tuple[str, ...]) -> None:
        # One manager a pass: a manager loads the dialects of all its passes first, and
        # hw-flatten-modules aborts once the LLVM dialect is there.
        for name in passes:
            self.passmanager.PassManager.parse(f"builtin.module({name})").run(design.operation)


class _Model:
    """Offsets out of the `arc.model` op, read before the last passes drop them."""

    def __init__(self, design: Any, words: Mapping[str, tuple[int, ...]]) -> None:
        model = next(
            operation.operation for operation in design.body.operations if operation.operation.name == "arc.model"
        )
        self.ports: dict[str, tuple[int, int]] = {}
        self.registers: dict[str, tuple[int, int]] = {}
        self.size = _round_up(_integer(model.attributes["storageBytes"]), 16)
        self.previous_clock = -1
        self.contents: list[tuple[int, bytes]] = []
        self.memories: dict[str, tuple[int, int, int]] = {}
        self._words = words
        for operation in model.regions[0].blocks[0].operations:
            self._read(operation.operation)

    def _read(self, operation: Any) -> None:
        if (
            operation.name in ("arc.root_input", "arc.root_output", "arc.alloc_state")
            and "name" in operation.attributes
        ):
            place = _integer(operation.attributes["offset"]), _state_width(str(operation.results[0].type))
            table = self.registers if operation.name == "arc.alloc_state" else self.ports
            table[str(operation.attributes["name"].value)] = place
        elif operation.name == "arc.alloc_memory" and "name" in operation.attributes:
            stride, offset = _integer(operation.attributes["stride"]), _integer(operation.attributes["offset"])
            path, _, key = str(operation.attributes["name"].value).rpartition("/")
            words = self._words.get(key)
            if words is None:
                found = _MEMORY_TYPE.match(str(operation.results[0].type))
                self.memories[path] = offset, stride, int(found[1]) if found else 0
                return
            data = b"".join(word.to_bytes(stride, "little") for word in words)
            self.contents.append((offset, data))
        elif operation.name == "arc.state_write":
            state, value = operation.operands[0].owner, operation.operands[1].owner
            if value.name == "seq.from_clock":
                self.previous_clock = _integer(state.attributes["offset"])


def _integer(attribute: Any) -> int:
    return int(attribute.value)


def _state_width(state_type: str) -> int:
    """Width of `!arc.state<i8>` or of `!arc.state<!seq.clock>`, which is one bit."""
    inner = state_type.removeprefix("!arc.state<").removesuffix(">")
    return 1 if inner == "!seq.clock" else int(inner.removeprefix("i"))


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _split_files(text: str) -> dict[str, str]:
    """One file a module, each with the comment lines just above it."""
    files: dict[str, str] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("// Generated by"):
            continue
        lines.append(line)
        if line.startswith("endmodule"):
            start = next(index for index, kept in enumerate(lines) if kept.startswith("module "))
            name = lines[start].removeprefix("module ").split("(")[0].strip()
            files[f"{name}.sv"] = "\n".join(lines).strip("\n") + "\n"
            lines = []
    return files
