"""Every processor that a module names becomes SystemVerilog."""

from hashlib import sha256
from pathlib import Path
from typing import Final

from elastix.compiler.circuit import Module, to_systemverilog
from elastix.compiler.ir import compiler_pass
from elastix.compiler.ir.core import ArrayAttr, ModuleOp, StringAttr
from elastix.compiler.ir.diagnostics import RefusedOp
from elastix.compiler.processor.top import build
from elastix.dialects.epu import ProcessorOp, StepProcessorOp

FILES: Final = "epu.files"
"""On `epu.processor`: names of its SystemVerilog files, in alphabetical order."""
HASH: Final = "epu.rtl_sha256"
"""On `epu.processor`: SHA-256 of names and texts of these files, in that order."""


@compiler_pass
def epu_to_circuit(module: ModuleOp, *, folder: str = "") -> None:
    """Generate the SystemVerilog of every `epu.processor` and `epu.step_processor`, one module a file.

    The circuit lives in CIRCT's own context, so the op stays and learns the names and the hash of the files that were
    made of it. Refuses a folder that cannot be written.

    folder: where the files go; without it none is written.
    """
    for op in module.body.operations:
        if isinstance(op, ProcessorOp | StepProcessorOp):
            files = dict(sorted(to_systemverilog(_circuit(op)).items()))
            if folder:
                _write(op, files, Path(folder))
            op.attributes[FILES] = ArrayAttr.get([StringAttr.get(name) for name in files])
            digest = sha256("".join(f"{name}\0{text}\0" for name, text in files.items()).encode())
            op.attributes[HASH] = StringAttr.get(digest.hexdigest())


def _circuit(op: ProcessorOp | StepProcessorOp) -> Module:
    if isinstance(op, ProcessorOp):
        return build(op.parameters())
    from elastix.compiler.processor.step.top import build as build_step  # loaded only where a step is compiled

    return build_step(op.parameters())


def _write(op: ProcessorOp | StepProcessorOp, files: dict[str, str], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text)
    except OSError as error:
        raise RefusedOp(op, f"cannot write {error.filename}: {error.strerror}", do="give another folder") from error
