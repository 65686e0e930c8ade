"""The emulator against the oracle, on the ends of every range: saturation, flushing, the longest sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from launches import DESCRIPTOR, Launch, Processor, build, launches, random_rows

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers import oracle
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.pack import activation_images
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.runtime.device import Device, Engine, emulator, run


def parameters(launch: Launch) -> ProcessorParameters:
    p = launch.processor
    return ProcessorParameters(beat=p.beat, activation_bits=p.activation_bits, lanes=p.lanes, channels=p.channels)


def assert_the_oracles_memory(launch: Launch, engine: Engine) -> None:
    """The engine leaves what the oracle leaves, in every byte of the memory."""
    of_oracle, of_engine = launch.memory.copy(), launch.memory.copy()
    oracle.run(of_oracle, DESCRIPTOR, launch.processor)
    run(engine, of_engine, DESCRIPTOR)
    np.testing.assert_array_equal(of_engine, of_oracle)


@settings(max_examples=150, deadline=None)
@given(launches())
def test_every_bit_of_the_memory_is_the_same(launch: Launch) -> None:
    assert_the_oracles_memory(launch, emulator(parameters(launch)))


@pytest.mark.parametrize("fault", ["planes", "column"])
@pytest.mark.parametrize("bits", range(2, 9))
def test_a_mistake_in_the_emulator_shows(bits: int, fault: str) -> None:
    rng = np.random.default_rng(bits)
    rows = random_rows(Format(bits, 64, "s6", "half_step"), 20, 100, rng)
    x = rng.integers(-1023, 1024, (2, 100)).astype(np.int16)
    launch = build(Processor(64, 11, 4, 2), rows, x, np.zeros(2, np.int32))
    engine = emulator(parameters(launch))
    assert_the_oracles_memory(launch, engine)
    engine.plant_fault(fault)
    with pytest.raises(AssertionError, match="Mismatched elements"):
        assert_the_oracles_memory(launch, engine)
    engine.plant_fault("none")
    assert_the_oracles_memory(launch, engine)


@settings(max_examples=40, deadline=None)
@given(launches(), st.integers(0, 2**30))
def test_the_emulator_sees_a_flipped_bit_among_the_weights(launch: Launch, where: int) -> None:
    memory = launch.memory.copy()
    body = launch.geometry.segment_bytes(0) - launch.geometry.beat_bytes
    memory[launch.descriptor.weights + where // 8 % body] ^= 1 << where % 8
    with pytest.raises(ElastixError, match="CRC"):
        run(emulator(parameters(launch)), memory, DESCRIPTOR)


SPECIAL = [0.0, -0.0, 1e-45, -1e-38, 1.1754944e-38, 3.4028235e38, -3.4028235e38, 1.0, 1023.5, -1024.0, 0.5, 2.0**-30]
numbers = st.one_of(st.sampled_from(SPECIAL), st.floats(width=32, allow_nan=False, allow_infinity=False))


@settings(max_examples=150, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=70), st.integers(8, 12))
def test_activations_are_quantized_alike(values: list[float], bits: int) -> None:
    x = np.array([values], np.float32)
    image = activation_images(*oracle.quantize(x, bits))
    device = Device(ProcessorParameters(beat=64, activation_bits=bits), 4096, 0)
    device.memory[64:] = 0xA5
    device.quantize(x, 64)
    np.testing.assert_array_equal(device.memory[64 : 64 + image.size], image[0])
    assert (device.memory[64 + image.size :] == 0xA5).all()
