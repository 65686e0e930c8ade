"""How fast weights are rounded for known inputs, and what that gains over rounding each by itself."""

import argparse
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.quantize import quantize
from elastix.compiler.precision.rounding import InputMoments, error_of, round_rows

NAME = "rounding"
HELP = "weights rounded per second of a core, and the error left, with and without knowing the inputs of a layer"
ROUNDS: Final = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The layer, its format, the work."""
    parser.add_argument("--rows", type=int, default=1536, metavar="N", help="rows of the weights (1536)")
    parser.add_argument("--columns", type=int, default=576, metavar="K", help="columns of the weights (576)")
    parser.add_argument("--format", default="3b g64 s8c8 asymmetric", help="of the codes (3b g64 s8c8 asymmetric)")
    parser.add_argument("--sweeps", default="0,1,2,4", help="of coordinate descent, in turn (0,1,2,4)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each (1)")


def _best(work: Callable[[], object]) -> float:
    """Seconds of processor time, all threads together, of the quickest of a few runs."""

    def once() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return min(once() for _ in range(ROUNDS))


def _second_moments(columns: int) -> NDArray[np.float64]:
    """Of inputs with an eighth as many causes as columns, and columns of different size."""
    rng = np.random.default_rng(0)
    causes = rng.standard_normal((4 * columns, columns // 8 + 1)) @ rng.standard_normal((columns // 8 + 1, columns))
    x = (causes + 3 * rng.standard_normal(causes.shape)) * np.exp(0.5 * rng.standard_normal(columns))
    return x.T @ x


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Millions of weights per second of a core, errors measured included, and e·M·e / w·M·w, of each way."""
    form, threads = Format.parse(arguments.format), arguments.threads
    shape = (arguments.rows, arguments.columns)
    w = (np.random.default_rng(1).standard_normal(shape) * 0.02).astype(np.float32)
    second = _second_moments(arguments.columns)
    known = InputMoments(second)

    plain = quantize(w, form, threads=threads).rows
    first = round_rows(w, known, form, sweeps=0, threads=threads)
    energy = first.energy.sum()
    seconds = _best(lambda: quantize(w, form, threads=threads))
    ways = [("each weight by itself (numpy)", seconds, error_of(w, plain, known).sum() / energy)]
    for sweeps in map(int, arguments.sweeps.split(",")):
        found = round_rows(w, known, form, sweeps=sweeps, threads=threads)
        seconds = _best(lambda sweeps=sweeps: round_rows(w, known, form, sweeps=sweeps, threads=threads))
        ways.append((f"for the inputs, {sweeps} sweeps", seconds, found.error.sum() / energy))
    return {
        "weights": f"Gaussian, {shape[0]}x{shape[1]}, {form}",
        "threads": threads,
        "factorizing_core_s": round(_best(lambda: InputMoments(second)), 3),
        "ways": [
            {
                "rounding": name,
                "million_weights_per_core_s": round(w.size / seconds / 1e6, 2),
                "relative_output_error": float(f"{error:.3g}"),
            }
            for name, seconds, error in ways
        ],
    }
