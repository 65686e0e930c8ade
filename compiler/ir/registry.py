"""All passes by name: the ordered tuples of the stage packages."""

import importlib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

from elastix.compiler.ir.passes import Pass

FOLDER: Final = Path(__file__).resolve().parents[2] / "passes"


@cache
def stages() -> dict[str, tuple[Pass, ...]]:
    """The passes of each stage package, in running order. Raises TypeError if two passes have one name."""
    from elastix import passes

    found = {name: _passes_of(importlib.import_module(f"elastix.passes.{name}")) for name in passes.STAGES}
    names = [each.name for stage in found.values() for each in stage]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise TypeError(f"two passes are called {', '.join(sorted(doubled))}")
    return found


def _passes_of(stage: ModuleType) -> tuple[Pass, ...]:
    return stage.PASSES


def all_passes() -> dict[str, Pass]:
    """Every pass of the project by its name, in running order."""
    return {each.name: each for stage in stages().values() for each in stage}


def find_pass(name: str) -> Pass | None:
    """The pass called `name`, or None; imports only its stage, which the file named after the pass tells."""
    from elastix import passes

    for stage in passes.STAGES:
        if (FOLDER / stage / f"{name.replace('-', '_')}.py").exists():
            found = _passes_of(importlib.import_module(f"elastix.passes.{stage}"))
            return next((each for each in found if each.name == name), None)
    return None
