"""What a format costs and keeps: the error of Gaussian weights, and the bits per weight of the stream."""

import argparse
from typing import Any

import numpy as np

from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.numbers.quantize import quantize

NAME = "formats"
HELP = "relative squared error of Gaussian weights and bits per weight of the stream, for each format and 1 to 8 bits"
KINDS = (("s6", "half_step"), ("s8", "symmetric"), ("s8c8", "asymmetric"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The weights, and the groups."""
    parser.add_argument("--rows", type=int, default=1024, metavar="N", help="rows of the weights (1024)")
    parser.add_argument("--columns", type=int, default=576, metavar="K", help="columns of the weights (576)")
    parser.add_argument("--group", type=int, default=64, help="columns that share a scale (64)")
    parser.add_argument("--beat", type=int, default=256, help="bits of a weight beat (256)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (0); the same seed gives the same figures")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Per kind of format and bits: |w − ŵ|² / |w|², and bits per weight, headers and padding included."""
    shape = (arguments.rows, arguments.columns)
    weights = np.random.default_rng(arguments.seed).standard_normal(shape, np.float32)
    figures: dict[str, list[dict[str, float]]] = {}
    for scale, zero in KINDS:
        rows: list[dict[str, float]] = []
        for bits in range(1, 9):
            form = Format(bits, arguments.group, scale, zero)
            found = quantize(weights, form)
            stored = Geometry(form, *shape, arguments.beat).bits_per_weight
            error = float(f"{found.error / found.energy:.3g}")
            rows.append({"bits": bits, "relative_squared_error": error, "bits_per_weight": round(stored, 2)})
        figures[f"g{arguments.group} {scale} {zero}"] = rows
    return {"weights": f"Gaussian, {shape[0]}x{shape[1]}, seed {arguments.seed}", "formats": figures}
