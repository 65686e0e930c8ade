"""How long `elastix compile` takes: seconds of every stage, in a process of its own, and whether it repeats itself.

With `--board`, choosing the processor of whole decode steps too; with `--shape`, for a model without weights.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from elastix.compiler.errors import ElastixError
from elastix.compiler.manifest import file_hash
from elastix.tools.demo_model import demo_model
from elastix.tools.shapes import SHAPES, write_shape

NAME = "compile"
HELP = "seconds of every stage of compiling a model, beside the seconds that importing torch and transformers takes"
STARTUP = "import torch, transformers, transformers.models.llama.modeling_llama"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, and how often."""
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--model", type=Path, help="a Hugging Face folder, a .gguf or an .onnx file (the demo's model)")
    model.add_argument(
        "--shape",
        metavar="NAME",
        help=f"whole decode steps of a model without weights: {', '.join(SHAPES)}, or a config.json",
    )
    parser.add_argument("--whole-step", action="store_true", help="a processor for whole decode steps")
    parser.add_argument("--board", metavar="NAME", help="whole decode steps on a processor chosen for a board")
    parser.add_argument("--channels", type=int, metavar="C", help="weight streams")
    parser.add_argument("--runs", type=int, default=2, help="compilations (2)")
    parser.add_argument("--bits", type=int, default=8, help="bits of every weight (8)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Figures of the fastest run; `identical`: whether all runs wrote the same bytes.

    startup_seconds: a process that only imports torch and transformers, which every compilation does too;
    seconds_after_import: of all stages but reading the model; cpu_seconds: of all threads, on a busy machine the better
    figure.
    """
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", STARTUP], check=True)
    startup = time.perf_counter() - begun
    runs: list[dict[str, Any]] = []
    hashes: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="elastix-bench-") as folder:
        model = write_shape(arguments.shape, Path(folder) / "shape") if arguments.shape else arguments.model
        model = model or demo_model()
        for index in range(arguments.runs):
            out = Path(folder) / f"out{index}"
            runs.append(_compile(model, out, _options(arguments)))
            hashes.append({str(path.relative_to(out)): file_hash(path) for path in out.rglob("*") if path.is_file()})
    best = min(runs, key=lambda each: each["wall_seconds"])
    return {
        "model": arguments.shape or model.name,
        **best,
        "all_wall_seconds": [each["wall_seconds"] for each in runs],
        "startup_seconds": round(startup, 2),
        "wall_over_startup": round(best["wall_seconds"] / startup, 2),
        "identical": all(each == hashes[0] for each in hashes),
    }


def _options(arguments: argparse.Namespace) -> list[str]:
    """Of `elastix compile`."""
    words = ["--bits", str(arguments.bits)]
    if arguments.whole_step or arguments.board or arguments.shape:
        words.append("--whole-step")
    words += ["--no-weights"] if arguments.shape else []
    words += ["--board", arguments.board] if arguments.board else []
    return words + (["--channels", str(arguments.channels)] if arguments.channels else [])


def _compile(model: Path, out: Path, options: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "elastix.tools.cli", "compile", str(model), "-o", str(out), *options]
    begun, before = time.perf_counter(), _cpu_seconds()
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ElastixError(done.stderr.strip().removeprefix("error: "))
    figures: dict[str, Any] = json.loads(done.stdout)
    seconds = {stage: round(value, 2) for stage, value in figures["seconds"].items()}
    after = round(sum(each for stage, each in figures["seconds"].items() if stage != "import"), 2)
    wall = round(time.perf_counter() - begun, 2)
    cpu = round(_cpu_seconds() - before, 2)
    return {
        **figures,
        "seconds": seconds,
        "seconds_after_import": after,
        "wall_seconds": wall,
        "cpu_seconds": cpu,
    }


def _cpu_seconds() -> float:
    """Of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
