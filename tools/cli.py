"""`elastix`: compile a model into a processor, run it, look at it, measure it."""

import argparse
import sys
from collections.abc import Callable

from elastix.compiler.errors import ElastixError

Command = Callable[[list[str]], int]


def _compile(argv: list[str]) -> int:
    from elastix.tools import compile as module

    return module.command(argv)


def _run(argv: list[str]) -> int:
    from elastix.tools import run as module

    return module.command(argv)


def _quantize(argv: list[str]) -> int:
    from elastix.tools import quantize as module

    return module.command(argv)


def _eval(argv: list[str]) -> int:
    from elastix.tools import eval as module

    return module.command(argv)


def _bench(argv: list[str]) -> int:
    from elastix.tools import bench as module

    return module.command(argv)


def _show(argv: list[str]) -> int:
    from elastix.tools import show as module

    return module.main(argv)


def _disassemble(argv: list[str]) -> int:
    from elastix.tools import disassemble as module

    return module.command(argv)


COMMANDS: dict[str, tuple[Command, str]] = {
    "quantize": (_quantize, "a model to a plan: the bits of every layer, chosen on a text, and weights rounded for it"),
    "compile": (_compile, "a PyTorch or ONNX model into a processor, its weights, its program and its host code"),
    "run": (_run, "a compiled model, on the emulator or on its RTL"),
    "eval": (_eval, "how well a model predicts a text: compiled, rounded or in fp32"),
    "show": (_show, "an MLIR file of ours in a form that people like to read"),
    "disassemble": (_disassemble, "the program of a whole decode step as text, or the instruction set"),
    "bench": (_bench, "measure; every figure that the project states comes from here"),
}


def main(argv: list[str] | None = None) -> int:
    """Dispatch to a command; an ElastixError becomes one line on standard error and exit code 1."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="elastix", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.epilog = "commands:\n" + "\n".join(f"  {name:10} {text}" for name, (_, text) in COMMANDS.items())
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of: " + ", ".join(COMMANDS))
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    try:
        return COMMANDS[arguments.command][0](arguments.rest)
    except ElastixError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; no output was left behind", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
