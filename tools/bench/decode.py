"""Are bits proportional: whole decode steps at several widths and mixes on one generated processor, simulated."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from elastix.compiler.errors import ElastixError
from elastix.compiler.options import CompileOptions
from elastix.compiler.stages import Stages
from elastix.runtime.memory_model import PRESETS, MemoryModel, memory_model
from elastix.tools.demo_model import demo_model
from elastix.tools.whole_steps import Model, Step, processor_file, simulated, step_of_folder

NAME = "decode"
HELP = "whole decode steps on the RTL at several widths and plans on one processor: cycles against bytes (simulated)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, the processor, the memory, and where in the context."""
    parser.add_argument("--model", type=Path, help="a Hugging Face folder or a .gguf file (the demo's model)")
    parser.add_argument("--folder", type=Path, help="a folder of elastix compile --whole-step instead of --model")
    parser.add_argument("--bits", nargs="*", type=int, default=[8, 4, 2], help="bits of all weights (8 4 2)")
    parser.add_argument("--plan", nargs="*", type=Path, default=[], help="plans of elastix quantize, behind them")
    parser.add_argument("--position", nargs="+", type=int, default=[128], help="positions of the token (128)")
    parser.add_argument("--max-context", type=int, help="rows of the caches (512, or as the positions need)")
    parser.add_argument("--beat", type=int, default=256, help="bits of a beat (256)")
    parser.add_argument("--channels", type=int, default=1, help="weight streams (1)")
    parser.add_argument("--vector-lanes", type=int, default=8, help="elements the vector engine takes a cycle (8)")
    parser.add_argument("--memory", nargs="+", default=["ideal"], help=f"memory models ({', '.join(PRESETS)})")
    parser.add_argument("--clock-mhz", type=float, default=300.0, help="the core's clock behind timed memories (300)")
    parser.add_argument("--check", action="store_true", help="the same tokens on the emulator, every bit compared")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Per width or plan, position and memory: what `simulated` says, and cycles over bytes, by the first width's.

    Bytes are all that streams from memory for the token. The processor is the first width's, the others use it again.
    Caches hold random rows; nothing else than rows before the position is preset.
    """
    memories = [_at(memory_model(name), arguments.clock_mhz) for name in arguments.memory]
    stages = Stages(show=sys.stderr.isatty())
    figures: list[dict[str, Any]] = []
    processor = None
    for name, step in _steps(arguments, stages):
        processor = step.parameters
        for model in memories:
            for position in arguments.position:
                with stages.stage(f"{name}, {position}, {model.name}"):
                    figures.append({"bits": name, **simulated(step, position, model, check=arguments.check)})
    if not figures:
        raise ElastixError("no --bits and no --plan", wanted="at least one")
    for row in figures:
        first = next(each for each in figures if all(each[key] == row[key] for key in ("memory", "position")))
        row["bytes"] = _beats(row) * row["beat"] // 8
        row["cycles_by_bytes"] = round((row["cycles"] / first["cycles"]) / (_beats(row) / _beats(first)), 4)
    return {
        "model": str(arguments.folder or arguments.model or demo_model().name),
        "processor": repr(processor),
        "runs": figures,
        "worst_deviation_from_proportional": round(max(abs(row["cycles_by_bytes"] - 1) for row in figures), 4),
    }


def _beats(row: dict[str, Any]) -> int:
    return row["data_beats"] + row["constant_beats"]


def _at(model: MemoryModel, clock_mhz: float) -> MemoryModel:
    return model.at(round(clock_mhz * 1e6)) if model.dram else model


def _steps(arguments: argparse.Namespace, stages: Stages) -> Iterator[tuple[str, Step]]:
    """The step at each width and under each plan, all on one processor."""
    if arguments.folder is not None:
        yield arguments.folder.name, step_of_folder(arguments.folder)
        return
    rows = arguments.max_context or max(512, max(arguments.position) + 1)
    with stages.stage("import"):
        model = Model(arguments.model or demo_model(), rows)
    shape = CompileOptions(
        whole_step=True,
        beat=arguments.beat,
        channels=arguments.channels,
        vector_lanes=arguments.vector_lanes,
        max_context=rows,
    )
    wanted = [(str(bits), {"bits": bits}) for bits in arguments.bits]
    wanted += [(str(path), {"plan": path}) for path in arguments.plan]
    with ExitStack() as stack:
        there: dict[str, Any] = {}
        for name, precision in wanted:
            step = model.step(CompileOptions(**{**vars(shape), **precision, **there}), stages)
            there = there or {"processor": stack.enter_context(processor_file(step.parameters))}
            yield name, step
