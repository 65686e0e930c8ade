"""How much of a memory's own peak a layer gets, and whole decode steps: behind the generated processors, simulated."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from elastix.compiler.errors import ElastixError
from elastix.compiler.options import CompileOptions
from elastix.compiler.stages import Stages
from elastix.runtime.memory_model import IDEAL, PRESETS, MemoryModel, memory_model
from elastix.runtime.simulate import ArcEngine, Counters
from elastix.runtime.single_layer import SingleLayer
from elastix.tools.bench import bits
from elastix.tools.demo_model import demo_model
from elastix.tools.shapes import SHAPES, write_shape
from elastix.tools.whole_steps import Model, Step, difference, modelled, simulated

NAME = "bandwidth"
HELP = (
    "bytes per second of one layer behind timed memories, against an infinite sequential read on the same memory model;"
    " and of whole decode steps, with what stalls them"
)
LAUNCH_BITS: Final = (1, 2, 4, 8)
STEP_BITS: Final = (4, 2)
STEP_POSITIONS: Final = (128, 2048)
VOCABULARY: Final = 256
"""Of a shape: so small that its layers are all that counts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The layer or the model, the processor and the memories."""
    bits.add_arguments(parser)
    timed = [name for name, model in PRESETS.items() if model.dram]
    parser.add_argument(
        "--memory",
        nargs="+",
        metavar="NAME",
        help=f"memory models (launches: {', '.join(timed)}; steps: ideal, and these at the first position)",
    )
    parser.add_argument("--clock-mhz", type=float, default=300.0, help="the processor's clock, assumed (300)")
    parser.add_argument(
        "--bits", nargs="+", type=int, dest="widths", help="bits of the weights (launches: 1 2 4 8; steps: 4 2)"
    )
    parser.add_argument("--launches", type=int, default=8, help="launches summed, so that refreshes average out (8)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--step", action="store_true", help="whole decode steps alone")
    which.add_argument("--no-step", action="store_true", help="launches of a layer alone")
    steps = parser.add_argument_group("whole decode steps")
    model = steps.add_mutually_exclusive_group()
    model.add_argument("--model", type=Path, help="a Hugging Face folder or a .gguf file (the demo's model)")
    model.add_argument(
        "--shape", metavar="NAME", help=f"random weights in the shape of {', '.join(SHAPES)}, or of a config.json"
    )
    steps.add_argument("--layers", type=int, metavar="N", help="layers of the shape (all)")
    steps.add_argument(
        "--per-layer", action="store_true", help="of the shape: what one layer more takes, without embedding and head"
    )
    steps.add_argument("--vocabulary", type=int, default=VOCABULARY, help=f"token ids of the shape ({VOCABULARY})")
    steps.add_argument("--position", nargs="+", type=int, default=list(STEP_POSITIONS), help="of the token (128 2048)")
    steps.add_argument("--vector-lanes", type=int, default=8, help="elements the vector engine takes a cycle (8)")
    steps.add_argument("--attention-channels", type=int, default=1, help="channels that hold caches (1)")
    steps.add_argument("--model-only", action="store_true", help="the cycle model alone, no RTL")
    steps.add_argument("--check", action="store_true", help="the same tokens on the emulator, every bit compared")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """`launches` of one layer, and `steps`: whole tokens of a model."""
    figures: dict[str, Any] = {"core_mhz_assumed": arguments.clock_mhz}
    if not arguments.step:
        figures["launches"] = _launches(arguments)
    if not arguments.no_step:
        figures["steps"] = _steps(arguments)
    return figures


def _at(name: str, arguments: argparse.Namespace) -> MemoryModel:
    model = memory_model(name)
    return model.at(round(arguments.clock_mhz * 1e6)) if model.dram else model


def _timed() -> list[str]:
    return [name for name, model in PRESETS.items() if model.dram]


def _launches(arguments: argparse.Namespace) -> dict[str, Any]:
    """Per memory and number of bits: GB/s of weights, its share of the model's peak; rates of pins and port beside.

    The rate is that of the launches' busy cycles at the pins: from the first weight beat handed over to the last
    result's write response. Results, where they share the weights' DRAM channel, take time and count for nothing.
    """
    figures: list[dict[str, Any]] = []
    for name in arguments.memory or _timed():
        model = memory_model(name).at(round(arguments.clock_mhz * 1e6))
        peak = model.peak(arguments.beat) * arguments.channels
        for width in arguments.widths or LAUNCH_BITS:
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


def _steps(arguments: argparse.Namespace) -> dict[str, Any]:
    """Per number of bits, memory and position: a token's cycles, the share of them that move data, and what stalls.

    Data are weights with their headers, keys, values and their scales. Caches hold random rows.
    """
    stages = Stages(show=sys.stderr.isatty())
    figures: list[dict[str, Any]] = []
    processor = ""
    models = list(_models(arguments, stages))
    for width in arguments.widths or STEP_BITS:
        steps = [each.step(_options(arguments, width), stages, image=not arguments.model_only) for each in models]
        processor = repr(steps[0].parameters)
        for memory, position in _runs(arguments):
            with stages.stage(f"{width} bits, {position}, {memory.name}"):
                found = [_token(arguments, step, position, memory) for step in steps]
            layer = {"one_layer_more": difference(found[1], found[0])} if arguments.per_layer else {}
            figures.append({"bits": width, **found[0], **layer})
    return {
        "model": arguments.shape or str(arguments.model or demo_model().name),
        "layers": arguments.layers or "all",
        "processor": processor,
        "runs": figures,
        "seconds": {name: round(value, 1) for name, value in stages.seconds.items()},
    }


def _models(arguments: argparse.Namespace, stages: Stages) -> Iterator[Model]:
    """The model; of a shape also one with a layer more, if that is wanted."""
    rows = max(512, max(arguments.position) + 1)
    if arguments.per_layer and not (arguments.shape and arguments.layers):
        raise ElastixError("--per-layer", wanted="--shape and --layers too")
    if arguments.shape is None:
        with stages.stage("import"):
            yield Model(arguments.model or demo_model(), rows)
        return
    for more in range(2 if arguments.per_layer else 1):
        changes = {"vocab_size": arguments.vocabulary}
        changes |= {"num_hidden_layers": arguments.layers + more} if arguments.layers else {}
        with TemporaryDirectory(prefix="elastix-bench-") as folder, stages.stage("import"):
            yield Model(write_shape(arguments.shape, Path(folder), **changes), rows, weights=False)


def _options(arguments: argparse.Namespace, width: int) -> CompileOptions:
    return CompileOptions(
        whole_step=True,
        bits=width,
        beat=arguments.beat,
        channels=arguments.channels,
        activation_bits=arguments.activation_bits,
        vector_lanes=arguments.vector_lanes,
        attention_channels=arguments.attention_channels,
        max_context=max(512, max(arguments.position) + 1),
    )


def _runs(arguments: argparse.Namespace) -> Iterator[tuple[MemoryModel, int]]:
    """Memories and positions; timed memories take several times as long, so the first position has to do."""
    for name in arguments.memory or [IDEAL.name, *_timed()]:
        model = _at(name, arguments)
        for position in arguments.position if arguments.memory or not model.dram else arguments.position[:1]:
            yield model, position


def _token(arguments: argparse.Namespace, step: Step, position: int, memory: MemoryModel) -> dict[str, Any]:
    if arguments.model_only:
        return modelled(step, position, memory)
    return simulated(step, position, memory, check=arguments.check)
