"""`elastix eval MODEL --text FILE`: how well a model predicts a text, and how far it is from the same model in fp32.

MODEL is a folder that `elastix compile` wrote: every token goes through the compiled step on the emulator, exact in
every bit. Or it is a Hugging Face folder or a .gguf file: the model runs in torch, in fp32 or, with --bits or
--precision, rounded as compiling rounds it; quicker for long texts, and within a few percent of what is compiled.
The text is cut into windows of T tokens, each read anew with nothing before it.
"""

import argparse
import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from elastix.compiler.evaluate_text import check_text
from elastix.compiler.stages import Stages, peak_memory_bytes
from elastix.runtime.engines import ENGINES

if TYPE_CHECKING:  # torch takes seconds to import
    from elastix.tools.evaluation import Evaluation

FIELDS: Final = {
    "ppl": "perplexity, e^nll; measured",
    "nll": "mean of -ln p(next token) in nats a token, inside the windows: what a window begins with is given, not "
    "predicted; measured",
    "reference_ppl": "the reference's perplexity; measured",
    "reference_nll": "the reference's nll; measured",
    "kl": "mean over all positions of KL(reference || model) in nats: how far the predictions are from the "
    "reference's; measured, but 0 by definition for a model that is its own reference",
    "kl_expected": "the KL that the plan of --precision expects on this text, from its layers' errors on what the fp32 "
    "model reads; expected, null without a folder of `elastix quantize`, for a rotated one and with --reference",
    "top1": "share of the positions at which model and reference find the same token likeliest; as kl",
    "tokens": "tokens of the text that went through the model",
    "scored": "tokens that it predicted: all but the first of each window, or all with --bos",
    "bits_per_weight": "8 * bytes_per_token / weights; counted, null for fp32",
    "bytes_per_token": "what the processor reads of the weights for one token: every stream with its headers, padding "
    "and CRC, a tied head's once; counted, null for fp32",
    "embedding_bytes_per_token": "the row block with the token's row of the embedding table, which the host reads and "
    "bytes_per_token leaves out; counted",
    "weights": "weights in those streams: all matrices, but an embedding table only where it is the head too; counted",
    "context, windows": "T, and how many windows there were",
    "reference": "the model compared with, or null",
    "engine": "what computed the linear layers: an engine of `elastix run`, or torch",
    "kinds": "of each figure: measured, counted, expected, by definition, or none where it is null",
    "seconds": "of each stage",
    "peak_memory_bytes": "the most memory that this process held",
}
"""What `--json` prints, and what each field is."""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    result = argparse.ArgumentParser(
        prog="elastix eval",
        description=__doc__,
        epilog=_explained(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("model", type=Path, metavar="MODEL", help="a folder of `elastix compile`, or a model's files")
    result.add_argument("--json", action="store_true", help="all figures for scripts on standard output; no bars")
    text = result.add_argument_group("the text")
    text.add_argument("--text", type=Path, required=True, metavar="FILE", help="a text in UTF-8")
    text.add_argument("--tokens", type=int, default=2048, metavar="N", help="tokens to evaluate (default 2048)")
    text.add_argument("--offset", type=int, default=0, metavar="N", help="tokens of the text before them (default 0)")
    text.add_argument(
        "--context", type=int, metavar="T", help="tokens of a window (default 512, or as many as the model takes)"
    )
    text.add_argument("--bos", action="store_true", help="begin each window with the model's first token, one of its T")
    text.add_argument("--lines", action="store_true", help="encode every line that is not empty by itself")
    beside = result.add_argument_group("the reference").add_mutually_exclusive_group()
    beside.add_argument(
        "--reference",
        type=Path,
        metavar="MODEL",
        help="a model's files, run in fp32 (default: what MODEL was compiled from, or is)",
    )
    beside.add_argument("--no-reference", action="store_true", help="compare with nothing")
    compiled = result.add_argument_group("for a folder of `elastix compile`")
    compiled.add_argument("--engine", choices=ENGINES, help="what carries out the linear layers (default emulator)")
    _add_rounding(result.add_argument_group("for a model's files; as of `elastix compile`, with its defaults"))
    return result


def _add_rounding(group: "argparse._ArgumentGroup") -> None:  # pyright: ignore[reportPrivateUsage]
    precision = group.add_mutually_exclusive_group()
    precision.add_argument("--bits", type=int, metavar="N", help="bits of every weight")
    precision.add_argument("--precision", type=Path, metavar="PLAN", help="a precision plan")
    group.add_argument("--activation-bits", type=int, metavar="A", help="bits of an activation (11)")
    group.add_argument("--kv-bits", type=int, metavar="N", help="of cached keys and values (8; without a precision 32)")
    group.add_argument("--key-bits", type=int, metavar="N", help="of the keys alone")
    group.add_argument("--value-bits", type=int, metavar="N", help="of the values alone")
    group.add_argument("--rotate", metavar="WHAT", help="rotate before weights are rounded (none)")
    group.add_argument("--beat", type=int, metavar="D", help="for counting bytes (256)")
    group.add_argument("--channels", type=int, metavar="C", help="for counting bytes (1)")


def _explained() -> str:
    """The fields of `--json`, for the end of the help."""
    width = 2 + max(map(len, FIELDS))
    lines = ["figures, as --json names them:"]
    for name, text in FIELDS.items():
        first, *rest = textwrap.wrap(text, 110 - width)
        lines += [f"  {name:{width}}{first}", *(f"  {'':{width}}{line}" for line in rest)]
    return "\n".join(lines)


def command(argv: list[str]) -> int:
    """Evaluate; figures go to standard output, bars to standard error."""
    arguments = parser().parse_args(argv)
    check_text(arguments.text)
    from elastix.tools.evaluation import evaluate

    stages = Stages(show=not arguments.json)
    found = evaluate(arguments, stages)
    figures = _figures(found)
    if arguments.json:
        print(json.dumps({**figures, "seconds": stages.seconds, "peak_memory_bytes": peak_memory_bytes()}))
        return 0
    stages.print_table()
    print(_summary(figures))
    return 0


def _figures(found: "Evaluation") -> dict[str, Any]:
    from elastix.compiler.evaluate_score import perplexity

    quality, stream = found.quality, found.stream
    compared = found.reference is not None
    figures: dict[str, Any] = {
        "ppl": perplexity(quality.nll),
        "nll": quality.nll,
        "reference_ppl": perplexity(quality.reference_nll) if compared else None,
        "reference_nll": quality.reference_nll if compared else None,
        "kl": quality.kl if compared else None,
        "kl_expected": found.kl_expected,
        "top1": quality.top1 if compared else None,
        "tokens": found.tokens,
        "scored": quality.tokens,
        "bits_per_weight": stream and stream.bits_per_weight,
        "bytes_per_token": stream and stream.bytes,
        "embedding_bytes_per_token": stream and stream.embedding_bytes,
        "weights": stream and stream.weights,
        "context": found.context,
        "windows": len(found.pieces),
        "reference": str(found.reference) if compared else None,
        "engine": found.engine,
    }
    measured = "by definition" if found.itself else "measured"
    kinds = {
        **dict.fromkeys(("ppl", "nll"), "measured"),
        **dict.fromkeys(("reference_ppl", "reference_nll", "kl", "top1"), measured),
        "kl_expected": "expected",
        **dict.fromkeys(("tokens", "scored"), "counted"),
        **dict.fromkeys(("bits_per_weight", "bytes_per_token", "embedding_bytes_per_token", "weights"), "counted"),
    }
    return {**figures, "kinds": {name: "none" if figures[name] is None else kind for name, kind in kinds.items()}}


def _summary(figures: dict[str, Any]) -> str:
    lines = [f"perplexity {figures['ppl']:.4f} (nll {figures['nll']:.5f}) on {figures['tokens']:,} tokens"]
    lines[0] += f" in {figures['windows']} windows of {figures['context']}, by {figures['engine']}"
    if figures["kl"] is not None:
        expected = "" if figures["kl_expected"] is None else f" ({figures['kl_expected']:.5f} expected by the plan)"
        lines.append(
            f"KL {figures['kl']:.5f} nats{expected}, "
            f"same likeliest token at {100 * figures['top1']:.2f} % of the positions, "
            f"reference perplexity {figures['reference_ppl']:.4f} ({figures['reference']})"
        )
    if figures["bytes_per_token"] is not None:
        lines.append(
            f"{figures['bits_per_weight']:.3f} bits a weight, {figures['bytes_per_token']:,} bytes read a token, "
            f"and {figures['embedding_bytes_per_token']:,} of the embedding"
        )
    return "\n".join(lines)
