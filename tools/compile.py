"""`elastix compile MODEL -o OUT`: a model in, a processor with its weights, program and host code out."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elastix.compiler.boards import BOARDS
from elastix.compiler.options import OBJECTIVES
from elastix.compiler.stages import Stages, peak_memory_bytes

SHOWN = 5
"""Layers named on standard output; all stand in the report."""

OF_WHOLE_STEPS = ("board", "processor", "no_weights", "vector_lanes", "attention_lanes", "attention_channels")
"""Options that mean a processor for whole decode steps, where `--whole-step` is not given."""


def parser() -> argparse.ArgumentParser:
    """The command's options; defaults are those of `CompileOptions`."""
    result = argparse.ArgumentParser(prog="elastix compile", description=__doc__)
    result.add_argument(
        "model", type=Path, help="a Hugging Face folder (config.json, safetensors), a .gguf or an .onnx file"
    )
    result.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="the folder to make")
    precision = result.add_mutually_exclusive_group()
    precision.add_argument("--bits", type=int, metavar="N", help="bits of every weight, 1 to 8 (default 8)")
    precision.add_argument(
        "--precision",
        type=Path,
        metavar="PLAN",
        help="precision of each layer: a plan file (YAML), or a folder of elastix quantize (default: --bits for all)",
    )
    result.add_argument(
        "--activation-bits", type=int, default=11, metavar="A", help="bits of an activation, 8 to 12 (default 11)"
    )
    result.add_argument(
        "--kv-bits",
        type=int,
        default=8,
        metavar="N",
        help="bits of cached keys and values: 4, 8, 32 = fp32 (default 8)",
    )
    result.add_argument(
        "--key-bits", type=int, metavar="N", help="bits of the keys alone: 4, 8 or 32 (default: --kv-bits)"
    )
    result.add_argument(
        "--value-bits", type=int, metavar="N", help="bits of the values alone: 4, 8 or 32 (default: --kv-bits)"
    )
    result.add_argument(
        "--rotate",
        default="none",
        metavar="WHAT",
        help="rotate before weights are rounded: norms (only fold their weights), residual, values, all (default none)",
    )
    result.add_argument(
        "--max-context",
        type=int,
        metavar="T",
        help="tokens that the cache holds (default 512, or as many as the model takes if those are fewer)",
    )
    result.add_argument(
        "--beat",
        type=int,
        metavar="D",
        help="bits the engine takes a cycle and channel: 64, 128, 256 or 512 (default 256)",
    )
    result.add_argument(
        "--lanes",
        type=int,
        default=1,
        metavar="M",
        help="tokens that share one pass over the weights, 1 to 15; with --whole-step prompts take M a run (default 1)",
    )
    result.add_argument(
        "--channels", type=int, metavar="C", help="memory channels, each with an engine, 1 to 63 (default 1)"
    )
    result.add_argument(
        "--whole-step",
        action="store_true",
        help="a processor for whole decode steps of a language model: the host writes token ids, nothing else; "
        "meant by each of " + ", ".join(f"--{name.replace('_', '-')}" for name in OF_WHOLE_STEPS),
    )
    result.add_argument(
        "--no-weights",
        action="store_true",
        default=None,
        help="MODEL need hold no more than config.json; processor and program without weights.bin",
    )
    result.add_argument(
        "--vector-lanes",
        type=int,
        metavar="L",
        help="elements that the vector engine takes a cycle: 1, 2, 4, 8 or 16 (default 4)",
    )
    result.add_argument(
        "--attention-lanes",
        type=int,
        metavar="W",
        help="bytes of a cached row that attention takes a cycle: 1, 2, 4, ... (default: a beat, "
        "or a row if that is less)",
    )
    result.add_argument(
        "--attention-channels",
        type=int,
        metavar="E",
        help="channels that hold the caches, each with its own attention: 1, 2, 4, ... (default 1)",
    )
    processor = result.add_mutually_exclusive_group()
    processor.add_argument(
        "--board",
        metavar="NAME",
        help="choose beat, channels, those with caches, vector and attention lanes, FIFO, where no "
        f"option does, for one of: {', '.join(BOARDS)} (default: as the options and their defaults say)",
    )
    processor.add_argument(
        "--processor",
        type=Path,
        metavar="FILE",
        help="weights and program for a processor that is there: its manifest.json, or a YAML file "
        "with its parameters (default: a processor is made)",
    )
    result.add_argument(
        "--objective",
        choices=OBJECTIVES,
        default=OBJECTIVES[0],
        help="with --board: the fastest processor that fits, or the smallest (default tokens-per-second)",
    )
    result.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    result.add_argument("--json", action="store_true", help="figures for scripts on standard output; no bars")
    return result


def command(argv: list[str]) -> int:
    """Compile; the new folder's summary goes to standard output, the table of stages to standard error."""
    arguments = parser().parse_args(argv)
    from elastix.compiler.options import CompileOptions
    from elastix.compiler.pipeline import compile_model

    given = {
        name: value
        for name in ("beat", "channels", "vector_lanes", "attention_lanes", "attention_channels")
        if (value := getattr(arguments, name)) is not None  # else the defaults, or what is chosen
    }
    options = CompileOptions(
        bits=8 if arguments.bits is None else arguments.bits,
        plan=arguments.precision,
        activation_bits=arguments.activation_bits,
        max_context=arguments.max_context,
        rotate=arguments.rotate,
        lanes=arguments.lanes,
        whole_step=arguments.whole_step or any(getattr(arguments, name) is not None for name in OF_WHOLE_STEPS),
        weights=not arguments.no_weights,
        board=arguments.board or "",
        objective=arguments.objective,
        processor=arguments.processor,
        fixed=tuple(given),
        **given,
        key_bits=arguments.kv_bits if arguments.key_bits is None else arguments.key_bits,
        value_bits=arguments.kv_bits if arguments.value_bits is None else arguments.value_bits,
    )
    stages = Stages(show=not arguments.json)
    summary = compile_model(arguments.model, arguments.output, options, stages, overwrite=arguments.overwrite)
    if arguments.json:
        print(json.dumps({**summary, "seconds": stages.seconds, "peak_memory_bytes": peak_memory_bytes()}))
        return 0
    stages.print_table()
    for row in summary.get("candidates", ()):
        print(_line(row))
    print(
        f"{arguments.output}: {summary['layers']} layers on the processor, "
        f"{summary['bits_per_weight']:.3f} bits a weight, "
        f"{summary['bytes_per_token'] / 1e6:.1f} MB read a token, peak memory {peak_memory_bytes() / 1e9:.2f} GB"
    )
    if summary.get("crossings"):
        print(
            f"between host and processor {summary['crossings']} crossings a step, {summary['launches']} launches: "
            f"{summary['crossing_bytes_in']:,} bytes to the processor and {summary['crossing_bytes_out']:,} back, "
            f"{summary['other_cycles']:,} cycles beside {summary['weight_cycles']:,} of weights; report.md has each"
        )
    if anew := summary["not_as_planned"]:
        names = ", ".join(anew[:SHOWN]) + (f" and {len(anew) - SHOWN} others" if len(anew) > SHOWN else "")
        print(f"{len(anew)} layers not in the format that {arguments.precision} has them in, rounded anew: {names}")
    return 0


def _line(row: Mapping[str, Any]) -> str:
    """A candidate, the chosen one first."""
    fits = f"too large: {row['lacks']}" if row["lacks"] else "fits"
    return (
        f"{'chosen' if row['chosen'] else '':8}beat {row['beat']:3} channels {row['channels']:2} "
        f"vector lanes {row['vector_lanes']} attention lanes {row['attention_lanes']:2} "
        f"caches on {row['attention_channels']:2} FIFO {row['fifo_beats']:4}: "
        f"{row['tokens_per_second']:10,.2f} tokens/s, {100 * row['efficiency']:5.1f} % of cycles, ρ {row['rho']:.2f}, "
        f"{row['luts']:9,} LUTs, {row['multipliers']:5,} multipliers, {row['block_rams']:5,} block RAMs, {fits}"
    )
