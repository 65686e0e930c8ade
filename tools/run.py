"""`elastix run OUT`: a compiled language model answers, on the emulator or on its own RTL."""

import argparse
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from elastix.compiler.errors import ElastixError
from elastix.compiler.generate import greedy
from elastix.compiler.program_runner import Program
from elastix.compiler.stages import peak_memory_bytes
from elastix.compiler.tokenizer import TextCodec, load
from elastix.runtime.device import CheckedEngine, Engine
from elastix.runtime.engines import ENGINES, open_engine, simulated_cycles


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    result = argparse.ArgumentParser(prog="elastix run", description=__doc__)
    result.add_argument("folder", type=Path, metavar="OUT", help="a folder that `elastix compile` wrote")
    question = result.add_mutually_exclusive_group(required=True)
    question.add_argument("--prompt", help="text; in the model's chat template where it has one")
    question.add_argument("--ids", help="token ids, with commas, instead of text")
    result.add_argument("--raw", action="store_true", help="the prompt as it is, without the chat template")
    result.add_argument(
        "--tokens", type=int, default=30, metavar="N", help="at most this many tokens of answer (default 30)"
    )
    result.add_argument(
        "--engine", choices=ENGINES, default="emulator", help="what carries out the linear layers (default emulator)"
    )
    result.add_argument(
        "--prefill-engine", choices=ENGINES, metavar="ENGINE", help="another engine for all but the prompt's last token"
    )
    result.add_argument(
        "--check",
        nargs="?",
        const="",
        choices=("", *ENGINES),
        metavar="ENGINE",
        help="run a second engine too and compare every bit (the emulator; the oracle beside the emulator)",
    )
    result.add_argument("--json", action="store_true", help="figures for scripts on standard output")
    return result


def command(argv: list[str]) -> int:
    """Answer; text goes to standard output as it comes."""
    arguments = parser().parse_args(argv)
    if arguments.tokens < 1:
        raise ElastixError(f"--tokens {arguments.tokens}", wanted="at least 1")
    codec = load(arguments.folder / "tokenizer") if arguments.ids is None else None
    prompt = _ids(arguments.ids) if codec is None else codec.encode(arguments.prompt, raw=arguments.raw)
    with ExitStack() as stack:
        figures = _Run(arguments, codec, stack).answer(prompt)
    if arguments.json:
        print(json.dumps(figures))
    return 0


def _ids(text: str | None) -> list[int]:
    try:
        return [int(word) for word in (text or "").split(",")]
    except ValueError:
        raise ElastixError(f"--ids {text}", wanted="whole numbers with commas between them") from None


class _Run:
    """One answer: the program, its engines, and what they cost."""

    def __init__(self, arguments: argparse.Namespace, codec: TextCodec | None, stack: ExitStack) -> None:
        self.arguments, self.codec = arguments, codec
        begin = time.perf_counter()
        self.program = Program.load(arguments.folder)
        manifest = self.program.manifest
        processor, self.logits, self.max_context = (
            manifest.processor,
            manifest.results[0].name,
            int(manifest.model["max_context"]),
        )
        self.engine = open_engine(arguments.engine, processor, stack)
        self.checked: CheckedEngine | None = None
        chosen = self.engine
        if arguments.check is not None:
            second = arguments.check or ("oracle" if arguments.engine == "emulator" else "emulator")
            if second == arguments.engine:
                raise ElastixError(f"--check {second} beside --engine {second}", wanted="two different engines")
            names = {layer.address: layer.name for layer in self.program.manifest.layers}
            self.checked = chosen = CheckedEngine(processor, self.engine, open_engine(second, processor, stack), names)
            self.second = second
        self.chosen: Engine = chosen
        prefill = arguments.prefill_engine
        self.prefill: Engine = chosen if prefill in (None, arguments.engine) else open_engine(prefill, processor, stack)
        self.seconds = {"load": time.perf_counter() - begin}

    def answer(self, prompt: list[int]) -> dict[str, Any]:
        """Decode, printing as it goes; returns the figures."""
        quiet, last = self.arguments.json, len(prompt) - 1
        vocabulary = self.program.manifest.results[0].shape[-1]
        if bad := [i for i in prompt if not 0 <= i < vocabulary]:
            raise ElastixError(f"token id {bad[0]}", wanted=f"0 to {vocabulary - 1}")
        begun = time.perf_counter()
        answered: list[int] = []
        first_token = begun

        def step(token: int, position: int) -> np.ndarray[Any, np.dtype[np.float32]]:
            self.program.device.set_engine(self.prefill if position < last else self.chosen)
            return self.program.run({"ids": np.array([[token]]), "positions": np.array([position])})[
                self.logits
            ].reshape(-1)

        end = frozenset[int]() if self.codec is None else self.codec.end_of_text
        steps = greedy(step, prompt, self.arguments.tokens, max_context=self.max_context, end=end)
        with Progress(transient=True, disable=quiet or not sys.stderr.isatty()) as bar:
            reading = bar.add_task("reading the prompt", total=len(prompt))
            for decoded in steps:
                bar.update(reading, completed=decoded.position + 1, visible=decoded.prompt)
                if decoded.prompt:
                    first_token = time.perf_counter()
                    continue
                answered.append(decoded.token)
                if not quiet:
                    print(self._text(answered)[len(self._text(answered[:-1])) :], end="", flush=True)
        ended = time.perf_counter()
        self.seconds |= {"prompt": first_token - begun, "answer": ended - first_token}
        figures = self._figures(prompt, answered)
        if not quiet:
            print()
            self._say(figures)
        return figures

    def _text(self, ids: list[int]) -> str:
        return " ".join(map(str, ids)) + " " * bool(ids) if self.codec is None else self.codec.decode(ids)

    def _figures(self, prompt: list[int], answered: list[int]) -> dict[str, Any]:
        cycles = simulated_cycles(self.engine)
        return {
            "text": "" if self.codec is None else self.codec.decode(answered),
            "ids": answered,
            "prompt_ids": prompt,
            "engine": self.arguments.engine,
            "checked_against": self.second if self.checked else None,
            "launches_compared": self.checked.launches if self.checked else 0,
            "tokens_per_second": len(answered) / self.seconds["answer"],
            "cycles": cycles,
            "seconds": self.seconds,
            "peak_memory_bytes": peak_memory_bytes(),
        }

    def _say(self, figures: dict[str, Any]) -> None:
        parts = [f"{len(figures['ids'])} tokens at {figures['tokens_per_second']:.1f} tokens/s on {figures['engine']}"]
        if figures["cycles"]:
            parts.append(f"{figures['cycles']:,} cycles simulated")
        if self.checked:
            parts.append(f"{self.checked.launches} launches equal in every bit to {self.second}")
        print("; ".join(parts), file=sys.stderr)
