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
    parser.add_argument("--launches", type=int, default=8, help="launches summed, so that refreshes average out (8)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Per memory and number of bits: GB/s of weights, its share of the model's peak; rates of pins and port beside.

    The rate is that of the launches' busy cycles at the pins: from the first weight beat handed over to the last
    result's write response. Results, where they share the weights' DRAM channel, take time and count for nothing.
    """
    figures: list[dict[str, Any]] = []
    for name in arguments.memory:
        model = memory_model(name).at(round(arguments.clock_mhz * 1e6))
        peak = model.peak(arguments.beat) * arguments.channels
        for width in arguments.widths:
            work = bits.layer(arguments, width)
            with ArcEngine(bits.parameters(arguments), model) as engine:
                for _ in range(arguments.launches):
                    engine.run(work.memory, work.descriptor)
                figures.append(
                    {"bits": width, **_figure(arguments, model, peak, work, engine.total), "dram": engine.dram}
                )
    return {
        "layer": f"{arguments.rows}x{arguments.columns}, groups of {arguments.group}",
        "processor": repr(bits.parameters(arguments)),
        "core_mhz_assumed": arguments.clock_mhz,
        "engine": "RTL in process, simulated memory",
        "launches": arguments.launches,
        "runs": figures,
        "worst_share_of_peak": min(row["share_of_peak"] for row in figures),
    }


def _figure(
    arguments: argparse.Namespace, model: MemoryModel, peak: float, work: SingleLayer, total: Counters
) -> dict[str, Any]:
    weights = work.geometry.stream_bytes * arguments.launches
    per_byte = model.core_hz / total.pin_busy
    return {
        "memory": model.name,
        "share_of_peak": round(weights * per_byte / peak, 4),
        "results_share_the_channel": model.shared,
        "share_of_peak_launch_included": round(weights * model.core_hz / total.cycles / peak, 4),
        "gb_per_s": round(weights * per_byte / 1e9, 3),
        "peak_gb_per_s": round(peak / 1e9, 3),
        "pins_gb_per_s": round(model.pin_rate * arguments.channels / 1e9, 3),
        "port_gb_per_s": round(arguments.beat / 8 * model.core_hz * arguments.channels / 1e9, 3),
        "cycles": total.cycles,
        "busy_cycles_at_pins": total.pin_busy,
        "stall_memory": total.stall_memory,
        "stall_output": total.stall_output,
    }
