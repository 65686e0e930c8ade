"""Writes the generated parts of the docs: `python -m elastix.tools.docs`; with --check it only says which are stale.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->` lines.
"""

import argparse
import importlib
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import Dialect, Op, Pass, new_context, parse, run_passes, stages
from elastix.compiler.ir.fields import Field
from elastix.dialects import DIALECTS
from elastix.tools.opt import split_input
from elastix.tools.show import show

ROOT: Final = Path(__file__).resolve().parents[1]
_PIPELINE = re.compile(r"^// RUN:.*elastix-opt.* (?:-p|--passes[= ])\s*(?:'([^']*)'|(\S+))", re.MULTILINE)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 1 with --check if a file is stale."""
    parser = argparse.ArgumentParser(prog="python -m elastix.tools.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if something is stale")
    check = parser.parse_args(arguments).check
    stale = {path: wanted for path, wanted in wanted_files().items() if path.read_text() != wanted}
    for path, wanted in stale.items():
        if check:
            print(f"{path.relative_to(ROOT)} is stale; run python -m elastix.tools.docs", file=sys.stderr)
        else:
            path.write_text(wanted)
    return 1 if check and stale else 0


def wanted_files() -> dict[Path, str]:
    """Every file with generated parts, as it should be."""
    files = {ROOT / "passes" / "README.md": {"passes": "\n".join(_stages())}}
    for dialect in DIALECTS:
        name = dialect.DIALECT_NAMESPACE
        files[ROOT / "dialects" / name / "README.md"] = {"ops": "\n".join(_ops(dialect))}
    return {path: _replaced(path.read_text(), parts) for path, parts in files.items()}


def _replaced(text: str, parts: dict[str, str]) -> str:
    for name, content in parts.items():
        begin, end = f"<!-- generated: {name} -->\n", f"<!-- end of {name} -->"
        if begin not in text or end not in text:
            raise ElastixError(f"no lines {begin.strip()!r} and {end!r}", wanted="both around the generated part")
        before, after = text.index(begin) + len(begin), text.index(end)
        text = text[:before] + content.rstrip() + "\n" + text[after:]
    return text


def _ops(dialect: type[Dialect]) -> Iterator[str]:
    """The table of a dialect's ops, from their classes."""
    yield "| op | operands → results | attributes | |"
    yield "|---|---|---|---|"
    for op in dialect.operations:
        yield f"| {' | '.join(_row(op))} |"


def _row(op: type[Op]) -> tuple[str, str, str, str]:
    operands = ", ".join(_operand(field) for field in op.fields if field.kind in ("operand", "optional", "variadic"))
    results = ", ".join(field.name for field in op.fields if field.kind == "result")
    attributes = ", ".join(_attribute(field) for field in op.fields if "attribute" in field.kind)
    arrow = f"{operands} → {results}" if results else operands
    return f"`{op.OPERATION_NAME}`", arrow.strip(), attributes, op.about.replace("|", "\\|")


def _operand(field: Field) -> str:
    return {"operand": field.name, "optional": f"[{field.name}]", "variadic": f"{field.name}…"}[field.kind]


def _attribute(field: Field) -> str:
    kind = str(field.type) if "[" in str(field.type) else field.type.__name__
    return f"`{field.name}: {kind}{'?' if field.kind == 'optional attribute' else ''}`"


def _stages() -> Iterator[str]:
    for stage, passes in stages().items():
        about = (importlib.import_module(f"elastix.passes.{stage}").__doc__ or "").strip()
        yield f"## `{stage}`\n\n{about}\n"
        for each in passes:
            yield from _section(stage, each)


def _section(stage: str, each: Pass) -> Iterator[str]:
    """Name, help, options, and what it makes of the first case of its lit test."""
    yield f"### `{each.name}`\n"
    option_lines = [line for option in each.options for line in _option_in_docstring(each, option.name)]
    yield "\n".join(line for line in each.description.splitlines() if line not in option_lines).strip() + "\n"
    if each.options:
        yield "| option | type | default | |\n|---|---|---|---|"
        yield from (f"| `{o.name}` | {o.type.__name__} | `{o.default}` | {o.help} |" for o in each.options)
        yield ""
    test = lit_test(stage, each)
    if test.exists() and (example := _example(test.read_text())):
        before, after = example
        yield f"```\n{before.strip()}\n```\nbecomes\n```\n{after.strip()}\n```\n"


def _option_in_docstring(each: Pass, option: str) -> list[str]:
    found = re.search(rf"^{option.replace('-', '_')}: .+(?:\n +.+)*", each.description, re.MULTILINE)
    return found[0].splitlines() if found else []


def lit_test(stage: str, each: Pass) -> Path:
    """Where the lit test of a pass is."""
    return ROOT / "test" / "passes" / stage / f"{each.name.replace('-', '_')}.mlir"


def _example(test: str) -> tuple[str, str] | None:
    """The first case of a lit test, and what its first RUN line's pipeline makes of it, as `elastix show` has them."""
    found = _PIPELINE.search(test)
    # An option that names a file of the test's own (%t) would be written to.
    if not found or "%" in found[0].partition(" -p")[2]:
        return None
    module = parse(next(iter(split_input(test))), context=new_context(), name="the example")
    before = show(module)
    run_passes(module, found[1] or found[2], reproducers=None)
    return before, show(module)


if __name__ == "__main__":
    sys.exit(main())
