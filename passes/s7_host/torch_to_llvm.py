"""The outlined torch functions become LLVM functions beside the host code that calls them."""

from elastix.compiler.ir import compiler_pass
from elastix.compiler.ir.core import ModuleOp, StringAttr
from elastix.compiler.torch_functions import lower_torch_functions
from elastix.passes.s4_partition.outline_torch import NESTED


@compiler_pass
def torch_to_llvm(module: ModuleOp) -> None:
    """Lower the nested module `@torch_functions` and move its LLVM functions and constants into this module.

    Raises CannotCompile naming the torch op that does not lower, and its line in the model.
    """
    for nested in list(module.body.operations):
        if not isinstance(nested, ModuleOp) or "sym_name" not in nested.attributes:
            continue
        if StringAttr(nested.attributes["sym_name"]).value == NESTED:
            lower_torch_functions(nested)
            for op in list(nested.body.operations):
                op.detach_from_parent()
                module.body.append(op)
            nested.erase()
