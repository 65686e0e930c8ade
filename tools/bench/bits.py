"""Are bits proportional: one layer at 1 to 8 bits on one generated processor behind the ideal memory, in cycles."""

import argparse
from typing import Any

from elastix.compiler.numbers.formats import Format
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.runtime.memory_model import IDEAL
from elastix.runtime.simulate import ArcEngine, Counters
from elastix.runtime.single_layer import SingleLayer, single_layer

NAME = "bits"
HELP = "cycles of one layer at 1 to 8 bits on one processor behind an ideal memory, against the bytes of its stream"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The layer and the processor."""
    parser.add_argument("--rows", type=int, default=1536, metavar="N", help="rows of the layer (1536)")
    parser.add_argument("--columns", type=int, default=576, metavar="K", help="columns of the layer (576)")
    parser.add_argument("--group", type=int, default=64, help="columns that share a scale (64)")
    parser.add_argument("--beat", type=int, default=256, help="bits of a weight beat (256)")
    parser.add_argument("--activation-bits", type=int, default=11, metavar="A", help="bits of an activation (11)")
    parser.add_argument("--channels", type=int, default=1, help="weight streams (1)")


def parameters(arguments: argparse.Namespace) -> ProcessorParameters:
    """The processor that the options describe."""
    return ProcessorParameters(
        beat=arguments.beat,
        activation_bits=arguments.activation_bits,
        channels=arguments.channels,
        max_tiles=max(64, -(-arguments.columns // 32)),
    )


def layer(arguments: argparse.Namespace, bits: int) -> SingleLayer:
    """The layer at that many bits, with random weights."""
    return single_layer(
        Format(bits, arguments.group),
        arguments.rows,
        arguments.columns,
        beat=arguments.beat,
        channels=arguments.channels,
        activation_bits=arguments.activation_bits,
        seed=bits,
    )


def share_of_busy(counters: Counters, channels: int) -> float:
    """Weight beats (headers included) in the cycles from the first one taken to the last result's write response."""
    return counters.beats / channels / counters.busy


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Per number of bits: stream bytes, cycles, busy cycles, share of data beats; and the proportionality to 8 bits."""
    figures: list[dict[str, Any]] = []
    with ArcEngine(parameters(arguments), IDEAL) as engine:
        for bits in range(1, 9):
            work = layer(arguments, bits)
            counters = engine.run(work.memory, work.descriptor)
            figures.append(
                {
                    "bits": bits,
                    "stream_bytes": work.geometry.stream_bytes,
                    "cycles": counters.cycles,
                    "busy_cycles": counters.busy,
                    "beats": counters.beats,
                    "beats_share_of_busy": round(share_of_busy(counters, arguments.channels), 4),
                    "beats_share_of_busy_at_pins": round(
                        counters.pin_beats / arguments.channels / counters.pin_busy, 4
                    ),
                    "stall_memory": counters.stall_memory,
                    "stall_output": counters.stall_output,
                    "stall_load": counters.stall_load,
                }
            )
    last = figures[-1]
    for row in figures:
        row["cycles_over_bytes_to_8_bits"] = round(
            row["cycles"] / last["cycles"] / (row["stream_bytes"] / last["stream_bytes"]), 4
        )
    return {
        "layer": f"{arguments.rows}x{arguments.columns}, groups of {arguments.group}",
        "processor": repr(parameters(arguments)),
        "memory": IDEAL.name,
        "engine": "RTL in process",
        "bits": figures,
        "worst_deviation_from_proportional": max(abs(row["cycles_over_bytes_to_8_bits"] - 1) for row in figures),
    }
