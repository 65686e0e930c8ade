"""Runs passes, ours and MLIR's, over a module: verified after each, watched, and with a reproducer on failure."""

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir.context import text_of
from elastix.compiler.ir.core import MLIRError, ModuleOp
from elastix.compiler.ir.diagnostics import Diagnostic, InvalidIR, RefusedOp, from_mlir
from elastix.compiler.ir.machinery import PassManager
from elastix.compiler.ir.passes import Pass
from elastix.compiler.ir.pipeline_text import Step, read_pipeline
from elastix.compiler.ir.registry import all_passes, find_pass
from elastix.compiler.ir.reproducer import write_reproducer
from elastix.compiler.ir.suggest import did_you_mean

TEMPORARY: Final = Path(tempfile.gettempdir())


class Watcher(Protocol):
    """Looks on while passes run; `name` is the pass as a pipeline spells it."""

    def before(self, name: str, module: ModuleOp) -> None: ...
    def after(self, name: str, module: ModuleOp, seconds: float) -> None: ...


class PassFailed(ElastixError):
    """A pass could not do its work, or left IR that does not verify; its messages, and the reproducer's path."""

    def __init__(self, name: str, diagnostics: Sequence[Diagnostic], summary: str, reproducer: Path | None) -> None:
        super().__init__(f"pass {name}: {summary}", do=f"reproducer: {reproducer}" if reproducer else "")
        self.pass_name, self.diagnostics, self.reproducer = name, tuple(diagnostics), reproducer

    @property
    def summary(self) -> str:
        """What failed and the reproducer's path, without the messages."""
        return super().__str__()

    def __str__(self) -> str:
        return "\n".join([*(str(each) for each in self.diagnostics), self.summary])


@dataclass(frozen=True)
class ReadyPass:
    """A pass checked and ready to run: its spelling, and what runs it."""

    name: str
    run: Callable[[ModuleOp], None]
    ours: bool


def ready(pipeline: str | Iterable[Pass | str]) -> list[ReadyPass]:
    """The passes of a textual pipeline, or of a sequence of our passes and pieces of text, checked, none run.

    Needs a current context. Raises ElastixError for an unknown pass or option, with the nearest name.
    """
    pieces: Iterable[Pass | str] = [pipeline] if isinstance(pipeline, str) else pipeline
    found: list[ReadyPass] = []
    for piece in pieces:
        if isinstance(piece, Pass):
            found.append(ReadyPass(str(piece), piece, ours=True))
        else:
            found.extend(_ready_step(step) for step in read_pipeline(piece))
    return found


def _ready_step(step: Step) -> ReadyPass:
    if step.nested is None and (chosen := find_pass(step.name)):
        options = {name: chosen.option(name).read(value) for name, value in step.option_values().items()}
        chosen = chosen.with_options(**{name.replace("-", "_"): value for name, value in options.items()})
        return ReadyPass(str(chosen), chosen, ours=True)
    if misplaced := [name for name in _names(step) if find_pass(name)]:
        raise ElastixError(
            f"pass {misplaced[0]} inside {step.name}(…)", wanted="it inside builtin.module(…), where it runs"
        )
    try:
        manager = PassManager.parse(f"builtin.module({step})")
    except ValueError as error:
        raise _unknown(step, str(error)) from None
    return ReadyPass(str(step), lambda module: manager.run(module.operation), ours=False)


def _names(step: Step) -> list[str]:
    return [step.name] if step.nested is None else [name for each in step.nested for name in _names(each)]


def _unknown(step: Step, message: str) -> ElastixError:
    if "does not refer to a registered pass" in message:
        name = message.split("'")[1]
        known = [*all_passes(), *COMMON_MLIR_PASSES]
        return ElastixError(
            f"no pass is called {name!r}",
            wanted="one of `elastix-opt --list`, or of MLIR's",
            do=did_you_mean(name, known),
        )
    return ElastixError(f"MLIR does not take {str(step)!r}: {' '.join(message.split())}")


COMMON_MLIR_PASSES = (
    "canonicalize",
    "convert-to-llvm",
    "cse",
    "inline",
    "one-shot-bufferize",
    "reconcile-unrealized-casts",
    "remove-dead-values",
    "sccp",
    "symbol-dce",
    "torch-backend-to-linalg-on-tensors-backend-pipeline",
)
"""The bindings cannot list MLIR's passes; these are offered for a name that is nearly theirs."""


def run_passes(
    module: ModuleOp,
    pipeline: str | Iterable[Pass | str],
    *,
    watchers: Sequence[Watcher] = (),
    reproducers: Path | None = TEMPORARY,
) -> None:
    """Runs the passes one after another over `module`, verifying it after each.

    reproducers: folder for the file that repeats a failure (IR before the pass, and the command); None for no file.
    Raises ElastixError for an unknown pass, before any has run, and PassFailed when one fails.
    """
    with module.context:
        for each in ready(pipeline):
            for watcher in watchers:
                watcher.before(each.name, module)
            before = module.operation.clone()
            started = time.perf_counter()
            try:
                each.run(module)
                if each.ours:
                    _verify(module)
            except (MLIRError, ElastixError) as error:
                file = reproducers and write_reproducer(reproducers, each.name, text_of(before))
                raise _failure(each, error, file) from error
            finally:
                before.erase()
            seconds = time.perf_counter() - started
            for watcher in watchers:
                watcher.after(each.name, module, seconds)


def _verify(module: ModuleOp) -> None:
    try:
        module.operation.verify()
    except MLIRError as error:
        raise InvalidIR(from_mlir(error), "left IR that does not verify") from None


def _failure(failed: ReadyPass, error: MLIRError | ElastixError, reproducer: Path | None) -> PassFailed:
    match error:
        case MLIRError():
            diagnostics, summary = from_mlir(error), "MLIR reports a failure"
        case InvalidIR():
            diagnostics, summary = list(error.diagnostics), error.found
        case RefusedOp():
            diagnostics, summary = [error.diagnostic], "cannot treat an op"
        case _:
            diagnostics, summary = list[Diagnostic](), str(error)
    return PassFailed(failed.name, diagnostics, summary, reproducer)
