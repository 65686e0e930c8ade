"""The emulator's speed: the matrix work of one token of a model shaped like SmolLM2-135M, beside what memory allows."""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.numbers.pack import Descriptor, QuantizedRows, pack_layer
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.compiler.program_runner import Program
from elastix.runtime import _runtime
from elastix.runtime.device import Device

NAME = "emulate"
HELP = "tokens a second of the emulator's matrix work, SmolLM2-135M's shapes, beside the memory-bandwidth bound"

HIDDEN, KEY_VALUE, INTERMEDIATE, VOCABULARY, LAYERS = 576, 192, 1536, 49152, 30
LAYER = (
    (HIDDEN, HIDDEN),
    (KEY_VALUE, HIDDEN),
    (KEY_VALUE, HIDDEN),
    (HIDDEN, HIDDEN),
    (INTERMEDIATE, HIDDEN),
    (INTERMEDIATE, HIDDEN),
    (HIDDEN, INTERMEDIATE),
)
SHAPES = [*(shape for _ in range(LAYERS) for shape in LAYER), (VOCABULARY, HIDDEN)]
"""Rows and columns of every launch of a token: 135 million weights."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 6, 4, 2], help="bits of a weight, one run for each")
    parser.add_argument(
        "--tokens", type=int, default=20, help="tokens measured, after a first one that decodes the weights"
    )
    parser.add_argument("--beat", type=int, default=256, help="bits of a beat")
    model = "also whole tokens of a compiled language model, an output folder of `elastix compile`"
    parser.add_argument("--model", type=Path, metavar="OUT", help=model)
    parser.add_argument("--position", type=int, default=16, help="tokens in the cache before the measured ones (16)")


def _random_layer(geometry: Geometry) -> bytes:
    generator = np.random.default_rng(0)
    form, shape = geometry.format, (geometry.rows, geometry.columns)
    rows = QuantizedRows(
        form,
        codes=generator.integers(0, 1 << form.bits, shape, dtype=np.uint8),
        scales=generator.integers(0, form.scale_maximum + 1, (geometry.rows, geometry.groups), dtype=np.uint8),
        rowscale=np.full(geometry.rows, 0x3A80, np.uint16),
    )
    return pack_layer(rows, geometry)[0]


class _Model:
    """Every launch of a token in one device: its descriptors' addresses, and the activations' by their length."""

    def __init__(self, form: Format, processor: ProcessorParameters) -> None:
        geometries = {shape: Geometry(form, *shape, processor.beat) for shape in SHAPES}
        segments = {shape: _random_layer(geometry) for shape, geometry in geometries.items()}
        weights = sum(geometries[shape].total_bytes for shape in SHAPES)
        x = weights
        y = x + max(geometry.activation_bytes for geometry in geometries.values())
        scratch = y + max(geometry.result_bytes for geometry in geometries.values())
        self.device = Device(processor, scratch + 64 * (1 + len(SHAPES)), scratch)
        self.x = x
        self.columns: list[int] = []
        self.descriptors: list[int] = []
        self.stream_bytes = sum(geometries[shape].stream_bytes for shape in SHAPES)
        memory, address = self.device.memory, 0
        for index, (shape, descriptor) in enumerate(zip(SHAPES, self._places(scratch), strict=True)):
            geometry = geometries[shape]
            memory[address : address + len(segments[shape])] = np.frombuffer(segments[shape], np.uint8)
            raw = Descriptor.of(geometry, weights=address, x=x, y=y).encode()
            memory[descriptor : descriptor + 64] = np.frombuffer(raw, np.uint8)
            self.columns.append(SHAPES[index][1])
            self.descriptors.append(descriptor)
            address += geometry.total_bytes

    @staticmethod
    def _places(scratch: int) -> Iterator[int]:
        return (scratch + 64 * (1 + index) for index in range(len(SHAPES)))

    def token(self, activations: dict[int, np.ndarray[Any, np.dtype[np.float32]]]) -> None:
        """One token's matrix work: quantizing and every launch."""
        for columns, descriptor in zip(self.columns, self.descriptors, strict=True):
            self.device.quantize(activations[columns], self.x)
            self.device.launch(descriptor, 1)


def _stored(bits: int) -> int:
    """Bits that the decoded form keeps a code in."""
    return 8 if bits > 4 else 4 if bits > 2 else 2


def _measure(bits: int, tokens: int, processor: ProcessorParameters) -> dict[str, Any]:
    model = _Model(Format(bits, 64, "s6", "half_step"), processor)
    generator = np.random.default_rng(1)
    activations = {k: generator.standard_normal((1, k), np.float32) for k in {columns for _, columns in SHAPES}}
    start = time.perf_counter()
    model.token(activations)
    first = time.perf_counter() - start
    seconds: list[float] = []
    for _ in range(tokens):
        start = time.perf_counter()
        model.token(activations)
        seconds.append(time.perf_counter() - start)
    stored = _stored(bits)
    weights = sum(rows * columns for rows, columns in SHAPES)
    median = float(np.median(seconds))
    bound = _runtime.read_bandwidth(256 << 20, 5)
    return {
        "bits": bits,
        "tokens_per_s": 1 / median,
        "tokens_per_s_best": 1 / min(seconds),
        "first_token_s": first,
        "image_mb": model.stream_bytes / 1e6,
        "decoded_mb": weights * stored / 8e6,
        "read_gb_per_s": weights * stored / 8 / median / 1e9,
        "machine_read_gb_per_s": bound / 1e9,
        "bound_tokens_per_s": bound / (weights * stored / 8),
        "fraction_of_bound": weights * stored / 8 / median / bound,
    }


def _whole_tokens(folder: Path, tokens: int, position: int) -> dict[str, Any]:
    """Whole steps, the host's work included: each token is the likeliest after the one before it."""
    program = Program.load(folder)
    names = {each.name for each in program.inputs}
    if names != {"ids", "positions"}:
        raise ElastixError(f"{folder} takes {', '.join(sorted(names))}", wanted="a language model: ids and positions")
    limit = int(program.manifest.model["max_context"])
    if not 0 <= position <= limit - tokens:
        raise ElastixError(f"positions {position} to {position + tokens - 1}", wanted=f"0 to {limit - 1}")
    output = program.manifest.results[0].name
    token, seconds = 0, list[float]()
    for at in range(position + tokens):
        start = time.perf_counter()
        logits = program(ids=np.array([[token]]), positions=np.array([at]))[output]
        seconds.append(time.perf_counter() - start)
        token = int(logits.argmax())
    measured = seconds[position:]
    layers = program.manifest.layers
    decoded = sum(each.rows * each.columns * _stored(Format.parse(each.format).bits) for each in layers) / 8
    bound = _runtime.read_bandwidth(256 << 20, 5)
    return {
        "folder": folder.name,
        "positions": [position, position + tokens - 1],
        "tokens_per_s": 1 / float(np.median(measured)),
        "tokens_per_s_best": 1 / min(measured),
        "decoded_mb": decoded / 1e6,
        "machine_read_gb_per_s": bound / 1e9,
        "bound_tokens_per_s": bound / decoded,
        "fraction_of_bound": decoded / float(np.median(measured)) / bound,
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Median over the tokens, for each number of bits; the bound is what reading the decoded codes alone would take.

    whole_tokens: with --model, medians of the compiled step; raises ElastixError if it is no language model.
    """
    processor = ProcessorParameters(beat=arguments.beat)
    figures: dict[str, Any] = {
        "model": "SmolLM2-135M's shapes, random weights",
        "weights": sum(rows * columns for rows, columns in SHAPES),
        "launches_per_token": len(SHAPES),
        "threads": _runtime.thread_count(),
        "instructions": Device(processor, 64, 0).emulator.kernel,
        "runs": [_measure(bits, arguments.tokens, processor) for bits in arguments.bits],
    }
    if arguments.model:
        figures["whole_tokens"] = _whole_tokens(arguments.model, arguments.tokens, arguments.position)
    return figures
