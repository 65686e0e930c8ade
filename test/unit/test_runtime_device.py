"""Devices: batches, statistics, errors that stick, engines in Python, two engines compared."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from runtime_layers import SMALL, place, random_rows, small_layer

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers import oracle
from elastix.compiler.numbers.formats import Format
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.runtime import c_library_path
from elastix.runtime.device import CheckedEngine, Device, Memory, emulator, run

ONES = np.ones((3, 70), np.float32)


@pytest.mark.parametrize(
    ("activation_bits", "processor_bits"), [*((bits, bits) for bits in range(8, 13)), (8, 11), (10, 11)]
)
def test_quantizes_as_the_oracle(activation_bits: int, processor_bits: int) -> None:
    """C3, with ties, zeros, subnormals, the extremes, and the clamp at the top."""
    generator = np.random.default_rng(activation_bits)
    x = np.zeros((9, 77), np.float32)
    x[0] = generator.standard_normal(77)
    x[1] = generator.integers(-4096, 4097, 77) / 2
    x[2, :3] = 1e-40, -1e-44, 0.0
    x[3, :4] = 1e-40, 1.5, -1e-44, -0.0
    x[4] = np.finfo(np.float32).max
    x[5] = -np.finfo(np.float32).smallest_normal
    x[6] = np.nextafter(np.float32(2), np.float32(0))
    x[7] = generator.standard_normal(77) * 1e-30
    processor = ProcessorParameters(beat=64, activation_bits=processor_bits)
    device = Device(processor, 4096, 0)
    device.memory[64:] = 0xAA
    device.quantize(x, 64, activation_bits)
    q, e = oracle.quantize(x, activation_bits)
    images = device.memory[64 : 64 + 9 * 256].view(np.int16).reshape(9, -1)
    np.testing.assert_array_equal(images[:, 0], e)
    np.testing.assert_array_equal(images[:, 32 : 32 + 77], q)
    assert not images[:, 1:32].any() and not images[:, 32 + 77 :].any()
    assert (device.memory[64 + 9 * 256 :] == 0xAA).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_refuses_activations_that_are_not_finite(bad: float) -> None:
    layer = small_layer()
    x = ONES.copy()
    x[1, 33] = bad
    with pytest.raises(ElastixError, match="activation of token 1, column 33 is not a finite number"):
        layer.device.quantize(x, layer.x)


def test_reads_embedding_rows_out_of_the_image() -> None:
    """C11, over every format; row scales of both signs and 0."""
    generator = np.random.default_rng(0)
    for bits in range(1, 9):
        for form in (Format(bits, 64, "s6", "half_step"), Format(bits, 96, "s8c8", "asymmetric"), Format(bits, 32)):
            processor = ProcessorParameters(beat=128, channels=3)
            layer = place(random_rows(generator, form, 37, 300), processor, 1)
            ids = generator.integers(0, 37, 12)
            found = layer.device.embedding(layer.descriptor, ids, 300)
            wanted = oracle.embedding(layer.device.memory, layer.descriptor, ids, 300, processor)
            np.testing.assert_array_equal(found.view(np.uint32), wanted.view(np.uint32))


def test_refuses_ids_beyond_the_table() -> None:
    for bad in (-1, 6):  # five rows, padded to six
        layer = small_layer()
        with pytest.raises(ElastixError, match=f"embedding: id {bad}; wanted 0 to 5"):
            layer.device.embedding(layer.descriptor, np.array([0, bad]), 70)
    with pytest.raises(ElastixError, match=r"embedding rows of 64 columns; .* has 3 tiles"):
        small_layer().device.embedding(small_layer().descriptor, np.array([0]), 64)


def test_launches_in_batches_and_counts_them() -> None:
    layer = small_layer(tokens=5)
    seen: list[tuple[int, int]] = []

    def engine(memory: Memory, descriptor: int) -> None:
        words = memory[descriptor : descriptor + 64].view("<u4")
        seen.append((int(words[0] >> 24), int(words[8]) - layer.x))
        oracle.run(memory, descriptor, SMALL)

    before = layer.device.memory[layer.descriptor :][:64].copy()
    layer.run(np.ones((5, 70), np.float32), engine)
    image = layer.geometry.activation_bytes
    assert seen == [(2, 0), (2, 2 * image), (1, 4 * image)]
    np.testing.assert_array_equal(layer.device.memory[layer.descriptor :][:64], before)
    (statistics,) = layer.device.statistics()
    assert (statistics.descriptor, statistics.launches, statistics.tokens) == (layer.descriptor, 3, 5)
    assert statistics.seconds > 0
    layer.device.clear_statistics()
    assert layer.device.statistics() == []


def test_the_first_error_stays_until_cleared() -> None:
    layer = small_layer()
    y = layer.run(ONES)
    with pytest.raises(ElastixError, match="descriptor at 0x1: wanted a multiple of 64"):
        layer.device.launch(1, 1)
    first = layer.device.error
    layer.device.memory[layer.y :][:16] = 0xAA
    with pytest.raises(ElastixError, match="descriptor at 0x1"):
        layer.device.launch(layer.descriptor, 1)
    with pytest.raises(ElastixError, match="descriptor at 0x1"):
        layer.device.quantize(ONES, -64)
    assert layer.device.error == first
    assert (layer.device.memory[layer.y :][:16] == 0xAA).all()
    layer.device.clear_error()
    assert layer.device.error is None
    np.testing.assert_array_equal(layer.run(ONES), y)


def test_stays_inside_its_memory() -> None:
    layer = small_layer()
    size = layer.device.memory.size
    calls = [
        (lambda: layer.device.quantize(ONES, size - 64), "quantize 3 × 70 values to 0x.*outside"),
        (lambda: layer.device.quantize(ONES, -64), "quantize 3 × 70 values .* outside"),
        (lambda: layer.device.quantize(ONES, 64, 7), "quantize to 7 bits; wanted 8 to 11, as the processor has"),
        (lambda: layer.device.quantize(ONES, 64, 12), "quantize to 12 bits; wanted 8 to 11, as the processor has"),
        (lambda: layer.device.read_back(size - 4, 1, 5), "read back 1 × 5 results .* outside"),
        (lambda: layer.device.launch(layer.descriptor, 1000), "for 1000 tokens: .* outside"),
        (lambda: layer.device.launch(size, 1), "wanted a multiple of 64 in a memory of"),
    ]
    for call, message in calls:
        layer.device.clear_error()
        with pytest.raises(ElastixError, match=message):
            call()


def test_loads_bytes_and_files(tmp_path: Path) -> None:
    device, file = Device(SMALL, 4096, 0), tmp_path / "weights.bin"
    file.write_bytes(bytes(range(100)))
    device.load(64, file)
    device.load(200, bytes(range(50)))
    device.load(300, np.full(3, 7, np.uint8))
    assert bytes(device.memory[64:164]) == bytes(range(100))
    assert bytes(device.memory[200:250]) == bytes(range(50))
    assert list(device.memory[299:304]) == [0, 7, 7, 7, 0]
    for address in (-1, 4096 - 99):
        with pytest.raises(ElastixError, match=r"100 bytes at .*; wanted: within the 4096 bytes of memory"):
            device.load(address, file)


@pytest.mark.parametrize(
    ("size", "scratch", "message"),
    [
        (32, 0, "size is 32"),
        (4096, 4064, "scratch is 4064"),
        (4096, 4096, "scratch is 4096"),
        (-1, 0, "size is -1"),
    ],
)
def test_refuses_parameters_out_of_range(size: int, scratch: int, message: str) -> None:
    with pytest.raises(ElastixError, match=message):
        Device(SMALL, size, scratch)


def test_says_so_when_memory_is_short() -> None:
    with pytest.raises(ElastixError, match="too little memory for a device of"):
        Device(SMALL, 1 << 60, 0)


def test_an_exception_of_a_python_engine_becomes_the_devices_error() -> None:
    layer = small_layer()

    def broken(memory: Memory, descriptor: int) -> None:
        raise ValueError("no such luck")

    with pytest.raises(ElastixError, match=r"launch of the descriptor at .*: no such luck"):
        layer.run(ONES, broken)


def test_a_planted_fault_in_an_engine_is_found_and_named() -> None:
    """One bit of one result, in the second batch; the message says which layer, token and row."""
    layer = small_layer()
    inner = emulator(SMALL)

    def faulty(memory: Memory, descriptor: int) -> None:
        run(inner, memory, descriptor)
        words = memory[descriptor : descriptor + 64].view("<u4")
        if words[0] >> 24 == 1:
            memory[int(words[10]) + 4 * 3] ^= 1

    engine = CheckedEngine(SMALL, layer.device.emulator, faulty, {layer.weights: "mlp.up"})
    with pytest.raises(
        ElastixError, match=r"mlp.up, token 0, row 3: the first engine gives 0x.*; 1 of 6 results differ"
    ):
        layer.run(ONES, engine)
    assert engine.launches == 1


def test_an_engine_that_writes_nothing_is_found() -> None:
    layer = small_layer()
    engine = CheckedEngine(SMALL, layer.device.emulator, lambda memory, descriptor: None)
    with pytest.raises(ElastixError, match="12 of 12 results differ"):
        layer.run(ONES, engine)


def test_an_engine_that_writes_beside_its_results_is_found() -> None:
    layer = small_layer()

    def spills(memory: Memory, descriptor: int) -> None:
        oracle.run(memory, descriptor, SMALL)
        memory[layer.y - 1] ^= 1

    with pytest.raises(ElastixError, match="wrote beside its results"):
        layer.run(ONES, CheckedEngine(SMALL, layer.device.emulator, spills))


def test_a_host_in_c(tmp_path: Path) -> None:
    """Compiles against elastix.h, links libelastix and nothing of Python, and runs."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, binary = tmp_path / "host.c", tmp_path / "host"
    source.write_text(
        """#include <stdio.h>
#include "elastix.h"
int main(void) {
    elastix_processor processor = {64, 11, 1, 1, 64};
    elastix_device* device = elastix_device_create(&processor, 4096, 0);
    if (!device || elastix_device_error(device)) return 1;
    elastix_launch(device, 1, 1);
    puts(elastix_device_error(device));
    elastix_device_destroy(device);
    return 0;
}
"""
    )
    library = c_library_path()
    options = [
        "-Wall",
        "-Werror",
        "-std=c11",
        f"-I{library.parent}",
        f"-L{library.parent}",
        f"-Wl,-rpath,{library.parent}",
    ]
    built = subprocess.run(
        [compiler, *options, str(source), "-lelastix", "-o", str(binary)], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    done = subprocess.run([str(binary)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (
        0,
        "descriptor at 0x1: wanted a multiple of 64 in a memory of 4096 bytes\n",
    )
