"""Reads a textual pipeline such as `builtin.module(fuse-rms-norm{max-width=4096},canonicalize,func.func(cse))`."""

import re
from dataclasses import dataclass

from elastix.compiler.errors import ElastixError

_NAME = re.compile(r"[A-Za-z_][\w.\-]*")


@dataclass(frozen=True)
class Step:
    """One element of a pipeline: a pass with its options, or (`nested` is not None) an op and the passes run on it."""

    name: str
    options: str = ""
    nested: "tuple[Step, ...] | None" = None

    def __str__(self) -> str:
        if self.nested is not None:
            return f"{self.name}({','.join(map(str, self.nested))})"
        return f"{self.name}{{{self.options}}}" if self.options else self.name

    def option_values(self) -> dict[str, str]:
        """The options by name; an option without a value is `true`. Raises ElastixError."""
        values: dict[str, str] = {}
        for word in _words(self.options):
            name, equals, value = word.partition("=")
            if not name:
                raise ElastixError(f"{word!r} among the options of {self.name}", wanted="name=value")
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            values[name] = (value[1:-1] if quoted else value) if equals else "true"
        return values


def read_pipeline(text: str) -> tuple[Step, ...]:
    """The steps inside `builtin.module(…)`, or of a bare list `a,b{x=1}`. Raises ElastixError with the column."""
    steps = _Reader(text).read()
    if len(steps) == 1 and steps[0].name == "builtin.module" and steps[0].nested is not None:
        return steps[0].nested
    return steps


def _words(options: str) -> list[str]:
    """Words split at spaces outside braces, brackets and quotes."""
    words, depth, quote, word = list[str](), 0, "", ""
    for letter in options:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "{[(":
            depth += 1
        elif letter in "}])":
            depth -= 1
        if letter.isspace() and not depth and not quote:
            words, word = [*words, word] if word else words, ""
        else:
            word += letter
    return [*words, word] if word else words


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def read(self) -> tuple[Step, ...]:
        self._skip_space()
        if self._at == len(self._text):
            return ()
        steps = self._list()
        if self._at < len(self._text):
            raise self._error("a comma or the end")
        return steps

    def _list(self) -> tuple[Step, ...]:
        steps = [self._step()]
        while self._take(","):
            steps.append(self._step())
        return tuple(steps)

    def _step(self) -> Step:
        self._skip_space()
        name = _NAME.match(self._text, self._at)
        if not name:
            raise self._error("the name of a pass")
        self._at = name.end()
        if self._take("("):
            nested = () if self._take(")") else self._list()
            if nested and not self._take(")"):
                raise self._error("a comma or a closing parenthesis")
            return Step(name[0], nested=nested)
        return Step(name[0], self._braces()) if self._take("{") else Step(name[0])

    def _braces(self) -> str:
        """What stands up to the brace that closes the one just taken; braces in quotes do not count."""
        start, depth, quote = self._at, 1, ""
        while self._at < len(self._text):
            letter = self._text[self._at]
            self._at += 1
            if quote:
                quote = "" if letter == quote else quote
            elif letter in "'\"":
                quote = letter
            else:
                depth += {"{": 1, "}": -1}.get(letter, 0)
            if depth == 0:
                return self._text[start : self._at - 1].strip()
        self._at = start
        raise self._error("a closing brace for this one")

    def _take(self, letter: str) -> bool:
        self._skip_space()
        if not self._text.startswith(letter, self._at):
            return False
        self._at += 1
        self._skip_space()
        return True

    def _skip_space(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _error(self, wanted: str) -> ElastixError:
        rest = self._text[self._at :] or "the end"
        return ElastixError(f"{rest!r} at column {self._at + 1} of the pipeline", wanted=wanted)
