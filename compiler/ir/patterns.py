"""Rewrite patterns: a function from an op to what replaces it."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir.core import Module, OpView, Value
from elastix.compiler.ir.machinery import (
    GreedyRewriteConfig,
    PatternRewriter,
    RewritePatternSet,
    apply_patterns_and_fold_greedily,
)

O = TypeVar("O", bound=OpView)  # noqa: E741


class Changed:
    """See CHANGED."""


CHANGED: Final = Changed()
"""What a pattern returns that has changed its op in place."""

Replacement = Value | OpView | Sequence[Value] | Changed | None
"""What a pattern returns: one value, the op whose results they are, a value per result, or None: no match.

An empty sequence erases the op.
"""

_MOST_ITERATIONS: Final = 100
_MOST_REWRITES: Final = 100_000
"""Rewrites in one call until patterns count as never settling; ten times the ops of the largest model's IR."""


@dataclass(frozen=True)
class Pattern(Generic[O]):
    """A rewrite of ops of one class; made by `@pattern`. Calling it calls the function."""

    root: type[O]
    rewrite: Callable[[O], Replacement]

    @property
    def name(self) -> str:
        return self.rewrite.__name__

    def __call__(self, op: O) -> Replacement:
        return self.rewrite(op)


class _Budget:
    """Counts the rewrites of one call: the driver's own limit holds for each of its iterations anew."""

    def __init__(self, patterns: Sequence[Pattern[Any]]) -> None:
        self._names, self._left = ", ".join(each.name for each in patterns), _MOST_REWRITES

    def spend(self) -> None:
        self._left -= 1
        if not self._left:
            raise self.error()

    def error(self) -> ElastixError:
        return ElastixError(f"the patterns {self._names} never settle", wanted="patterns that undo no other's work")

    def callback(self, tried: Pattern[Any]) -> Callable[[OpView, PatternRewriter], bool]:
        """What the bindings call for a pattern; they take a true return for "no match"."""

        def rewrite(op: OpView, rewriter: PatternRewriter) -> bool:
            with rewriter.ip, op.location:
                replacement = tried.rewrite(op)
            if replacement is None:
                return True
            self.spend()
            _replace(op, replacement, rewriter)
            return False

        return rewrite


def _replace(op: OpView, by: Value | OpView | Sequence[Value] | Changed, rewriter: PatternRewriter) -> None:
    if isinstance(by, Value):
        rewriter.replace_op(op, [by])
    elif isinstance(by, OpView):
        rewriter.replace_op(op, by.operation)
    elif not isinstance(by, Changed):
        if by:
            rewriter.replace_op(op, list(by))
        else:
            rewriter.erase_op(op)


def pattern(function: Callable[[O], Replacement]) -> Pattern[O]:
    """Makes a pattern of a function; the class its parameter is annotated with says which ops it is tried on.

    New ops are inserted before the op and get its location.
    """
    parameters = list(inspect.signature(function, eval_str=True).parameters.values())
    root = parameters[0].annotation if len(parameters) == 1 else None
    if not (isinstance(root, type) and issubclass(root, OpView)):
        raise TypeError(f"{function.__name__} must take one parameter annotated with an op class, not {root}")
    return Pattern(cast(type[O], root), function)


def rewrite_until_stable(module: Module | OpView, *patterns: Pattern[Any]) -> None:
    """Applies the patterns, and folding and removal of dead ops, to everything in `module` until nothing changes.

    Raises ElastixError if the patterns never settle; what a pattern raises comes out as it is.
    """
    budget = _Budget(patterns)
    with module.operation.context:
        rewrites = RewritePatternSet()
        for each in patterns:
            rewrites.add(each.root, budget.callback(each))
        config = GreedyRewriteConfig()
        config.max_iterations = _MOST_ITERATIONS
        config.use_top_down_traversal = True
        try:
            apply_patterns_and_fold_greedily(module.operation, rewrites.freeze(), config)
        except RuntimeError as error:
            if "converge" not in str(error):
                raise
            raise budget.error() from None
