"""Contexts with every dialect loaded, and MLIR text in and out."""

import io
from pathlib import Path
from typing import cast

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir.core import Context, InsertionPoint, Location, MLIRError, Module, ModuleOp, Operation, OpView
from elastix.compiler.ir.diagnostics import InvalidIR, from_mlir
from elastix.compiler.ir.machinery import PassManager, register_torch

_CONVERSION_PASS = "builtin.module(torch-func-backend-type-conversion)"
"""Depends on the dialect `torch_c`, which the bindings can load in no other way."""


def new_context() -> Context:
    """A context with MLIR's dialects, torch, torch_c, elx, epu and host loaded; for use by one thread.

    It stays single-threaded: verifiers written in Python hang when MLIR's thread pool calls them.
    """
    from elastix.dialects import DIALECTS

    context = Context()
    register_torch(context)
    with context, Location.unknown():
        PassManager.parse(_CONVERSION_PASS).run(Module.create().operation)
        for dialect in DIALECTS:
            dialect.load()
    return context


def parse(text: str | bytes, *, context: Context | None = None, name: str = "-") -> ModuleOp:
    """The module that `text` (or bytecode) spells, verified; `name` stands for the file in locations.

    Text without a module around it gets one. Raises InvalidIR with every error MLIR reports.
    """
    context = context or Context.current or new_context()
    with context:
        try:
            if isinstance(text, bytes):
                return cast(ModuleOp, Module.parse(text).operation.opview)
            return _parse_text(text, name)
        except MLIRError as error:
            raise InvalidIR(from_mlir(error, name), f"{name} is not valid MLIR") from None


def _parse_text(text: str, name: str) -> ModuleOp:
    # Only Operation.parse takes a file name, only Module.parse takes several ops at the top.
    try:
        op = Operation.parse(text, source_name=name)
        if isinstance(op, ModuleOp):
            return op
    except MLIRError as error:
        if not any("single top-level operation" in found.message for found in error.error_diagnostics):
            raise
    return cast(ModuleOp, Module.parse(text).operation.opview)


def parse_file(path: Path, *, context: Context | None = None) -> ModuleOp:
    """The module in `path`, text or bytecode. Raises InvalidIR, and ElastixError if the file cannot be read."""
    try:
        content = decode(path.read_bytes())
    except OSError as error:
        raise ElastixError(f"cannot read {path}: {error.strerror}", wanted="a file of MLIR text or bytecode") from None
    return parse(content, context=context, name=str(path))


def decode(content: bytes) -> str | bytes:
    """The content of a file as `parse` takes it: bytecode as it is, all else as UTF-8. Raises ElastixError."""
    if content.startswith(b"ML\xefR"):
        return content
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ElastixError(f"byte {error.start} is not UTF-8", wanted="MLIR text or bytecode") from None


def new_module(context: Context | None = None) -> ModuleOp:
    """An empty module."""
    context = context or Context.current or new_context()
    with context, Location.unknown():
        return cast(ModuleOp, Module.create().operation.opview)


def text_of(op: OpView, *, locations: bool = False, generic: bool = False) -> str:
    """The MLIR text of an op and what is in it, with a final newline; verifies nothing."""
    text = op.operation.get_asm(enable_debug_info=locations, print_generic_op_form=generic, assume_verified=True)
    return text if text.endswith("\n") else text + "\n"


def bytecode_of(op: OpView) -> bytes:
    """The MLIR bytecode of an op and what is in it."""
    buffer = io.BytesIO()
    op.operation.write_bytecode(buffer)
    return buffer.getvalue()


def build_at(point: InsertionPoint, location: Location) -> "_Building":
    """`with build_at(point, location):` new ops go to `point` and bear `location`."""
    return _Building(point, location)


class _Building:
    def __init__(self, point: InsertionPoint, location: Location) -> None:
        self._point, self._location = point, location

    def __enter__(self) -> None:
        self._point.__enter__()
        self._location.__enter__()

    def __exit__(self, *error: object) -> None:
        self._location.__exit__(None, None, None)
        self._point.__exit__(None, None, None)
