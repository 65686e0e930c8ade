"""Compiles small modules of `elx` text into programs, for the tests of the host path."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.describe import describe
from elastix.compiler.host_program import HostProgram, llvm_module
from elastix.compiler.image import write_image
from elastix.compiler.importer.store import ArrayStore
from elastix.compiler.ir import ModuleOp, Pass, new_context, parse, run_passes
from elastix.compiler.options import CompileOptions
from elastix.compiler.pipeline import passes_of
from elastix.compiler.program import assemble, image_layout
from elastix.compiler.program_runner import Program

Floats = NDArray[np.float32]
PROCESSOR = (
    '"epu.processor"() {sym_name = "processor", beat = %d : i64, activation_bits = %d : i64, lanes = %d : i64, '
    "channels = %d : i64, max_tiles = 64 : i64, max_burst = 64 : i64, fifo_beats = 256 : i64, crc = true} : () -> ()\n"
)


@dataclass(frozen=True)
class Compiled:
    """A program, the LLVM module that its step came from, and its program.bin."""

    program: Program
    llvm: ModuleOp
    binary: bytes


def launches() -> list[Pass]:
    """The passes from quantized `elx` to instructions and host code, for a processor of linear layers."""
    return [each for stage in ("s4_partition", "s5_lower") for each in passes_of(stage, CompileOptions())]


def compile_text(
    text: str,
    weights: dict[str, Floats],
    folder: Path,
    *,
    beat: int = 64,
    activation_bits: int = 11,
    lanes: int = 1,
    channels: int = 1,
) -> Compiled:
    """Lower a module of one function `step`, pack its weights, and give the program with the emulator."""
    with new_context():
        module = parse(PROCESSOR % (beat, activation_bits, lanes, channels) + text)
        run_passes(module, launches())
        written = write_image(folder / "weights.bin", image_layout(module), ArrayStore(weights))
        manifest = describe(module, errors=written.errors)
        binary = assemble(module)
        run_passes(module, passes_of("s7_host", CompileOptions()))
        llvm = llvm_module(module)
        return Compiled(Program(manifest, HostProgram(llvm), folder / "weights.bin", binary), llvm, binary)
