"""The levels of the ladder: which ops and types are legal between two stages, and a check of a whole module."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from elastix.compiler.ir import Diagnostic, InvalidIR, ModuleOp, Operation, OpView, RankedTensorType, Type, at
from elastix.compiler.ir.core import Block, WalkOrder, WalkResult

_MOST_ERRORS = 20
"""More errors of one module are counted, not listed."""


@dataclass(frozen=True)
class Level:
    """Legal ops, by dialect (`torch.`) or whole name, and legal types, by how their text begins.

    Builtin tensors must have static shapes. nested: the level of modules inside the module; None: none may be there.
    """

    name: str
    ops: tuple[str, ...]
    types: tuple[str, ...]
    nested: "Level | None" = None

    def check(self, module: ModuleOp) -> None:
        """Raises InvalidIR with an error, at its place, for every op that is not legal or has a type that is not."""
        diagnostics = self._diagnostics(module)
        if len(diagnostics) > _MOST_ERRORS:
            more = f"and {len(diagnostics) - _MOST_ERRORS} more errors"
            diagnostics = [*diagnostics[:_MOST_ERRORS], Diagnostic("note", more)]
        if diagnostics:
            raise InvalidIR(diagnostics, f"the module is not legal at level {self.name}")

    def _diagnostics(self, module: OpView) -> list[Diagnostic]:
        found: list[Diagnostic] = []

        def visit(op: Operation) -> WalkResult:
            if op == module.operation:
                return WalkResult.ADVANCE
            if op.name == "builtin.module":
                found.extend(self._nested(op))
                return WalkResult.SKIP
            if problem := self.problem(op):
                found.append(at(op.opview, f"'{op.name}' op {problem}"))
            return WalkResult.ADVANCE

        module.operation.walk(visit, WalkOrder.PRE_ORDER)
        return found

    def _nested(self, op: Operation) -> list[Diagnostic]:
        if self.nested is None:
            return [at(op.opview, f"'builtin.module' op is inside a module, which is not legal at level {self.name}")]
        return self.nested._diagnostics(op.opview)

    def problem(self, op: Operation) -> str:
        """What is wrong with one op at this level, or nothing."""
        if not op.name.startswith(self.ops):
            wanted = " or ".join(each.removesuffix(".") for each in self.ops)
            return f"is not legal at level {self.name}, wanted ops of {wanted}"
        types = [value.type for value in (*op.operands, *op.results)] + _argument_types(op)
        wrong = next((each for each in types if not self._is_legal(each)), None)
        if wrong is None:
            return ""
        wanted = "a static shape" if str(wrong).startswith(self.types) else " or ".join(self.types)
        return f"has type {wrong}, which is not legal at level {self.name}, wanted {wanted}"

    def _is_legal(self, type: Type) -> bool:
        if isinstance(type, RankedTensorType) and not type.has_static_shape:
            return False
        return str(type).startswith(self.types)


def _argument_types(op: Operation) -> list[Type]:
    blocks: Sequence[Block] = [block for region in op.regions for block in region]
    return [argument.type for block in blocks for argument in block.arguments]


_FUNCTIONS: Final = ("func.",)
_TORCH_TYPES: Final = ("!torch.",)

TORCH: Final = Level("TORCH", (*_FUNCTIONS, "torch."), _TORCH_TYPES)
"""As imported and cleaned: what the model computes."""

_OUTLINED: Final = Level("TORCH", (*_FUNCTIONS, "torch.", "torch_c."), (*_TORCH_TYPES, "tensor"))

ELX: Final = Level(
    "ELX",
    (*_FUNCTIONS, "elx.", "epu.processor", "epu.step_processor", "torch.", "torch_c.", "arith.constant"),
    ("tensor", *_TORCH_TYPES),
    nested=_OUTLINED,
)
"""Fused and quantized; what has no op in `elx` is still torch's, in the same function or outlined."""

EPU: Final = Level("EPU", (*_FUNCTIONS, "elx.", "epu.", "arith.constant"), ("tensor",), nested=_OUTLINED)
"""Instructions with addresses beside the step they were made from; torch ops only in the nested module."""

HOST: Final = Level("HOST", (*_FUNCTIONS, "host.", "epu.", "llvm."), ("!llvm.ptr", "i64", "i32"), nested=_OUTLINED)
"""Pointers and integers only; torch ops only in the nested module."""

_LLVM_TYPES: Final = ("!llvm.", "i1", "i8", "i16", "i32", "i64", "f32", "f64", "vector<")

LLVM: Final = Level("LLVM", ("llvm.", "epu."), _LLVM_TYPES)
"""The host program as machine code is made of it, beside the program of the processor."""
STEP: Final = Level("step", ("epu.step_processor", "epu.step_program", "epu.buffer", "epu.instruction"), ("!",))
"""A whole decode step as instructions: no values, no function is left."""
