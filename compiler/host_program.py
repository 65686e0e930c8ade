"""The compiled step: LLVM to machine code in this process, and to files for later runs and for hosts written in C."""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from elastix.compiler.ir import new_context, new_module, parse, text_of
from elastix.compiler.ir.core import InsertionPoint, ModuleOp
from elastix.compiler.ir.jit import Compiled
from elastix.compiler.manifest import Manifest, Tensor
from elastix.runtime import library_path

STEP: Final = "step"
LLVM_FILE: Final = "step.mlir"
OBJECT_FILE: Final = "step.o"
HEADER_FILE: Final = "step.h"
_OPTIMIZATION = 2
_PACKED = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def llvm_module(module: ModuleOp) -> ModuleOp:
    """A module of the LLVM functions and constants in `module`, and nothing else."""
    copy = new_module(module.context)
    for op in module.body.operations:
        if op.operation.name.startswith("llvm."):
            op.clone(InsertionPoint(copy.body))
    return copy


class HostProgram:
    """`step` as machine code. Calls block, and may be made from any thread, but from one at a time per device."""

    def __init__(self, module: ModuleOp, *, object_file: bool = False) -> None:
        """module: LLVM dialect only; object_file: keep what `write_object` needs."""
        self._compiled = Compiled(
            module, libraries=[library_path()], optimization=_OPTIMIZATION, object_file=object_file
        )
        self._function = _PACKED(self._compiled.address(STEP))

    @classmethod
    def from_text(cls, text: str) -> "HostProgram":
        """From what `text_of(llvm_module(…))` gave."""
        with new_context():
            return cls(parse(text, name=LLVM_FILE))

    def __call__(self, device: int, memory: int, arena: int, arguments: Sequence[int], results: Sequence[int]) -> None:
        """Run the step once; all are addresses. An error stays in the device: the caller looks."""
        pointers = (_pointers(arguments), _pointers(results))
        values = (ctypes.c_void_p * 5)(device, memory, arena, *(ctypes.addressof(each) for each in pointers))
        first = ctypes.addressof(values)
        packed = (ctypes.c_void_p * 5)(*(first + 8 * index for index in range(5)))
        self._function(ctypes.addressof(packed))

    def write_object(self, path: Path) -> None:
        """The machine code as an object file that defines `step`."""
        self._compiled.write_object(path)


def _pointers(addresses: Sequence[int]) -> "ctypes.Array[ctypes.c_void_p]":
    return (ctypes.c_void_p * max(len(addresses), 1))(*addresses)


def write_host_files(module: ModuleOp, manifest: Manifest, folder: Path) -> None:
    """Write `step.mlir`, which `elastix run` compiles, and `step.o` with `step.h`, for hosts written in C."""
    folder.mkdir(parents=True, exist_ok=True)
    llvm = llvm_module(module)
    (folder / LLVM_FILE).write_text(text_of(llvm), encoding="utf-8")
    HostProgram(llvm, object_file=True).write_object(folder / OBJECT_FILE)
    (folder / HEADER_FILE).write_text(header(manifest), encoding="utf-8")


def header(manifest: Manifest) -> str:
    """The C header of a step: its signature, what to pass, and the constants to make its device with."""
    memory, processor = manifest.memory, manifest.processor
    numbers = {
        "STEP_ARENA_BYTES": manifest.arena_bytes,
        "STEP_MEMORY_BYTES": memory.size,
        "STEP_WEIGHTS_BYTES": memory.weights_bytes,
        "STEP_PROGRAM_ADDRESS": memory.program_address,
        "STEP_PROGRAM_BYTES": memory.program_bytes,
        "STEP_SCRATCH_ADDRESS": memory.patch,
    }
    width = max(map(len, numbers))
    defines = "\n".join(f"#define {name:<{width}} {value}LL" for name, value in numbers.items())
    fields = (processor.beat, processor.activation_bits, processor.lanes, processor.channels, processor.max_tiles)
    return f"""\
/* One step of the model. Made by `elastix compile`; link step.o with the Elastix runtime, -lm and -no-pie.
 *
 * Make the device with elastix_device_create(&step_processor, STEP_MEMORY_BYTES, STEP_SCRATCH_ADDRESS), read
 * weights.bin to byte 0 of its memory and program.bin to byte STEP_PROGRAM_ADDRESS, and call step with an arena of
 * STEP_ARENA_BYTES bytes, aligned to 64. Caches begin as zeros and are written in place. Afterwards look at
 * elastix_device_error.
 *
 * arguments:
{_list(manifest.arguments)}
 * results:
{_list(manifest.results)}
 */
#ifndef ELASTIX_STEP_H
#define ELASTIX_STEP_H

#include "elastix.h"

{defines}

static const elastix_processor step_processor = {{{", ".join(map(str, fields))}}};

#ifdef __cplusplus
extern "C"
#endif
void step(elastix_device* device, uint8_t* memory, void* arena, void* const* arguments, void* const* results);

#endif
"""


def _list(tensors: Sequence[Tensor]) -> str:
    lines = [
        f" *   [{index}] {each.name}: {each.kind}, {each.dtype} [{', '.join(map(str, each.shape))}]"
        for index, each in enumerate(tensors)
    ]
    return "\n".join(lines) or " *   none"
