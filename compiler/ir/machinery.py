# pyright: basic, reportAttributeAccessIssue=false
"""The raw machinery behind the facade, for `compiler/ir` only; `machinery.pyi` beside this file gives its types."""

import sys
from types import ModuleType

# From the extension modules themselves: the packages above them load 60,000 lines of op classes, which only those need
# who use them.
from torch_mlir._mlir_libs._mlirDialectsLLVM import PointerType
from torch_mlir._mlir_libs._torchMlir import register_dialect as register_torch
from torch_mlir.dialects.ext import Attribute as ParametricAttribute
from torch_mlir.dialects.ext import Dialect, Operand, Pure
from torch_mlir.dialects.ext import Operation as DeclaredOp
from torch_mlir.dialects.ext import Region as RegionField
from torch_mlir.dialects.ext import Result as ResultField
from torch_mlir.execution_engine import ExecutionEngine
from torch_mlir.ir import IsIsolatedFromAboveTrait as IsolatedTrait
from torch_mlir.ir import IsTerminatorTrait as TerminatorTrait
from torch_mlir.ir import NoTerminatorTrait
from torch_mlir.passmanager import PassManager
from torch_mlir.rewrite import (
    GreedyRewriteConfig,
    PatternRewriter,
    RewritePatternSet,
    apply_patterns_and_fold_greedily,
)

__all__ = [
    "DeclaredOp",
    "Dialect",
    "ExecutionEngine",
    "GreedyRewriteConfig",
    "IsolatedTrait",
    "NoTerminatorTrait",
    "Operand",
    "ParametricAttribute",
    "PassManager",
    "PatternRewriter",
    "PointerType",
    "Pure",
    "RegionField",
    "ResultField",
    "RewritePatternSet",
    "TerminatorTrait",
    "apply_patterns_and_fold_greedily",
    "register_torch",
]

# The bindings look for a module of classes each time they meet an op of a dialect that has none, 0.15 ms an op: our
# dialects register theirs when they are loaded, and torch_c has none.
for _dialect in ("elx", "epu", "host", "torch_c"):
    sys.modules[f"torch_mlir.dialects.{_dialect}"] = ModuleType(_dialect)
