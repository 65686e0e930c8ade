"""Benchmarks: each a module with NAME, HELP, `run(arguments) -> dict` and, for options, `add_arguments(parser)`.

Every figure that the project states comes from one of these: JSON, the machine named, ratios taken in one run.
"""

import argparse
import importlib
import json
import os
import pkgutil
import platform
import sys
from pathlib import Path
from typing import Any, Protocol, cast


class Benchmark(Protocol):
    """What a module of this package offers."""

    NAME: str
    HELP: str

    def run(self, arguments: argparse.Namespace) -> dict[str, Any]:
        """Measure; keys carry their units."""
        ...


def load(name: str) -> Benchmark:
    """The benchmark module of that name (its imports can take seconds, so only the one that runs is loaded)."""
    return cast(Benchmark, importlib.import_module(f"{__name__}.{name}"))


def names() -> list[str]:
    """Names of all benchmarks, in order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def data_folder() -> Path:
    """Where texts and small models for figures and tests lie: `$ELASTIX_DATA`, else `../shared/data` beside the
    repository. Neither need exist."""
    repository = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("ELASTIX_DATA") or repository.parent / "shared" / "data")


def machine() -> dict[str, Any]:
    """Where the figures were taken."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), model)
    except OSError:  # not Linux: the platform's own name stands
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def command(argv: list[str]) -> int:
    """`elastix bench [--list] NAME [options] [--json]`."""
    parser = argparse.ArgumentParser(prog="elastix bench", description="Measure, and print the figures as JSON.")
    parser.add_argument("--list", action="store_true", help="name every benchmark and what it measures")
    subparsers = parser.add_subparsers(dest="name", metavar="NAME")
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name in names():
        if name == chosen or "--list" in argv or "-h" in argv or "--help" in argv or chosen is None:
            module = load(name)
            sub = subparsers.add_parser(name, help=module.HELP, description=module.HELP)
            sub.add_argument("--json", action="store_true", help="one line of JSON instead of a readable list")
            add = getattr(module, "add_arguments", None)
            if add is not None:
                add(sub)
        else:
            subparsers.add_parser(name)
    arguments = parser.parse_args(argv)
    if arguments.list or arguments.name is None:
        for name in names():
            print(f"{name:12} {load(name).HELP}")
        return 0
    figures = {"benchmark": arguments.name, "machine": machine(), **load(arguments.name).run(arguments)}
    json.dump(figures, sys.stdout, indent=None if arguments.json else 2)
    print()
    return 0
