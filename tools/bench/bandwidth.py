"""How much of a memory's own peak a layer gets: timed DRAM models behind the generated processor, simulated."""

import argparse
from typing import Any

from elastix.runtime.memory_model import PRESETS, MemoryModel, memory_model
from elastix.runtime.simulate import ArcEngine, Counters
from elastix.runtime.single_layer import SingleLayer
from elastix.tools.bench import bits

NAME = "bandwidth"
HELP = (
    "bytes per second of one layer behind timed memories, against an infinite sequential read on the same memory model"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The layer, the processor and the memories."""
    bits.add_arguments(parser)
    timed = [name for name, model in PRESETS.items() if model.dram]
    parser.add_argument(
        "--memory", nargs="+", default=timed, metavar="NAME", help=f"memory models ({', '.join(timed)})"
    )
    parser.add_argument("--clock-mhz", type=float, default=300.0, help="the processor's clock, assumed (300)")
    parser.add_argument("--bits", nargs="+", type=int, default=[1, 2, 4, 8], dest="widths", help="bits of the weights")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Per memory and number of bits: GB/s while busy, its share of the model's peak; pin rate and port rate beside."""
    figures: list[dict[str, Any]] = []
    for name in arguments.memory:
        model = memory_model(name).at(round(arguments.clock_mhz * 1e6))
        peak = model.peak(arguments.beat) * arguments.channels
        with ArcEngine(bits.parameters(arguments), model) as engine:
            for width in arguments.widths:
                work = bits.layer(arguments, width)
                counters = engine.run(work.memory, work.descriptor)
                figures.append(_figure(arguments, model, peak, work, counters) | {"bits": width, "dram": engine.dram})
    return {
        "layer": f"{arguments.rows}x{arguments.columns}, groups of {arguments.group}",
        "processor": repr(bits.parameters(arguments)),
        "core_mhz_assumed": arguments.clock_mhz,
        "engine": "RTL in process, simulated memory",
        "runs": figures,
        "worst_share_of_peak": min(row["share_of_peak"] for row in figures),
    }


def _figure(
    arguments: argparse.Namespace, model: MemoryModel, peak: float, work: SingleLayer, counters: Counters
) -> dict[str, Any]:
    channels = arguments.channels
    rate = work.geometry.stream_bytes * model.core_hz / counters.busy
    whole = work.geometry.stream_bytes * model.core_hz / counters.cycles
    return {
        "memory": model.name,
        "share_of_peak": round(rate / peak, 4),
        "share_of_peak_launch_included": round(whole / peak, 4),
        "gb_per_s": round(rate / 1e9, 3),
        "peak_gb_per_s": round(peak / 1e9, 3),
        "pins_gb_per_s": round(model.pin_rate * channels / 1e9, 3),
        "port_gb_per_s": round(arguments.beat / 8 * model.core_hz * channels / 1e9, 3),
        "cycles": counters.cycles,
        "busy_cycles": counters.busy,
        "stall_memory": counters.stall_memory,
        "stall_output": counters.stall_output,
    }
