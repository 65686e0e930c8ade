"""Random launches as memory images, with the dense integer computation that every engine must agree with."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.numbers.pack import (
    Descriptor,
    QuantizedRows,
    activation_images,
    pack_layer,
    place_segments,
    read_results,
)

DESCRIPTOR = 64


@dataclass(frozen=True)
class Processor:
    """The parameters that engines need."""

    beat: int
    activation_bits: int
    lanes: int
    channels: int


@dataclass(frozen=True)
class Launch:
    """A memory with everything a launch reads, its descriptor at DESCRIPTOR, and what went into it."""

    processor: Processor
    geometry: Geometry
    rows: QuantizedRows
    x: NDArray[np.int16]
    e: NDArray[np.int32]
    descriptor: Descriptor
    memory: NDArray[np.uint8]

    def results(self, memory: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What an engine left at y: fp32 [tokens, rows]."""
        return read_results(memory, self.descriptor.y, self.geometry, len(self.e))

    def zero_point(self, row: int, group: int) -> int:
        """16·z by the README: the middle of the codes, half a code below it, or c8/256 of the codes' range."""
        bits, zeros = self.rows.format.bits, self.rows.zeros
        if zeros is not None:
            return int(16 * Fraction(int(zeros[row, group]) * 2**bits, 256))
        return 8 * 2**bits - (8 if self.rows.format.zero == "half_step" else 0)

    def accumulators(self) -> list[list[int]]:
        """Σ_g s·d by Python integers, straight from the definition: [token][row]."""
        group = self.rows.format.group
        answer: list[list[int]] = []
        for x in self.x.tolist():
            sums: list[int] = []
            for r, codes in enumerate(self.rows.codes.tolist()):
                total = 0
                for k, (q, value) in enumerate(zip(codes, x, strict=True)):
                    z16 = self.zero_point(r, k // group)
                    total += int(self.rows.scales[r, k // group]) * (16 * q - z16) * value
                sums.append(total)
            answer.append(sums)
        return answer


formats = st.builds(
    lambda bits, tiles, kind: Format(bits, 32 * tiles, *kind),
    st.integers(1, 8),
    st.integers(1, 8),
    st.sampled_from(
        [(s, z) for s in ("s8", "s6") for z in ("symmetric", "half_step")] + [("s8c8", "asymmetric")],
    ),
)
"""Every format."""


def random_rows(form: Format, n: int, k: int, rng: np.random.Generator, extreme: bool = False) -> QuantizedRows:
    """Integers from anywhere in their ranges, or, if `extreme`, from the ends of them."""

    def integers(top: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
        return rng.choice([0, top], shape) if extreme else rng.integers(0, top + 1, shape)

    groups = -(-k // form.group)
    zeros = None
    if form.zero == "asymmetric":
        step = 1 << max(7 - 2 * form.bits, 0)  # bits that no engine looks at are 0
        zeros = (integers(256 // step - 1, (n, groups)) * step).astype(np.uint8)
    exponents = rng.choice([0, 1, 2, 100, 120, 127, 135, 250, 254], n) if extreme else rng.integers(100, 130, n)
    mantissas = np.where(exponents == 0, 0, rng.integers(0, 128, n))
    return QuantizedRows(
        form,
        integers((1 << form.bits) - 1, (n, k)).astype(np.uint8),
        integers(form.scale_maximum, (n, groups)).astype(np.uint8),
        (exponents << 7 | mantissas).astype(np.uint16),
        zeros,
    )


def build(processor: Processor, rows: QuantizedRows, x: NDArray[np.int16], e: NDArray[np.int32]) -> Launch:
    """The memory: descriptor, weights, activations, room for the results, filled with 0xA5 where nothing is said."""
    geometry = Geometry(rows.format, rows.rows, rows.columns, processor.beat, processor.channels)
    weights = 4096
    at_x = weights + geometry.total_bytes
    images = activation_images(x, e).ravel()
    at_y = at_x + images.size
    memory = np.full(at_y + len(e) * geometry.result_bytes + 64, 0xA5, np.uint8)
    descriptor = Descriptor.of(geometry, weights=weights, x=at_x, y=at_y, tokens=len(e))
    memory[DESCRIPTOR : DESCRIPTOR + 64] = np.frombuffer(descriptor.encode(), np.uint8)
    for offset, segment in place_segments(pack_layer(rows, geometry), geometry):
        memory[weights + offset : weights + offset + len(segment)] = np.frombuffer(segment, np.uint8)
    memory[at_x:at_y] = images
    return Launch(processor, geometry, rows, x, e, descriptor, memory)


@st.composite
def launches(draw: st.DrawFn) -> Launch:
    """Every format, beat, channels 1 … 3, tokens 1 … 4, small shapes, ordinary and extreme values."""
    processor = Processor(
        draw(st.sampled_from([64, 128, 256, 512])), draw(st.integers(8, 12)), 4, draw(st.integers(1, 3))
    )
    form = draw(formats)
    n, k, tokens = draw(st.integers(1, 40)), draw(st.integers(1, 300)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    extreme = draw(st.booleans())
    limit = (1 << (processor.activation_bits - 1)) - 1
    x = rng.choice([-limit, limit], (tokens, k)) if extreme else rng.integers(-limit, limit + 1, (tokens, k))
    e = rng.integers(-136, 120, tokens) if extreme else rng.integers(-20, 5, tokens)
    return build(processor, random_rows(form, n, k, rng, extreme), x.astype(np.int16), e.astype(np.int32))
