"""elx ops that compute the same from the same values become one."""

from elastix.compiler.ir import ModuleOp, compiler_pass, run_passes


@compiler_pass
def merge_equal(module: ModuleOp) -> None:
    """Keep one of several `elx` ops that compute the same, by MLIR's common subexpression elimination.

    Fusing makes such ops: positions in the shape that every layer wants, for each layer anew.
    """
    run_passes(module, "cse")
