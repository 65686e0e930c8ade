"""One layer of random weights in a memory of its own, ready to launch: what benchmarks and engine tests run."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.numbers.oracle import quantize
from elastix.compiler.numbers.pack import (
    Descriptor,
    QuantizedRows,
    activation_images,
    pack_layer,
    place_segments,
    read_results,
)


@dataclass(frozen=True)
class SingleLayer:
    """A memory image: descriptor, activations and results in the first pages, then the weights.

    memory: flat uint8, to be copied by whoever lets an engine write; descriptor, weights, x, y: byte addresses.
    """

    geometry: Geometry
    tokens: int
    memory: NDArray[np.uint8]
    descriptor: int
    weights: int
    x: int
    y: int

    def results(self, memory: NDArray[np.uint8]) -> NDArray[np.float32]:
        """fp32 [tokens, rows] out of a memory that an engine has written."""
        return read_results(memory, self.y, self.geometry, self.tokens)


def random_rows(form: Format, rows: int, columns: int, seed: int) -> QuantizedRows:
    """Weights in which every code, scale and, where asymmetric, zero point is as likely as any other."""
    random = np.random.default_rng(seed)
    groups = -(-columns // form.group)
    zeros = None
    if form.zero == "asymmetric":
        zeros = (random.integers(0, 1 << form.zero_bits, (rows, groups)) * form.c8_step).astype(np.uint8)
    return QuantizedRows(
        form,
        random.integers(0, 1 << form.bits, (rows, columns)).astype(np.uint8),
        random.integers(0, form.scale_maximum + 1, (rows, groups)).astype(np.uint8),
        # bf16 patterns of positive normal numbers between 2^-12 and 2^-4
        random.integers(115 << 7, 123 << 7, rows).astype(np.uint16),
        zeros,
    )


def single_layer(
    form: Format,
    rows: int,
    columns: int,
    *,
    beat: int,
    channels: int = 1,
    activation_bits: int = 11,
    tokens: int = 1,
    seed: int = 0,
) -> SingleLayer:
    """A random layer and random activations, laid out as compiler/processor/README.md says."""
    geometry = Geometry(form, rows, columns, beat, channels)
    x = np.random.default_rng(seed + 1).normal(size=(tokens, columns)).astype(np.float32)
    images = activation_images(*quantize(x, activation_bits)).reshape(-1)
    x_address = 64
    y_address = -(-(x_address + images.size) // 64) * 64
    weights = -(-(y_address + tokens * geometry.result_bytes) // 4096) * 4096
    memory = np.zeros(weights + geometry.total_bytes, np.uint8)
    descriptor = Descriptor.of(geometry, weights=weights, x=x_address, y=y_address, tokens=tokens)
    memory[:64] = np.frombuffer(descriptor.encode(), np.uint8)
    memory[x_address : x_address + images.size] = images
    segments = pack_layer(random_rows(form, rows, columns, seed), geometry)
    for offset, segment in place_segments(segments, geometry):
        memory[weights + offset :][: len(segment)] = np.frombuffer(segment, np.uint8)
    return SingleLayer(geometry, tokens, memory, 0, weights, x_address, y_address)
