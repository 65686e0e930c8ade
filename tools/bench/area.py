"""Cells of the matrix engine or of a step processor on two FPGA families, and its frequency after place and route."""

import argparse
import tempfile
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from elastix.compiler.circuit import Module
from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.matrix_engine import matrix_engine
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.top import build
from elastix.compiler.step.area import Cells, cells_of
from elastix.tools.synthesis import route, synthesize, tool_versions

NAME = "area"
HELP = "LUTs, registers, multipliers and RAM of the matrix engine or a step processor (ECP5, UltraScale+), MHz on ECP5"
STEP = StepParameters(
    beat=128,
    max_tiles=6,
    vector_lanes=2,
    vector_elements=3520,
    constant_elements=96,
    max_context=512,
    head_dim=8,
    kv_heads=4,
    group=2,
    features=("rotate", "embed", "attention", "arg_max"),
)
"""The processor of stories260K."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--beat", type=int, default=256, help="bits of a beat (default: 256)")
    parser.add_argument("--activation-bits", type=int, default=11, help="bits of an activation (default: 11)")
    parser.add_argument("--lanes", type=int, default=1, help="token lanes (default: 1)")
    parser.add_argument("--max-tiles", type=int, default=64, help="tiles of the activation buffer (default: 64)")
    parser.add_argument(
        "--step",
        nargs="*",
        metavar="NAME=VALUE",
        help="a whole step processor instead of the engine: that of stories260K but for these parameters; "
        "features and activations: names joined by +",
    )
    parser.add_argument("--seeds", type=int, default=1, help="placements to try; all are reported (default: 1)")
    parser.add_argument("--target", type=float, default=160.0, help="MHz that the placer is asked for (default: 160)")
    parser.add_argument("--no-route", action="store_true", help="synthesize only")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The engine without the AXI side, with its activation and header buffers; or the processor with everything.

    Raises ElastixError when a tool is absent or fails, or a parameter is none.
    """
    module, parameters = _engine(arguments) if arguments.step is None else _processor(arguments.step)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        figures: dict[str, Any] = {
            "tools": tool_versions(),
            "module": module.name,
            "parameters": parameters,
            "ultrascale_plus": synthesize(module, "synth_xilinx -family xcup -flatten", work),
            "ecp5": synthesize(module, "synth_ecp5", work),
        }
        figures["ecp5_modelled"] = _beside(cells_of(module), figures["ecp5"])
        if not arguments.no_route:
            figures["ecp5_routed"] = route(module, arguments.seeds, arguments.target, work)
    return figures


def _engine(arguments: argparse.Namespace) -> tuple[Module, dict[str, Any]]:
    names = ("beat", "activation_bits", "lanes", "max_tiles")
    chosen = {name: getattr(arguments, name) for name in names}
    parameters = ProcessorParameters(**chosen)
    return matrix_engine(parameters), {**chosen, "accumulator_bits": parameters.accumulator_bits}


def _beside(modelled: Cells, found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What the area model says of each kind of cell, what Yosys found, and the one in terms of the other."""
    return {
        name: {
            "modelled": round(cells),
            "found": found[name],
            "of_found": round(cells / found[name], 3) if found[name] else float(not cells),
        }
        for name, cells in asdict(modelled).items()
    }


def _processor(changes: list[str]) -> tuple[Module, dict[str, Any]]:
    known, chosen = {field.name: getattr(STEP, field.name) for field in fields(STEP)}, dict[str, Any]()
    for change in changes:
        name, _, value = change.partition("=")
        if name in known and isinstance(known[name], tuple):
            chosen[name] = tuple(filter(None, value.split("+")))
        elif isinstance(known.get(name), int) and value.isdecimal():
            chosen[name] = int(value)
        else:
            raise ElastixError(f"--step {change}", wanted="NAME=NUMBER, of " + ", ".join(sorted(known)))
    parameters = replace(STEP, **chosen)
    return build(parameters), asdict(parameters)
