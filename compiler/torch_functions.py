"""Functions of torch ops to LLVM, through torch-mlir's linalg; tensors are bare pointers, results come last."""

import re
from dataclasses import replace
from typing import Final

from elastix.compiler.errors import CannotCompile
from elastix.compiler.importer.torch_values import set_operand
from elastix.compiler.ir import Diagnostic, PassFailed, RefusedOp, build_at, run_passes
from elastix.compiler.ir.core import (
    DenseI32ArrayAttr,
    InsertionPoint,
    ModuleOp,
    Operation,
    OpView,
    UnitAttr,
    Value,
)
from elastix.compiler.step_function import all_ops

_TO_LINALG: Final = (
    "torchdynamo-export-to-torch-backend-pipeline",
    "torch-backend-to-linalg-on-tensors-backend-pipeline",
    "func.func(refback-generalize-tensor-pad,refback-generalize-tensor-concat)",
    "canonicalize",
    "linalg-fuse-elementwise-ops",
    "canonicalize",
    "cse",
    # What torch-mlir has no linalg for (sort, scan, scatter) has a dialect of its own.
    "func.func(tm-tensor-bufferize)",
)
_TO_LLVM: Final = (
    "one-shot-bufferize{bufferize-function-boundaries=1 function-boundary-type-conversion=identity-layout-map}",
    # Without modify-public-functions the result buffer is silently not written.
    "buffer-results-to-out-params{modify-public-functions=1 hoist-static-allocs=1}",
    "canonicalize",
    "cse",
    "func.func(buffer-hoisting,promote-buffers-to-stack{max-alloc-size-in-bytes=4096})",
    "buffer-deallocation-pipeline",
    "func.func(refback-munge-memref-copy,tm-tensor-to-loops,refback-expand-ops-for-llvm)",
    "convert-linalg-to-loops",
    "lower-affine",
    "convert-scf-to-cf",
    "expand-strided-metadata",
    "lower-affine",
    "convert-math-to-llvm",
    "convert-math-to-libm",
    # Shapes are static, so a pointer says all; a thousand calls with full descriptors take seconds to compile.
    "convert-func-to-llvm{use-bare-ptr-memref-call-conv=1}",
    "convert-to-llvm",
    "reconcile-unrealized-casts",
)


def lower_torch_functions(functions: ModuleOp) -> None:
    """Lower a module of torch functions to the LLVM dialect in place: `void f(arguments…, results…)`, all pointers.

    Raises NotLowered, a CannotCompile, naming the op that does not lower and the line of the model it comes from.
    """
    try:
        run_passes(functions, _TO_LINALG)
        for op in all_ops(functions):
            if op.operation.name == "bufferization.to_tensor":
                # True of every buffer that tm-tensor-bufferize makes, and without it one-shot-bufferize refuses.
                op.attributes["restrict"] = UnitAttr.get()
            if op.operation.name == "func.return":
                _return_each_once(op)
        run_passes(functions, _TO_LLVM)
    except PassFailed as failure:
        raise _not_lowered(failure) from failure


def _return_each_once(op: OpView) -> None:
    """Copies a result that is returned twice: buffer-results-to-out-params crashes on one buffer for two results."""
    seen: set[Value] = set()
    for place, value in enumerate(list(op.operands)):
        if value in seen:
            with build_at(InsertionPoint(op), op.location):
                sizes = DenseI32ArrayAttr.get([0, 1, 0])
                copy = Operation.create(
                    "bufferization.alloc_tensor", [value.type], [value], {"operandSegmentSizes": sizes}
                )
            set_operand(op, place, copy.results[0])
        seen.add(value)


class NotLowered(RefusedOp):
    """A torch op that has no way to host code; its place is the line of the model that it comes from."""

    def __init__(self, op: str, why: str, at: Diagnostic) -> None:
        where, do = f"{at.file}:{at.line}" if at.line else "", "write it with other ops in the model"
        CannotCompile.__init__(self, op, where=where, why=why, do=do)
        self.diagnostic = replace(at, message=f"'{op}' op {why}; {do}", notes=())


def _not_lowered(failure: PassFailed) -> NotLowered:
    first = next((each for each in failure.diagnostics if each.severity == "error"), Diagnostic("error", str(failure)))
    op = _op_name(first.message)
    why = "it does not lower to host code" if op else f"{failure.pass_name}: {first.message}"
    return NotLowered(op or "torch ops", why, first)


def _op_name(message: str) -> str:
    """The op that a message of MLIR is about; of an op that torch-mlir only knows by name, that name."""
    by_name = re.search(r'"torch\.operator".*?name = "([^"]+)"', message)
    quoted = re.search(r"'([a-z_]+\.[\w.]+)'", message)
    found = by_name or quoted
    return found[1] if found else ""
