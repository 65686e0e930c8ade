"""`elastix run OUT`: a compiled model answers, on the emulator or on its own RTL."""

import argparse
import json
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from elastix.compiler.errors import ElastixError
from elastix.compiler.generate import CacheFull, greedy, in_pieces
from elastix.compiler.step.manifest import is_step_folder
from elastix.compiler.tokenizer import TextCodec, load
from elastix.runtime.engines import ENGINES
from elastix.tools.session import Session
from elastix.tools.step_session import open_session


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    result = argparse.ArgumentParser(prog="elastix run", description=__doc__)
    result.add_argument("folder", type=Path, metavar="OUT", help="a folder that `elastix compile` wrote")
    question = result.add_mutually_exclusive_group(required=True)
    question.add_argument("--prompt", help="text; in the model's chat template where it has one")
    question.add_argument(
        "--inputs", type=Path, metavar="FILE.npz", help="arrays by name, where the model takes no text"
    )
    question.add_argument("--ids", help="token ids, with commas, instead of text")
    result.add_argument("--raw", action="store_true", help="the prompt as it is, without the chat template")
    result.add_argument(
        "--tokens", type=int, default=30, metavar="N", help="at most this many tokens of answer (default 30)"
    )
    result.add_argument(
        "--engine", choices=ENGINES, default="emulator", help="what plays the processor (default emulator)"
    )
    result.add_argument(
        "--prefill-engine",
        choices=ENGINES,
        metavar="ENGINE",
        help="another engine for all but the prompt's last token (default: --engine)",
    )
    result.add_argument(
        "--check",
        nargs="?",
        const="",
        choices=("", *ENGINES),
        metavar="ENGINE",
        help="run a second engine too and compare every bit (the emulator; the oracle beside the emulator)",
    )
    result.add_argument(
        "--lock-step",
        action="store_true",
        help="with --engine rtl, of a whole decode step: compare every write of every instruction with the emulator's",
    )
    result.add_argument("--outputs", type=Path, metavar="FILE.npz", help="where the results of --inputs go")
    result.add_argument("--json", action="store_true", help="figures for scripts on standard output")
    return result


def command(argv: list[str]) -> int:
    """Answer; text goes to standard output as it comes."""
    arguments = parser().parse_args(argv)
    with ExitStack() as stack:
        figures = _infer(arguments, stack) if arguments.inputs is not None else _answer(arguments, stack)
    if arguments.json:
        print(json.dumps(figures))
    return 0


def _answer(arguments: argparse.Namespace, stack: ExitStack) -> dict[str, Any]:
    """Read the prompt, decode greedily, print as it goes; returns the figures."""
    for option, beside in (("outputs", arguments.outputs is not None), ("raw", arguments.raw and arguments.ids)):
        if beside:
            raise ElastixError(f"--{option} without --{'inputs' if option == 'outputs' else 'prompt'}", wanted="both")
    if arguments.tokens < 1:
        raise ElastixError(f"--tokens {arguments.tokens}", wanted="at least 1")
    session = open_session(arguments.folder, arguments.engine, arguments.check, stack, lock_step=arguments.lock_step)
    session.must_be_a_language_model()
    codec = load(arguments.folder / "tokenizer") if arguments.ids is None else None
    prompt = _ids(arguments.ids) if codec is None else codec.encode(arguments.prompt, raw=arguments.raw)
    if bad := [each for each in prompt if not 0 <= each < session.vocabulary]:
        raise ElastixError(f"token id {bad[0]}", wanted=f"0 to {session.vocabulary - 1}")
    prefill, last = arguments.prefill_engine, len(prompt) - 1
    session.use_named(prefill)  # so that an engine that cannot be opened shows now

    def step(tokens: Sequence[int], position: int) -> NDArray[np.float32]:
        session.use_named(prefill if position < last else None)
        return session.step(tokens, position)

    begun = read = answered_at = time.perf_counter()
    answered: list[int] = []
    prompt_cycles = 0
    full: CacheFull | None = None
    end = frozenset[int]() if codec is None else codec.end_of_text
    pieces = in_pieces(prompt, session.lanes, last_alone=prefill is not None)
    with Progress(transient=True, disable=arguments.json or not sys.stderr.isatty()) as bar:
        reading = bar.add_task("reading the prompt", total=len(prompt))
        try:
            for decoded in greedy(step, pieces, arguments.tokens, max_context=session.max_context, end=end):
                if decoded.prompt:
                    read, prompt_cycles = time.perf_counter(), session.cycles
                    bar.update(reading, completed=decoded.position + 1, visible=decoded.position < last)
                    continue
                answered.append(decoded.token)
                answered_at = time.perf_counter()
                if not arguments.json:
                    print(_text(codec, answered)[len(_text(codec, answered[:-1])) :], end="", flush=True)
        except CacheFull as error:
            full = error
    ended = time.perf_counter()
    figures: dict[str, Any] = {"text": _text(codec, answered), "ids": answered, "prompt_ids": prompt}
    figures["prompt_runs"] = len(pieces)
    figures["prompt_cycles"] = prompt_cycles
    figures["prompt_tokens_per_second"] = len(prompt) / (read - begun)
    # The first token of the answer comes with the prompt's last.
    figures["tokens_per_second"] = (len(answered) - 1) / (answered_at - read) if len(answered) > 1 else None
    figures |= session.figures({"prompt": read - begun, "answer": ended - read})
    if not arguments.json:
        print()
        print(f"{_speeds(figures)} on {session.summary()}", file=sys.stderr)
    if full is not None:
        if arguments.json:
            print(json.dumps(figures))
        raise full
    return figures


def _speeds(figures: Mapping[str, Any]) -> str:
    """What was read and what was answered, how fast."""
    read, runs, answered = len(figures["prompt_ids"]), figures["prompt_runs"], len(figures["ids"])
    speed = figures["tokens_per_second"]
    return (
        f"{read} tokens of prompt in {runs} run{'s' if runs > 1 else ''} at {figures['prompt_tokens_per_second']:.1f} "
        f"tokens/s, {answered} of answer" + ("" if speed is None else f" at {speed:.1f} tokens/s")
    )


def _ids(text: str | None) -> list[int]:
    try:
        return [int(word) for word in (text or "").split(",")]
    except ValueError:
        raise ElastixError(f"--ids {text}", wanted="whole numbers with commas between them") from None


def _text(codec: TextCodec | None, ids: list[int]) -> str:
    return "".join(f"{each} " for each in ids) if codec is None else codec.decode(ids)


def _infer(arguments: argparse.Namespace, stack: ExitStack) -> dict[str, Any]:
    """One run of the step on arrays from a file; results go to another, or their first values are printed."""
    if is_step_folder(arguments.folder):
        raise ElastixError(f"--inputs for {arguments.folder}, a whole decode step", wanted="--prompt or --ids")
    session = Session(arguments.folder, arguments.engine, arguments.check, stack)
    begun = time.perf_counter()
    session.use(session.chosen)
    results = session.program.run(_arrays(arguments.inputs))
    figures = session.figures({"run": time.perf_counter() - begun})
    if arguments.outputs is not None:
        with arguments.outputs.open("wb") as file:
            np.savez(file, allow_pickle=False, **results)
    if not arguments.json:
        for name, values in results.items():
            print(f"{name}: {values.dtype} {list(values.shape)}, first {values.ravel()[:8].tolist()}")
        print(session.summary(), file=sys.stderr)
    return figures | {"results": {name: values.ravel()[:1000].tolist() for name, values in results.items()}}


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, zipfile.BadZipFile, TypeError) as error:
        raise ElastixError(f"{path}: {error}", wanted="a .npz file of numpy.savez") from None
