"""What a pass or a verifier has to say about an op: errors, warnings, remarks, each at a place in the user's file."""

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, cast

from elastix.compiler.errors import CannotCompile, ElastixError
from elastix.compiler.ir.core import (
    CallSiteLoc,
    DiagnosticInfo,
    FileLineColLoc,
    FusedLoc,
    Location,
    MLIRError,
    NameLoc,
    OpView,
)

Severity = Literal["error", "warning", "remark", "note"]


@dataclass(frozen=True)
class Diagnostic:
    """One message; `file` is "-" and `line` 0 where no place is known; notes belong to the message."""

    severity: Severity
    message: str
    file: str = "-"
    line: int = 0
    column: int = 0
    notes: tuple["Diagnostic", ...] = ()

    def __str__(self) -> str:
        at = f"{self.file}:{self.line}:{self.column}: " if self.line else ""
        return "\n".join([f"{at}{self.severity}: {self.message}", *(str(note) for note in self.notes)])


def place(location: Location) -> tuple[str, int, int]:
    """File, line and column of a location, the innermost one that has a file; ("-", 0, 0) if none has."""
    # Locations of ops and messages come without their class.
    match Location.from_attr(location.attr, location.context):
        case FileLineColLoc() as location:
            return location.filename, location.start_line, location.start_col
        case NameLoc() as location:
            return place(location.child_loc)
        case CallSiteLoc() as location:
            return place(location.callee)
        case FusedLoc() as location:
            return next((found for each in location.locations if (found := place(each))[1]), ("-", 0, 0))
        case _:
            return "-", 0, 0


def at(op: OpView, message: str, *, severity: Severity = "error") -> Diagnostic:
    """A message at the place of `op`."""
    return Diagnostic(severity, message, *place(op.location))


def from_mlir(error: MLIRError, file: str = "-") -> list[Diagnostic]:
    """The messages of an MLIRError; `file` stands for the nameless file "-"."""
    return [_from_info(info, file) for info in error.error_diagnostics]


def _from_info(info: DiagnosticInfo, file: str) -> Diagnostic:
    found, line, column = place(info.location)
    severity = cast(Severity, info.severity.name.lower())
    notes = tuple(_from_info(note, file) for note in info.notes)
    return Diagnostic(severity, info.message.strip(), file if found == "-" else found, line, column, notes)


class InvalidIR(ElastixError):
    """One or several errors at places in the IR: text that does not parse, an op its verifier or a level refuses."""

    def __init__(self, diagnostics: Sequence[Diagnostic], summary: str) -> None:
        super().__init__(summary)
        self.diagnostics = tuple(diagnostics)

    def __str__(self) -> str:
        return "\n".join(str(each) for each in self.diagnostics) or self.found


class RefusedOp(CannotCompile):
    """An op that a pass cannot treat: where in the user's file, what was found, what was wanted, what to do."""

    def __init__(self, op: OpView, found: str, *, wanted: str = "", do: str = "") -> None:
        file, line, _ = place(op.location)
        why = "; ".join(part for part in (found, wanted and f"wanted: {wanted}") if part)
        name = op.operation.name
        super().__init__(name, where=f"{file}:{line}" if line else "", why=why, do=do)
        message = f"'{name}' op " + "; ".join(part for part in (why, do) if part)
        self.diagnostic = at(op, message)


Sink = Callable[[Diagnostic], None]
_sink: ContextVar[Sink | None] = ContextVar("diagnostics", default=None)


@contextmanager
def collect(sink: Sink) -> Generator[None]:
    """Warnings and remarks given inside go to `sink`."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)


def remark(op: OpView, message: str) -> None:
    """Says something worth knowing about an op; heard only by those who `collect`."""
    if sink := _sink.get():
        sink(at(op, message, severity="remark"))


def warn(op: OpView, message: str) -> None:
    """Says what is legal but surely not meant; goes to stderr unless someone collects."""
    diagnostic = at(op, message, severity="warning")
    if sink := _sink.get():
        sink(diagnostic)
    else:
        print(diagnostic, file=sys.stderr)
