"""Passes: a function over a module; its name, options and help are read off the function itself."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir.core import ModuleOp
from elastix.compiler.ir.suggest import did_you_mean

OptionValue = int | bool | str | float


class PassFunction(Protocol):
    """`def fuse_rms_norm(module: ModuleOp, *, max_width: int = 8192) -> None`"""

    __name__: str

    def __call__(self, module: ModuleOp, /, **options: Any) -> None: ...


@dataclass(frozen=True)
class Option:
    """A keyword-only parameter of the function; on the command line with dashes."""

    name: str
    type: type[OptionValue]
    default: OptionValue
    help: str

    def read(self, text: str) -> OptionValue:
        """The value that `text` spells. Raises ElastixError."""
        if self.type is bool:
            if text.lower() in ("1", "true", "0", "false"):
                return text.lower() in ("1", "true")
            raise ElastixError(f"option {self.name}={text}", wanted="true, false, 1 or 0")
        try:
            return self.type(text)
        except ValueError:
            raise ElastixError(f"option {self.name}={text}", wanted=f"a value of type {self.type.__name__}") from None


@dataclass(frozen=True)
class Pass:
    """A pass, perhaps with some options set; made by `@compiler_pass`. Calling it calls the function."""

    function: PassFunction
    name: str
    options: tuple[Option, ...]
    summary: str
    description: str
    file: Path
    settings: tuple[tuple[str, OptionValue], ...] = ()

    def __call__(self, module: ModuleOp, **options: OptionValue) -> None:
        with module.context:
            self.function(module, **{**dict(self.settings), **options})

    def with_options(self, **options: OptionValue) -> "Pass":
        """The same pass with these options set. Raises ElastixError for an option it does not have."""
        for name in options:
            self.option(name.replace("_", "-"))
        return replace(self, settings=tuple({**dict(self.settings), **options}.items()))

    def option(self, name: str) -> Option:
        """The option called `name` (with dashes). Raises ElastixError with the nearest name."""
        names = [option.name for option in self.options]
        if name not in names:
            raise ElastixError(
                f"pass {self.name} has no option {name!r}",
                wanted=" or ".join(names) or "no options",
                do=did_you_mean(name, names),
            )
        return self.options[names.index(name)]

    def __str__(self) -> str:
        """As a pipeline spells it."""
        if not self.settings:
            return self.name
        return self.name + "{" + " ".join(f"{_dashes(k)}={_spell(v)}" for k, v in self.settings) + "}"


def _spell(value: OptionValue) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    plain = not isinstance(value, str) or re.fullmatch(r"[^\s'\"{}()\[\]]+", value)
    return str(value) if plain else f'"{value}"'


def _dashes(name: str) -> str:
    return name.replace("_", "-")


def compiler_pass(function: Callable[..., None]) -> Pass:
    """Makes a pass of a function over a module; options are its keyword-only parameters with defaults.

    The first line of the docstring is the summary; a line `name: …` in it is the help of the option `name`.
    """
    document = inspect.cleandoc(function.__doc__ or "")
    if not document:
        raise TypeError(f"pass {function.__name__} needs a docstring")
    options: list[Option] = []
    for parameter in list(inspect.signature(function, eval_str=True).parameters.values())[1:]:
        kind, default = parameter.annotation, parameter.default
        if parameter.kind is not parameter.KEYWORD_ONLY or default is parameter.empty:
            raise TypeError(f"option {parameter.name} of {function.__name__} must be keyword-only, with a default")
        if kind not in (int, bool, str, float):
            raise TypeError(f"option {parameter.name} of {function.__name__} is {kind}, not int, bool, str or float")
        options.append(Option(_dashes(parameter.name), kind, default, _option_help(document, parameter.name)))
    return Pass(
        function,
        _dashes(function.__name__),
        tuple(options),
        " ".join(document.partition("\n\n")[0].split()),
        document,
        Path(inspect.getfile(function)),
    )


def _option_help(document: str, name: str) -> str:
    found = re.search(rf"^{name}: (.+(?:\n +.+)*)", document, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""
