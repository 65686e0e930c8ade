"""`// expected-error@+1 {{text}}` comments: what a test wants to be said about which line."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from elastix.compiler.ir.diagnostics import Diagnostic

_COMMENT = re.compile(
    r"expected-(?P<severity>error|warning|remark|note)(?P<re>-re)?\s*"
    r"(?:@(?P<where>[+-]\d+|above|below|unknown))?\s*\{\{(?P<text>.*?)\}\}"
)


@dataclass(frozen=True)
class Expected:
    """A message wanted on a line (0: at no known place); `text` is a part of it, or a regular expression."""

    severity: str
    line: int
    text: str
    is_regex: bool = False

    def fits(self, found: Diagnostic) -> bool:
        if (self.severity, self.line) != (found.severity, found.line):
            return False
        return re.search(self.text, found.message) is not None if self.is_regex else self.text in found.message


def read_expected(text: str) -> list[Expected]:
    """The expectations in the comments of `text`, whose first line is line 1."""
    return [
        Expected(found["severity"], _line(found["where"], line, lines), found["text"], found["re"] is not None)
        for lines in [text.splitlines()]
        for line, content in enumerate(lines, 1)
        for found in _COMMENT.finditer(content)
    ]


def _line(where: str | None, line: int, lines: list[str]) -> int:
    if where in ("above", "below"):
        # Several comments may stand together: the place is the nearest line that bears none.
        step = -1 if where == "above" else 1
        line += step
        while 0 < line <= len(lines) and _COMMENT.search(lines[line - 1]):
            line += step
        return line
    if where == "unknown":
        return 0
    return line + int(where or 0)


def differences(expected: list[Expected], found: Iterable[Diagnostic]) -> Iterator[str]:
    """What was said and not wanted, then what was wanted and not said; notes and remarks may be said unasked."""
    missing = list(expected)
    for diagnostic in (each for given in found for each in (given, *given.notes)):
        match = next((wanted for wanted in missing if wanted.fits(diagnostic)), None)
        if match:
            missing.remove(match)
        elif diagnostic.severity in ("error", "warning"):
            yield f"unexpected {diagnostic}"
    for wanted in missing:
        at = f"line {wanted.line}" if wanted.line else "no place"
        yield f"missing at {at}: {wanted.severity}: {wanted.text}"
