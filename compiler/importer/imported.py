"""What every importer returns: a torch-dialect function, and what its arguments and results mean."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from elastix.compiler.importer.store import WeightStore
from elastix.compiler.ir import ModuleOp

Kind = Literal["weight", "cache", "buffer", "input"]


@dataclass(frozen=True)
class Argument:
    """One argument: `name` is unique, and is the store's for weights and buffers; dtype as numpy names it."""

    name: str
    kind: Kind
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Result:
    """One result: `writes` names the cache argument that it replaces, or is empty for what the caller gets."""

    name: str
    writes: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Imported:
    """A model as one stateless function `entry` of `module` (torch dialect; arguments carry `elx.name` and `elx.kind`).

    arguments, results: as imported; passes add and drop weights, so later stages read the function's attributes.
    store: the values of every weight and buffer argument.
    tokenizer: folder or GGUF file that holds the tokenizer, if any.
    max_context: length of the caches, in tokens; 0 if the model has none.
    """

    module: ModuleOp
    entry: str
    store: WeightStore
    arguments: tuple[Argument, ...]
    results: tuple[Result, ...]
    tokenizer: Path | None = None
    max_context: int = 0

    def of_kind(self, kind: Kind) -> tuple[Argument, ...]:
        """The arguments of one kind, in order."""
        return tuple(argument for argument in self.arguments if argument.kind == kind)

    @property
    def inputs(self) -> tuple[Argument, ...]:
        """What the caller gives at each step, in order."""
        return self.of_kind("input")

    @property
    def outputs(self) -> tuple[Result, ...]:
        """What the caller gets at each step, in order."""
        return tuple(result for result in self.results if not result.writes)
