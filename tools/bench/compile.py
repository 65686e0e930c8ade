"""How long `elastix compile` takes: seconds of every stage, in a process of its own, and whether it repeats itself."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from elastix.compiler.errors import ElastixError
from elastix.compiler.manifest import file_hash
from elastix.tools.demo_model import demo_model

NAME = "compile"
HELP = "seconds of every stage of compiling a model, beside the seconds that importing torch and transformers takes"
STARTUP = "import torch, transformers, transformers.models.llama.modeling_llama"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, and how often."""
    parser.add_argument("--model", type=Path, help="a Hugging Face folder, a .gguf or an .onnx file (the demo's model)")
    parser.add_argument("--runs", type=int, default=2, help="compilations (2)")
    parser.add_argument("--bits", type=int, default=8, help="bits of every weight (8)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Figures of the fastest run; `identical`: whether all runs wrote the same bytes.

    startup_seconds: a process that only imports torch and transformers, which every compilation does too.
    """
    model = arguments.model or demo_model()
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", STARTUP], check=True)
    startup = time.perf_counter() - begun
    runs: list[dict[str, Any]] = []
    hashes: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="elastix-bench-") as folder:
        for index in range(arguments.runs):
            out = Path(folder) / f"out{index}"
            runs.append(_compile(model, out, arguments.bits))
            hashes.append({str(path.relative_to(out)): file_hash(path) for path in out.rglob("*") if path.is_file()})
    best = min(runs, key=lambda each: each["wall_seconds"])
    return {
        "model": model.name,
        **best,
        "all_wall_seconds": [each["wall_seconds"] for each in runs],
        "startup_seconds": round(startup, 2),
        "wall_over_startup": round(best["wall_seconds"] / startup, 2),
        "identical": all(each == hashes[0] for each in hashes),
    }


def _compile(model: Path, out: Path, bits: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "elastix.tools.cli", "compile", str(model), "-o", str(out), "--bits", str(bits)]
    begun = time.perf_counter()
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ElastixError(done.stderr.strip().removeprefix("error: "))
    figures: dict[str, Any] = json.loads(done.stdout)
    seconds = {stage: round(value, 2) for stage, value in figures["seconds"].items()}
    return {**figures, "seconds": seconds, "wall_seconds": round(time.perf_counter() - begun, 2)}
