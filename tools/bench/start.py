"""How long `elastix-opt` takes to start, and how fast passes written in Python go through a large module."""

import argparse
import subprocess
import sys
import time
from typing import Any

from elastix.compiler.ir import OpView, parse, pattern, rewrite_until_stable
from elastix.dialects import elx

NAME = "start"
HELP = "seconds that `elastix-opt` takes to start, and microseconds an op of verifying and of rewriting in Python"
_EMPTY = "module {}\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How often, and how large."""
    parser.add_argument("--runs", type=int, default=5, help="starts (5)")
    parser.add_argument("--ops", type=int, default=5000, help="ops of the module (5000)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """start_seconds: the fastest of the starts, with one pass over an empty module, until the exit."""
    starts = [_start() for _ in range(arguments.runs)]
    module = parse(_chain(arguments.ops))
    verify = _seconds(module.operation.verify)
    rewrite = _seconds(lambda: rewrite_until_stable(module, to_silu))
    visit = _seconds(lambda: rewrite_until_stable(module, to_silu))
    per_op = 1e6 / arguments.ops
    return {
        "start_seconds": round(min(starts), 3),
        "ops": arguments.ops,
        "verify_us_per_op": round(verify * per_op, 1),
        "rewrite_us_per_op": round(rewrite * per_op, 1),
        "no_match_us_per_op": round(visit * per_op, 1),
    }


@pattern
def to_silu(op: elx.ActivationOp) -> OpView | None:
    return elx.ActivationOp(x=op.x, kind="silu") if op.kind == "relu" else None


def _start() -> float:
    command = [sys.executable, "-m", "elastix.tools.opt", "-p", "canonicalize"]
    return _seconds(lambda: subprocess.run(command, input=_EMPTY, text=True, check=True, stdout=subprocess.DEVNULL))


def _seconds(work: Any) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _chain(ops: int) -> str:
    type_ = "tensor<2x4xf32>"
    lines = [f'  %{i} = "elx.activation"(%{i - 1}) {{kind = "relu"}} : ({type_}) -> {type_}' for i in range(1, ops + 1)]
    start = f'  %0 = "elx.activation"(%x) {{kind = "relu"}} : ({type_}) -> {type_}'
    return "\n".join([f"func.func @chain(%x: {type_}) -> {type_} {{", start, *lines, f"  return %{ops} : {type_}\n}}"])
