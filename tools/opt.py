"""`elastix-opt`: runs passes, ours and MLIR's, over MLIR text."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import (
    Diagnostic,
    InvalidIR,
    ModuleOp,
    Pass,
    PassFailed,
    all_passes,
    bytecode_of,
    collect,
    new_context,
    parse,
    run_passes,
    stages,
    text_of,
)
from elastix.compiler.ir.context import decode
from elastix.compiler.ir.registry import find_pass
from elastix.compiler.ir.runner import ready
from elastix.compiler.ir.suggest import did_you_mean
from elastix.tools.expected_diagnostics import differences, read_expected
from elastix.tools.watchers import PrintAfterAll, ShowEveryPass, Timing

_SEPARATOR = "// -----"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 0, or 1 with one error on stderr."""
    options = _parser().parse_args(arguments)
    try:
        if options.help is not None:
            print(_help(options.help), end="")
        elif options.list:
            print(_list(), end="")
        else:
            return _Run(options).everything()
    except (ElastixError, OSError) as error:
        return _complain(error)
    return 0


def _complain(error: Exception) -> int:
    match error:
        case OSError():
            text = f"error: cannot read or write {error.filename}: {error.strerror}"
        case PassFailed() if error.diagnostics:
            text = "\n".join([*map(str, error.diagnostics), f"note: {error.summary}"])
        case InvalidIR():
            text = str(error)
        case _:
            text = f"error: {error}"
    print(text, file=sys.stderr)
    return 1


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"elastix-opt: error: {message}; see elastix-opt --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="elastix-opt",
        description="Runs passes over an MLIR file.",
        epilog="Passes: elastix-opt --list. One pass: elastix-opt --help NAME.",
        add_help=False,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("file", nargs="?", default="-", help="MLIR text or bytecode; - or nothing: stdin")
    add("--help", "-h", nargs="?", const="", metavar="PASS", help="this text, or what a pass does and its options")
    add("--list", action="store_true", help="all passes of the project, in running order")
    add("-o", dest="output", default="-", metavar="FILE", help="where the result goes; stdout by default")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--pass-pipeline", metavar="TEXT", help="such as 'builtin.module(canonicalize,func.func(cse))'")
    which.add_argument("-p", "--passes", metavar="LIST", help="such as fuse-rms-norm{max-width=4096},canonicalize")
    add("--split-input-file", action="store_true", help="treat the pieces between // ----- lines apart")
    add("--verify-diagnostics", action="store_true", help="compare messages with // expected-error@+1 {{…}} comments")
    add("--show-every-pass", action="store_true", help="show the IR after each pass that changed it, readably")
    add("--mlir-print-ir-after-all", action="store_true", help="print the IR after each pass")
    add("--mlir-timing", "--timing", dest="timing", action="store_true", help="seconds of each pass, on stderr")
    add("--mlir-print-debuginfo", action="store_true", help="print locations")
    add("--mlir-print-op-generic", action="store_true", help="print every op in generic form")
    add("--allow-unregistered-dialect", action="store_true", help="take ops of dialects that are not known")
    add("--emit-bytecode", action="store_true", help="write bytecode instead of text")
    add(
        "--reproducers", type=Path, metavar="DIR", help="folder for the file that repeats a failure; default: temporary"
    )
    return parser


class _Run:
    """One run of the command over all pieces of its input."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._context = new_context()
        self._context.allow_unregistered_dialects = options.allow_unregistered_dialect
        self._pipeline = options.pass_pipeline or options.passes or ""
        self._timing = Timing()
        self._watchers = [
            *([PrintAfterAll()] if options.mlir_print_ir_after_all else []),
            *([ShowEveryPass()] if options.show_every_pass else []),
            *([self._timing] if options.timing else []),
        ]

    def everything(self) -> int:
        """Treats every piece; the exit code. Raises ElastixError for a pipeline that is wrong, OSError for files."""
        with self._context:
            ready(self._pipeline)
        name = self._options.file
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        name = "stdin" if name == "-" else name
        content = decode(content)
        pieces: list[str | bytes] = [content]
        if self._options.split_input_file and isinstance(content, str):
            pieces = list(split_input(content))
        treat = self._verified if self._options.verify_diagnostics else self._treated
        results = [treat(piece, name) for piece in pieces]
        self._write([result for result in results if isinstance(result, str | bytes)])
        if self._options.timing:
            print(self._timing.report(), file=sys.stderr)
        return 1 if any(result is None for result in results) else 0

    def _treated(self, piece: str | bytes, name: str) -> str | bytes | None:
        """The result of one piece, or None after printing why there is none."""
        try:
            with collect(lambda diagnostic: print(diagnostic, file=sys.stderr)):
                return self._transform(piece, name)
        except ElastixError as error:
            _complain(error)
            return None

    def _verified(self, piece: str | bytes, name: str) -> str | bytes | None:
        """As `_treated`, but what counts is whether the messages are those that the comments expect."""
        said: list[Diagnostic] = []
        result: str | bytes = ""
        try:
            with collect(said.append):
                result = self._transform(piece, name)
        except (InvalidIR, PassFailed) as error:
            said.extend(error.diagnostics or [Diagnostic("error", str(error))])
        wrong = list(differences(read_expected(piece) if isinstance(piece, str) else [], said))
        for line in wrong:
            print(f"{name}: {line}", file=sys.stderr)
        return None if wrong else result

    def _transform(self, piece: str | bytes, name: str) -> str | bytes:
        options = self._options
        module = parse(piece, context=self._context, name=name)
        # A failure that the comments expect needs no file to repeat it.
        reproducers = None if options.verify_diagnostics else options.reproducers
        run_passes(module, self._pipeline, watchers=self._watchers, reproducers=reproducers)
        return self._text(module)

    def _text(self, module: ModuleOp) -> str | bytes:
        if self._options.emit_bytecode:
            return bytecode_of(module)
        locations, generic = self._options.mlir_print_debuginfo, self._options.mlir_print_op_generic
        return text_of(module, locations=locations, generic=generic)

    def _write(self, results: Sequence[str | bytes]) -> None:
        """Writes all or, where nothing could be made, nothing."""
        if not results:
            return
        content = f"\n{_SEPARATOR}\n".encode().join(
            each.encode() if isinstance(each, str) else each for each in results
        )
        if self._options.output == "-":
            sys.stdout.buffer.write(content)
            sys.stdout.flush()
        else:
            Path(self._options.output).write_bytes(content)


def split_input(text: str) -> Iterator[str]:
    """The pieces between separators, each after as many empty lines as stood before it, so that lines keep numbers."""
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if line.strip() == _SEPARATOR:
            yield "".join(lines)
            lines = ["\n"] * number
        else:
            lines.append(line)
    yield "".join(lines)


def _list() -> str:
    width = max((len(name) for name in all_passes()), default=0)
    lines: list[str] = []
    for stage, passes in stages().items():
        lines += [stage, *(f"  {each.name:{width}}  {each.summary}" for each in passes)]
    return "\n".join(lines) + "\nand MLIR's own, by the names of mlir-opt\n"


def _help(name: str) -> str:
    if not name:
        return _parser().format_help()
    if chosen := find_pass(name):
        return describe(chosen)
    near = did_you_mean(name, all_passes())
    raise ElastixError(f"no pass of the project is called {name!r}", wanted="one of --list", do=near)


def describe(chosen: Pass) -> str:
    """Name, docstring and options of a pass."""
    lines = [chosen.name, "", *chosen.description.splitlines(), ""]
    lines += [f"  {each.name}: {each.type.__name__} = {each.default}  {each.help}".rstrip() for each in chosen.options]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
