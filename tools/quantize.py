"""`elastix quantize MODEL --calibration TEXT -o PLAN`: how many bits each layer gets, and its weights rounded well."""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.plan import PLAN_FILE
from elastix.compiler.output import must_be_free
from elastix.compiler.stages import Stages, peak_memory_bytes

DEFAULT_BITS: Final = 4.5

EPILOG = """
The plan is a folder: plan.yaml to read and edit, weights.safetensors with the rounded weights, report.json, curve.svg
and bits.svg. Give it to `elastix compile MODEL --precision PLAN -o OUT`. What is done already is kept beside it, in
PLAN.partial, so that the same command goes on where a run was stopped.

The text is split by position: the first --tokens tokens calibrate, the --held-out tokens behind them measure. Test on
another text.
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    result = argparse.ArgumentParser(
        prog="elastix quantize",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("model", type=Path, help="a Hugging Face folder (config.json, safetensors) or a .gguf file")
    result.add_argument("--calibration", type=Path, required=True, metavar="TEXT", help="a text file, UTF-8")
    result.add_argument("-o", "--output", type=Path, required=True, metavar="PLAN", help="the folder to make")
    target = result.add_mutually_exclusive_group()
    target.add_argument(
        "--target-bits", type=float, metavar="B", help="bits a weight, headers and padding included (default 4.5)"
    )
    target.add_argument("--target-kl", type=float, metavar="KL", help="KL to fp32 at most, in nats a token")
    target.add_argument("--target-tokens-per-second", type=float, metavar="X", help="on --board, memory permitting")
    result.add_argument("--board", metavar="NAME", help="the board of --target-tokens-per-second")
    result.add_argument("--tokens", type=int, default=24576, metavar="N", help="tokens that calibrate (24576)")
    result.add_argument(
        "--held-out", type=int, default=1024, metavar="N", help="tokens behind them that measure (1024)"
    )
    result.add_argument("--window", type=int, default=512, metavar="T", help="tokens the model sees at once (512)")
    result.add_argument("--lines", action="store_true", help="encode every line that is not empty by itself")
    result.add_argument("--bos", action="store_true", help="begin each window with the model's first token")
    result.add_argument(
        "--activation-bits", type=int, default=11, metavar="A", help="bits of an activation, 8 to 12 (default 11)"
    )
    result.add_argument("--beat", type=int, default=256, metavar="D", help="beat of the processor, bits (default 256)")
    result.add_argument("--channels", type=int, default=1, metavar="C", help="its memory channels (default 1)")
    result.add_argument("--rotate", default="none", metavar="WHAT", help="as of elastix compile (default none)")
    result.add_argument("--overwrite", action="store_true", help="replace PLAN if it exists")
    result.add_argument("--json", action="store_true", help="the report for scripts on standard output; no bars")
    return result


def command(argv: list[str]) -> int:
    """Quantize; bars, the table and the curve on standard error, figures with --json on standard output."""
    arguments = parser().parse_args(argv)
    if (arguments.board is None) != (arguments.target_tokens_per_second is None):
        raise ElastixError("one of --board and --target-tokens-per-second", wanted="both, or neither")
    if arguments.window < 2 or arguments.tokens < arguments.window or arguments.held_out < arguments.window:
        raise ElastixError(
            f"--tokens {arguments.tokens} --held-out {arguments.held_out} --window {arguments.window}",
            wanted="windows of 2 tokens or more, at least one of them to calibrate and one to measure",
        )
    stages = Stages(show=not arguments.json and sys.stderr.isatty())
    found, seconds = _quantize(arguments, stages)
    if arguments.json:
        print(json.dumps({**found, "seconds": seconds, "peak_memory_bytes": peak_memory_bytes()}))
    return 0


def _quantize(arguments: argparse.Namespace, stages: Stages) -> tuple[Mapping[str, Any], dict[str, float]]:
    from elastix.compiler.boards import bytes_for

    speed = arguments.target_tokens_per_second
    size = None if speed is None else bytes_for(speed, arguments.board)
    for path in (arguments.model, arguments.calibration):
        if not path.exists():
            raise ElastixError(f"no file {path}", wanted="a model and a text", do="check the paths")
    # torch and transformers take seconds to import.
    from elastix.compiler.precision.plan_folder import PlanContent, write_plan
    from elastix.compiler.precision.planning import curve, figures, planned
    from elastix.compiler.precision.quantizer import Quantizer, Target
    from elastix.compiler.precision.streamed_model import StreamedModel
    from elastix.compiler.precision.summary import print_summary
    from elastix.compiler.precision.text import read_text, token_windows

    none_given = arguments.target_bits is None and arguments.target_kl is None and size is None
    target = Target(DEFAULT_BITS if none_given else arguments.target_bits, arguments.target_kl, size)
    must_be_free(arguments.output, overwrite=arguments.overwrite, marker=PLAN_FILE, maker="elastix quantize")
    with stages.stage("open"):
        window = arguments.window
        calibrating, measuring = arguments.tokens // window, arguments.held_out // window
        text = read_text(arguments.calibration)
        windows = token_windows(
            arguments.model,
            text,
            window=window,
            count=calibrating + measuring,
            lines=arguments.lines,
            bos=arguments.bos,
        )
        model = StreamedModel(arguments.model, rotate=arguments.rotate)
    partial = arguments.output.with_name(arguments.output.name + ".partial")
    quantizer = Quantizer(
        model,
        windows[:calibrating],
        windows[calibrating:],
        partial,
        stages,
        beat=arguments.beat,
        channels=arguments.channels,
        activation_bits=arguments.activation_bits,
    )
    try:
        quantizer.prepare()
        found = quantizer.quantize(target)
    except KeyboardInterrupt:
        raise ElastixError("stopped", do=f"the same command goes on from {partial}") from None
    texts = (
        f"{arguments.calibration.name}: tokens 0 to {calibrating * window} calibrate, "
        f"{calibrating * window} to {windows.numel()} measure"
    )
    heading = (
        f"{found.bits_per_weight:.3f} bits a weight, {found.bytes:,} bytes a token; KL {found.expected:.4f} expected",
        texts,
        "Edit what you like: layers whose format differs from the rounded weights beside this file are rounded anew.",
    )
    drawn, layers = curve(found), planned(found)
    content = PlanContent(
        layers, drawn, rotate=arguments.rotate, heading=heading, figures={**figures(found), "text": texts}
    )
    with stages.stage("write"):
        write_plan(arguments.output, content, quantizer.rows.rows, model.store, overwrite=arguments.overwrite)
    shutil.rmtree(partial)
    if not arguments.json:
        print_summary(layers, drawn, stages.console)
        stages.print_table()
    return figures(found), stages.seconds
