"""Random layers in devices, for the tests of the runtime."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.numbers.pack import Descriptor, QuantizedRows, pack_layer, place_segments
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.runtime.device import Device, Engine

SMALL = ProcessorParameters(beat=64, activation_bits=11, lanes=2, channels=1, max_tiles=64)


@dataclass
class PlacedLayer:
    """One layer in a device: where its descriptor, activations and results lie, for `tokens` tokens."""

    device: Device
    rows: QuantizedRows
    geometry: Geometry
    weights: int
    x: int
    y: int
    descriptor: int

    @property
    def processor(self) -> ProcessorParameters:
        assert isinstance(self.device.processor, ProcessorParameters)
        return self.device.processor

    def run(self, x: NDArray[np.float32], engine: Engine | None = None) -> NDArray[np.float32]:
        """The layer's results for fp32 rows x."""
        self.device.set_engine(engine)
        self.device.quantize(x, self.x)
        self.device.launch(self.descriptor, len(x))
        return self.device.read_back(self.y, len(x), self.rows.rows)


def random_rows(generator: np.random.Generator, form: Format, rows: int, columns: int) -> QuantizedRows:
    """Codes, scales, zero points and row scales of any value that the format allows; some of them 0."""
    groups = -(-columns // form.group)
    zeros = None
    if form.zero == "asymmetric":
        zeros = (generator.integers(0, 1 << form.zero_bits, (rows, groups)) * form.c8_step).astype(np.uint8)
    rowscale = generator.integers(90 * 128, 140 * 128, rows) | generator.integers(0, 2, rows) << 15
    rowscale[generator.random(rows) < 0.1] = 0
    return QuantizedRows(
        form,
        codes=generator.integers(0, 1 << form.bits, (rows, columns)).astype(np.uint8),
        scales=generator.integers(0, form.scale_maximum + 1, (rows, groups)).astype(np.uint8),
        rowscale=rowscale.astype(np.uint16),
        zeros=zeros,
    )


def place(rows: QuantizedRows, processor: ProcessorParameters, tokens: int, weights: int = 4096) -> PlacedLayer:
    """A device with this layer's segments, its descriptor and room for `tokens` tokens."""
    geometry = Geometry(rows.format, rows.rows, rows.columns, processor.beat, processor.channels)
    x = weights + geometry.total_bytes
    y = x + -(-tokens * geometry.activation_bytes // 64) * 64
    descriptor = y + -(-tokens * geometry.result_bytes // 64) * 64
    device = Device(processor, descriptor + 128, scratch=descriptor + 64)
    for offset, segment in place_segments(pack_layer(rows, geometry), geometry):
        device.memory[weights + offset :][: len(segment)] = np.frombuffer(segment, np.uint8)
    raw = Descriptor.of(geometry, weights=weights, x=x, y=y).encode()
    device.memory[descriptor:][:64] = np.frombuffer(raw, np.uint8)
    return PlacedLayer(device, rows, geometry, weights, x, y, descriptor)


def small_layer(tokens: int = 3, seed: int = 0) -> PlacedLayer:
    """Five rows of 70 columns at 4 bits."""
    form = Format(4, 32, "s8", "symmetric")
    return place(random_rows(np.random.default_rng(seed), form, 5, 70), SMALL, tokens)
