"""Rewrite patterns: a function from an op to what replaces it."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from torch_mlir import rewrite as _rewrite

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir.core import Module, OpView, Value

O = TypeVar("O", bound=OpView)  # noqa: E741


class Changed:
    """See CHANGED."""


CHANGED: Final = Changed()
"""What a pattern returns that has changed its op in place."""

Replacement = Value | OpView | Sequence[Value] | Changed | None
"""What a pattern returns: one value, an op's results, one value per result (an empty sequence erases the op), or None: no match."""

_MOST_ITERATIONS: Final = 100
_MOST_REWRITES: Final = 1_000_000
"""Until patterns count as never settling; a hundred times the ops of the largest model's IR."""


@dataclass(frozen=True)
class Pattern(Generic[O]):
    """A rewrite of ops of one class; made by `@pattern`. Calling it calls the function."""

    root: type[O]
    rewrite: Callable[[O], Replacement]
    benefit: int

    @property
    def name(self) -> str:
        return self.rewrite.__name__

    def __call__(self, op: O) -> Replacement:
        return self.rewrite(op)

    def _callback(self, op: O, rewriter: "_rewrite.PatternRewriter") -> bool | None:
        # The bindings take a true return for "no match".
        with rewriter.ip, op.location:
            replacement = self.rewrite(op)
        if replacement is None:
            return True
        if isinstance(replacement, Value):
            rewriter.replace_op(op, [replacement])
        elif isinstance(replacement, OpView):
            rewriter.replace_op(op, replacement.operation)
        elif not isinstance(replacement, Changed):
            values = list(replacement)
            rewriter.replace_op(op, values) if values else rewriter.erase_op(op)
        return None


def pattern(function: Callable[[O], Replacement]) -> Pattern[O]:
    """Makes a pattern of a function; the class its parameter is annotated with says which ops it is tried on.

    New ops are inserted before the op and get its location.
    """
    parameters = list(inspect.signature(function, eval_str=True).parameters.values())
    root = parameters[0].annotation if len(parameters) == 1 else None
    if not (isinstance(root, type) and issubclass(root, OpView)):
        raise TypeError(f"{function.__name__} must take one parameter annotated with an op class, not {root}")
    return Pattern(root, function, benefit=1)


def rewrite_until_stable(module: Module | OpView, *patterns: Pattern[OpView]) -> None:
    """Applies the patterns, and folding and removal of dead ops, to everything in `module` until nothing changes.

    Raises ElastixError if the patterns never settle; what a pattern raises comes out as it is.
    """
    rewrites = _rewrite.RewritePatternSet()
    for each in patterns:
        rewrites.add(each.root, each._callback, each.benefit)
    config = _rewrite.GreedyRewriteConfig()
    config.max_iterations = _MOST_ITERATIONS
    config.max_num_rewrites = _MOST_REWRITES
    config.use_top_down_traversal = True
    try:
        _rewrite.apply_patterns_and_fold_greedily(module.operation, rewrites.freeze(), config)
    except RuntimeError as error:
        if "converge" not in str(error):
            raise
        names = ", ".join(each.name for each in patterns)
        raise ElastixError(f"the patterns {names} never settle", wanted="patterns that undo no other's work") from None
