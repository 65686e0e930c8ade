"""The emulator gives the bits of the oracle: every format, shape, beat, lanes, channels, instruction set."""

import os
import subprocess
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_layers import SMALL, PlacedLayer, place, random_rows, small_layer

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers import oracle
from elastix.compiler.numbers.formats import Format
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.runtime.device import CheckedEngine, emulator

FORMATS = st.one_of(
    st.builds(
        Format,
        st.integers(1, 8),
        st.integers(1, 8).map(lambda n: 32 * n),
        st.sampled_from(["s8", "s6"]),
        st.sampled_from(["symmetric", "half_step"]),
    ),
    st.builds(
        Format, st.integers(1, 8), st.integers(1, 8).map(lambda n: 32 * n), st.just("s8c8"), st.just("asymmetric")
    ),
)
PROCESSORS = st.builds(
    ProcessorParameters,
    beat=st.sampled_from([64, 128, 256, 512]),
    activation_bits=st.integers(8, 12),
    lanes=st.integers(1, 15),
    channels=st.integers(1, 5),
)


def of_oracle(processor: ProcessorParameters) -> Callable[[oracle.Memory, int], None]:
    return lambda memory, descriptor: oracle.run(memory, descriptor, processor)


@settings(max_examples=80, deadline=None)
@given(FORMATS, PROCESSORS, st.integers(1, 80), st.integers(1, 600), st.integers(1, 18), st.integers(0, 2**32))
def test_equals_the_oracle(
    form: Format, processor: ProcessorParameters, n: int, k: int, tokens: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    layer = place(random_rows(generator, form, n, k), processor, tokens)
    x = generator.standard_normal((tokens, k)) * 10.0 ** generator.integers(-30, 30, (tokens, 1))
    engine = CheckedEngine(processor, layer.device.emulator, of_oracle(processor))
    layer.run(x.astype(np.float32), engine)
    assert engine.launches == -(-tokens // processor.lanes)


@pytest.mark.parametrize("fault", ["planes", "column"])
def test_a_mistake_in_the_emulator_shows(fault: str) -> None:
    layer = small_layer()
    x = np.random.default_rng(0).standard_normal((3, 70)).astype(np.float32)
    engine = CheckedEngine(SMALL, layer.device.emulator, of_oracle(SMALL))
    layer.run(x, engine)
    layer.device.emulator.plant_fault(fault)
    with pytest.raises(ElastixError, match="wanted: equal bits"):
        layer.run(x, engine)


def test_is_the_product_of_real_numbers() -> None:
    """Against float64 from the format's definition alone: a mistake that oracle and emulator share would show."""
    generator = np.random.default_rng(3)
    rows = random_rows(generator, Format(5, 64, "s6", "half_step"), 40, 300)
    layer = place(rows, SMALL, 4)
    x = generator.standard_normal((4, 300)).astype(np.float32)
    y = layer.run(x)
    scale = (
        16.0 * oracle.from_bf16(rows.rowscale)[:, None].astype(np.float64) * np.repeat(rows.scales, 64, axis=1)[:, :300]
    )
    w = scale * (rows.codes - rows.format.z16 / 16)
    q, e = oracle.quantize(x, SMALL.activation_bits)
    exact = (q * np.exp2(e)[:, None]) @ w.T
    np.testing.assert_allclose(y, exact, rtol=2.0**-23)  # two roundings: C7, C8
    half_units = np.abs(np.exp2(e) / 2)[:, None] * np.abs(w).sum(axis=1)
    assert (np.abs(y - x.astype(np.float64) @ w.T) <= half_units + np.abs(exact) * 2.0**-23).all()


def test_largest_values() -> None:
    """Sums at the bound of C2: codes, scales and activations at their limits, where a narrow integer would overflow."""
    for zero, code in (("symmetric", 0), ("symmetric", 255), ("half_step", 0), ("asymmetric", 255), ("asymmetric", 0)):
        form = Format(8, 256, "s8c8" if zero == "asymmetric" else "s8", zero)
        processor = ProcessorParameters(beat=512, activation_bits=12, lanes=4, max_tiles=64)
        rows = random_rows(np.random.default_rng(0), form, 17, 2048)
        rows.codes[:], rows.scales[:] = code, 255
        if rows.zeros is not None:
            rows.zeros[:] = 255 - code
        layer = place(rows, processor, 4)
        x = np.repeat(np.float32([[1.9999], [-1.9999], [1.0], [-1.0]]), 2048, axis=1)
        layer.run(x, CheckedEngine(processor, layer.device.emulator, of_oracle(processor)))


def test_saturates_and_keeps_the_flag() -> None:
    layer = small_layer(tokens=1)
    layer.rows.rowscale[:] = 0x7F00
    layer = place(layer.rows, SMALL, 1)
    assert not layer.device.emulator.overflow
    y = layer.run(np.full((1, 70), 1e30, np.float32))
    assert layer.device.emulator.overflow
    assert (np.abs(y) == np.finfo(np.float32).max).any()
    assert np.isfinite(y).all()


def test_flushes_what_would_be_subnormal() -> None:
    layer = small_layer(tokens=1)
    y = layer.run(np.full((1, 70), 1e-37, np.float32))
    layer.run(np.full((1, 70), 1e-37, np.float32), CheckedEngine(SMALL, layer.device.emulator, of_oracle(SMALL)))
    assert ((y == 0) | (np.abs(y) >= np.finfo(np.float32).smallest_normal)).all()
    assert (y == 0).any()


def edit_descriptor(layer: PlacedLayer, word: int, value: int) -> None:
    """Another value in a word of the descriptor, its CRC made right."""
    words = layer.device.memory[layer.descriptor :][:64].view("<u4")
    words[word] = value
    words[15] = zlib.crc32(words[:15].tobytes())


@pytest.mark.parametrize(
    ("word", "value", "message"),
    [
        (0, 2 | 4 << 8 | 1 << 24, "opcode is 2; wanted 1"),
        (0, 1 | 9 << 8 | 1 << 24, "bits is 9; wanted 1 to 8"),
        (0, 1 | 0 << 8 | 1 << 24, "bits is 0; wanted 1 to 8"),
        (0, 1 | 4 << 8 | 3 << 16 | 1 << 24, "scale format is 3"),
        (0, 1 | 4 << 8 | 3 << 24, "tokens is 3; wanted 1 to 2"),
        (0, 1 | 4 << 8, "tokens is 0; wanted 1 to 2"),
        (1, 0, "row_blocks is 0"),
        (1, 1 << 31, "memory has"),
        (2, 0 | 1 << 16, "tiles is 0; wanted 1 to 64"),
        (2, 65 | 1 << 16, "tiles is 65; wanted 1 to 64"),
        (2, 3 | 9 << 16, "group_tiles is 9"),
        (4, 64, "wanted a multiple of 4096"),
        (5, 0xFFFFFFFF, "memory has"),
        (7, 3, "header_words is 3; wanted 2"),
        (8, 32, "activations at 0x20"),
        (9, 1, "activations at 0x1"),
        (11, 0xFFFFFFFF, "results at 0xffffffff"),
        (12, 15, "block_beats is 15; wanted 14"),
    ],
)
def test_refuses_a_bad_descriptor(word: int, value: int, message: str) -> None:
    layer = small_layer()
    edit_descriptor(layer, word, value)
    with pytest.raises(ElastixError, match=message):
        layer.device.launch(layer.descriptor, 1)


def test_refuses_a_damaged_descriptor() -> None:
    layer = small_layer()
    layer.device.memory[layer.descriptor + 20] ^= 1
    with pytest.raises(ElastixError, match=r"descriptor at 0x.*: CRC is 0x"):
        layer.device.launch(layer.descriptor, 1)


@pytest.mark.parametrize("channel", [0, 1])
def test_refuses_damaged_weights(channel: int) -> None:
    processor = ProcessorParameters(beat=64, channels=2)
    layer = place(random_rows(np.random.default_rng(0), Format(4, 32), 9, 70), processor, 1)
    layer.device.memory[layer.weights + channel * layer.geometry.channel_stride + 9] ^= 4
    with pytest.raises(ElastixError, match=f"weight segment of channel {channel} at .*: CRC is 0x.*; wanted 0x"):
        layer.run(np.ones((1, 70), np.float32))


def test_notices_new_weights() -> None:
    """A segment with another CRC is decoded again; `invalidate` says so where the CRC cannot tell."""
    layer, other = small_layer(), small_layer(seed=1)
    x = np.ones((1, 70), np.float32)
    before = layer.run(x)
    span = slice(layer.weights, layer.weights + layer.geometry.total_bytes)
    layer.device.memory[span] = other.device.memory[span]
    expected = other.run(x)
    assert not np.array_equal(before, expected)
    np.testing.assert_array_equal(layer.run(x), expected)

    layer.device.memory[layer.weights + 9] ^= 4
    np.testing.assert_array_equal(layer.run(x), expected)
    layer.device.invalidate()
    with pytest.raises(ElastixError, match="CRC"):
        layer.run(x)


def test_refuses_activations_beyond_their_bits() -> None:
    layer = small_layer()
    layer.device.quantize(np.ones((1, 70), np.float32), layer.x)
    layer.device.memory[layer.x + 64 :][:2] = np.frombuffer(np.int16(1024).tobytes(), np.uint8)
    with pytest.raises(ElastixError, match=r"an activation is 1024 in size; wanted below 2\^10"):
        layer.device.launch(layer.descriptor, 1)


def test_stands_alone_as_an_engine() -> None:
    layer = small_layer()
    x = np.linspace(-1, 1, 210, dtype=np.float32).reshape(3, 70)
    np.testing.assert_array_equal(layer.run(x), layer.run(x, emulator(SMALL)))


FINGERPRINT = """
import zlib
import numpy as np
from elastix.compiler.numbers.formats import Format
from elastix.compiler.processor.parameters import ProcessorParameters
from runtime_layers import place, random_rows
crc = 0
for bits in range(1, 9):
    for form in (Format(bits, 64, "s6", "half_step"), Format(bits, 96, "s8c8", "asymmetric")):
        generator = np.random.default_rng(bits)
        layer = place(random_rows(generator, form, 200, 400), ProcessorParameters(lanes=7), 7)
        x = (generator.integers(-1000, 1000, (7, 400)) / 64).astype(np.float32)
        crc = zlib.crc32(layer.run(x).tobytes(), crc)
print(layer.device.emulator.kernel, crc)
"""


def fingerprint(**environment: str) -> tuple[str, str]:
    """Kernel in use and CRC of many results, from a process with this environment."""
    path = os.pathsep.join(p for p in (os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")) if p)
    done = subprocess.run(
        [sys.executable, "-c", FINGERPRINT],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    kernel, crc = done.stdout.split()
    return kernel, crc


def test_same_bits_on_every_instruction_set_and_number_of_threads() -> None:
    seen = {
        fingerprint(ELASTIX_SIMD=simd, ELASTIX_THREADS=threads) for simd in ("generic", "avx2", "") for threads in "13"
    }
    assert len({crc for _, crc in seen}) == 1
    assert "generic" in {kernel for kernel, _ in seen}
