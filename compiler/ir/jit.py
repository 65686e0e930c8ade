"""LLVM-dialect modules compiled into this process."""

from collections.abc import Sequence
from pathlib import Path

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir.context import text_of
from elastix.compiler.ir.core import Module, ModuleOp
from elastix.compiler.ir.machinery import ExecutionEngine


class Compiled:
    """Machine code of a module that holds nothing but the LLVM dialect; lives as long as this object."""

    def __init__(
        self, module: ModuleOp, *, libraries: Sequence[Path] = (), optimization: int = 2, object_file: bool = False
    ) -> None:
        """libraries: whose `extern "C"` names the code calls; object_file: keep what `write_object` needs."""
        with module.context:
            # The engine takes only a Module, and the bindings make none from an op.
            copy = Module.parse(text_of(module))
            self._engine = ExecutionEngine(copy, optimization, [str(path.resolve()) for path in libraries], object_file)

    def address(self, function: str) -> int:
        """The packed wrapper of a function: call it with ONE pointer, to an array of pointers to its arguments.

        Raises ElastixError if there is no such function.
        """
        address = self._engine.raw_lookup(function)
        if not address:
            raise ElastixError(f"no function {function!r} in the compiled code")
        return address

    def write_object(self, path: Path) -> None:
        """Writes the code as an object file."""
        self._engine.dump_to_object_file(str(path))
