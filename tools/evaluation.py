"""What `elastix eval` does: a model and its reference on the same windows of a text."""

import argparse
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from elastix.compiler.errors import ElastixError
from elastix.compiler.evaluate_bytes import TokenStream, stream_of_manifest, stream_of_sites
from elastix.compiler.evaluate_compiled import CompiledLogits
from elastix.compiler.evaluate_score import Logits, Quality, score
from elastix.compiler.evaluate_streamed import RoundedStore, Rounding, formats_of, streamed_logits
from elastix.compiler.evaluate_text import TextOptions, codec_of, windows_of
from elastix.compiler.importer.hugging_face import DEFAULT_CONTEXT
from elastix.compiler.manifest import FILE_NAME
from elastix.compiler.numbers.plan import load_plan, uniform
from elastix.compiler.options import CompileOptions
from elastix.compiler.pipeline import TOKENIZER_FOLDER, with_plan
from elastix.compiler.precision.expected import Expectation, LayerErrors
from elastix.compiler.precision.plan_folder import REPORT_FILE
from elastix.compiler.precision.streamed_logits import Within
from elastix.compiler.precision.streamed_model import StreamedModel
from elastix.compiler.program_runner import WEIGHTS_FILE
from elastix.compiler.stages import Stages
from elastix.compiler.tokenizer import TextCodec
from elastix.tools.session import Session
from elastix.tools.step_session import StepSession, open_session

Pieces = list[list[int]]
_CACHES: Final = ("kv_bits", "key_bits", "value_bits")
_WITH_PRECISION: Final = ("activation_bits", "rotate", "beat", "channels")


@dataclass(frozen=True)
class Evaluation:
    """A model on a text. Without a reference kl and top1 of `quality` say nothing.

    reference: the model that it was compared with, or None; itself: that is the same, and was not run twice; stream:
    None for a model in fp32; engine: what computed the linear layers; tokens: of the text; kl_expected: on this text,
    by the plan, or None where it cannot say.
    """

    quality: Quality
    reference: Path | None
    itself: bool
    stream: TokenStream | None
    engine: str
    tokens: int
    context: int
    pieces: Pieces
    kl_expected: float | None = None


def evaluate(arguments: argparse.Namespace, stages: Stages) -> Evaluation:
    """The options are those of tools/eval.py.

    Raises ElastixError for options that do not go together, and for whatever is wrong with the text and the models.
    """
    with ExitStack() as stack:
        if any((arguments.model / name).is_file() for name in (FILE_NAME, WEIGHTS_FILE)):
            return _compiled(arguments, stages, stack)
        return _files(arguments, stages, stack)


def _compiled(arguments: argparse.Namespace, stages: Stages, stack: ExitStack) -> Evaluation:
    """Of a folder that `elastix compile` wrote."""
    folder: Path = arguments.model
    _refuse(arguments, ("bits", "precision", *_CACHES, *_WITH_PRECISION), f"for {folder}, which is compiled already")
    with stages.stage("open"):
        session = open_session(folder, arguments.engine or "emulator", None, stack)
        session.must_be_a_language_model(do="")
        session.use_named(None)
        context = _context(arguments.context, session.max_context, str(folder))
        pieces = _pieces(arguments, codec_of(folder / TOKENIZER_FOLDER), context, session.vocabulary)
        reference = None if arguments.no_reference else arguments.reference or _source(session, folder)
        model = None if reference is None else _opened(reference, session.vocabulary)
    beside = None if model is None else _streamed(model, pieces, None, stages, stack)
    compiled = CompiledLogits(session.step, session.reset, pieces)
    quality = _score(pieces, compiled, beside, stages)
    stream = stream_of_manifest(session.manifest)
    return Evaluation(quality, reference, False, stream, session.engine_name, arguments.tokens, context, pieces)


def _files(arguments: argparse.Namespace, stages: Stages, stack: ExitStack) -> Evaluation:
    """Of a model's own files, in fp32 or rounded."""
    path: Path = arguments.model
    for each in (path, arguments.reference):
        if each is not None and each.is_file() and each.suffix != ".gguf":
            wanted = "a folder of `elastix compile`, a Hugging Face folder or a .gguf file"
            raise ElastixError(f"{each} is no language model", wanted=wanted)
    rounding, options = _rounding(arguments)
    with stages.stage("open"):
        model = StreamedModel(path, rotate=options.rotate)
        context = _context(arguments.context, model.context, str(path))
        pieces = _pieces(arguments, codec_of(path), context, model.vocabulary)
        stream = None
        if rounding is not None and rounding.plan is not None:
            formats = formats_of(model, rounding.plan)
            for name in formats:
                rounding.activation_bits_of(name)  # what is wrong shows before anything is run
            stream = stream_of_sites(model.sites, formats, beat=options.beat, channels=options.channels)
        reference = None if arguments.no_reference else arguments.reference or path
        itself = reference is not None and arguments.reference is None and rounding is None
        other = None if reference is None or itself else _opened(reference, model.vocabulary)
    expectation = None if other is None or rounding is None else _expectation(arguments, rounding, options, other)
    watching = None if expectation is None else expectation[1].within
    beside = None if other is None else _streamed(other, pieces, None, stages, stack, watching)
    quality = _score(pieces, _streamed(model, pieces, rounding, stages, stack), beside, stages)
    expected = None if expectation is None else expectation[0].kl(expectation[1])
    return Evaluation(quality, reference, itself, stream, "torch", arguments.tokens, context, pieces, expected)


def _expectation(
    arguments: argparse.Namespace, rounding: Rounding, options: CompileOptions, reference: StreamedModel
) -> tuple[Expectation, LayerErrors] | None:
    """What the plan knows of its KL, and the errors of its layers, which the reference will find as it runs.

    None for a plan without such knowledge, and where the reference is another model or its layers read other inputs
    than those of the plan: rotated ones.
    """
    if rounding.plan is None or rounding.plan.folder is None or arguments.reference or options.rotate != "none":
        return None
    known = Expectation.of_report(rounding.plan.folder / REPORT_FILE)
    if known is None:
        return None
    store = RoundedStore(reference.store, formats_of(reference, rounding.plan), rounding)
    return known, LayerErrors(lambda name: torch.tensor(store.read(name)))


def _rounding(arguments: argparse.Namespace) -> tuple[Rounding | None, CompileOptions]:
    """What is rounded, nothing at all being None, and the options of compiling, checked."""
    _refuse(arguments, ("engine",), f"for {arguments.model}, which is not compiled")
    precise = arguments.bits is not None or arguments.precision is not None
    if not precise:
        _refuse(arguments, _WITH_PRECISION, "without --bits or --precision: nothing is rounded")
    caches = arguments.kv_bits if arguments.kv_bits is not None else CompileOptions.key_bits if precise else 32
    given = {name: getattr(arguments, name) for name in ("bits", *_WITH_PRECISION)}
    options = CompileOptions(
        plan=arguments.precision,
        key_bits=caches if arguments.key_bits is None else arguments.key_bits,
        value_bits=caches if arguments.value_bits is None else arguments.value_bits,
        **{name: value for name, value in given.items() if value is not None},
    )
    options, planned = with_plan(options)
    plan = load_plan(options.plan) if options.plan is not None else uniform(options.bits) if precise else None
    rounding = Rounding(plan, options.activation_bits, options.key_bits, options.value_bits, planned=planned)
    return (None if rounding == Rounding() else rounding), options


def _refuse(arguments: argparse.Namespace, names: tuple[str, ...], why: str) -> None:
    """Raises ElastixError for an option that would do nothing."""
    for name in names:
        if getattr(arguments, name) is not None:
            raise ElastixError(f"--{name.replace('_', '-')} {why}", do="leave it out")


def _source(session: Session | StepSession, folder: Path) -> Path:
    """The model that a folder was compiled from."""
    source, do = str(session.manifest.model.get("source", "")), "give --reference MODEL, or --no-reference"
    if not source:
        raise ElastixError(f"{folder} was compiled from a model in memory", wanted="a model's files", do=do)
    if not Path(source).exists():
        raise ElastixError(f"{folder} was compiled from {source}, which is not there", wanted="that model", do=do)
    return Path(source)


def _context(wanted: int | None, longest: int | None, where: str) -> int:
    """Tokens of a window: 512, or as many as the model takes, where not given."""
    if wanted is None:
        return min(DEFAULT_CONTEXT, longest or DEFAULT_CONTEXT)
    if longest is not None and wanted > longest:
        raise ElastixError(f"--context {wanted}", wanted=f"at most {longest}, which {where} takes")
    return wanted


def _pieces(arguments: argparse.Namespace, codec: TextCodec, context: int, vocabulary: int) -> Pieces:
    """The windows; every token is one of the model's."""
    options = TextOptions(arguments.tokens, arguments.offset, context, arguments.lines, arguments.bos)
    pieces = windows_of(arguments.text, codec, options)
    if (highest := max(map(max, pieces))) >= vocabulary:
        raise ElastixError(f"token {highest} of the tokenizer", wanted=f"0 to {vocabulary - 1}, as the model has them")
    return pieces


def _opened(reference: Path, vocabulary: int) -> StreamedModel:
    """The model to compare with; its tokens are the model's."""
    model = StreamedModel(reference)
    if model.vocabulary != vocabulary:
        raise ElastixError(
            f"the reference {reference} with a vocabulary of {model.vocabulary} tokens",
            wanted=f"{vocabulary}, as the model has",
            do="give the model that it was made from",
        )
    return model


def _streamed(
    model: StreamedModel,
    pieces: Pieces,
    rounding: Rounding | None,
    stages: Stages,
    stack: ExitStack,
    within: Within | None = None,
) -> Logits:
    name = "blocks in fp32" if rounding is None else "blocks, rounded"
    with stages.stage(name, total=model.blocks * sum(map(len, pieces))) as advance:
        return stack.enter_context(streamed_logits(model, pieces, rounding, advance, within))


def _score(pieces: Pieces, found: Logits, beside: Logits | None, stages: Stages) -> Quality:
    with stages.stage("tokens", total=sum(map(len, pieces))) as advance:
        return score(pieces, found, beside, advance)
