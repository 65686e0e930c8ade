"""The whole processor against the oracle: shapes, formats, lanes, channels, any memory timing; its counters."""

from dataclasses import replace

import numpy as np
import pytest
from processor_bench import processor_bench

import elastix.runtime.single_layer
from elastix.compiler.numbers import oracle
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.pack import QuantizedRows
from elastix.compiler.processor.control_registers import Offset
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.runtime.memory_model import DDR3_1600_X16, IDEAL
from elastix.runtime.simulate import ArcEngine
from elastix.runtime.single_layer import SingleLayer, single_layer

SMALL = ProcessorParameters(beat=64, activation_bits=8, max_tiles=20, max_burst=16, fifo_beats=32)
MODELS = (IDEAL.with_pressure(3, 50), DDR3_1600_X16.with_pressure(9, 20))


def layers(p: ProcessorParameters) -> list[SingleLayer]:
    """K and N of 1, of odd sizes, more blocks than a window of results, every scale format, all and fewer tokens."""
    shapes = (
        (Format(2, 32), 32, 64, 1),
        (Format(8, 256, "s6", "half_step"), 100, 640, p.lanes),
        (Format(1, 64, "s8c8", "asymmetric"), 1, 1, 1),
        (Format(3, 96), p.beat // 32 * 40 + 1, 33, max(1, p.lanes - 1)),
        (Format(8, 32, "s8c8", "asymmetric"), 70, 200, p.lanes),
    )
    shared = {"beat": p.beat, "channels": p.channels, "activation_bits": p.activation_bits}
    return [
        single_layer(form, rows, columns, tokens=tokens, seed=seed, **shared)
        for seed, (form, rows, columns, tokens) in enumerate(shapes)
    ]


@pytest.mark.parametrize(
    "p",
    [
        SMALL,
        replace(SMALL, beat=256, activation_bits=11, max_burst=64, fifo_beats=256),
        replace(SMALL, lanes=4, channels=2, activation_bits=11),
        replace(SMALL, channels=3, max_burst=1, fifo_beats=2, crc=False),
        replace(SMALL, beat=512, activation_bits=9, max_burst=256, fifo_beats=256),
        replace(SMALL, beat=128, activation_bits=12, lanes=3),
    ],
    ids=lambda p: f"D{p.beat}-A{p.activation_bits}-M{p.lanes}-C{p.channels}-burst{p.max_burst}",
)
def test_equal_to_the_oracle_in_every_bit(p: ProcessorParameters) -> None:
    for model in MODELS:
        with ArcEngine(p, model, max_cycles=100_000, check_settled=True) as engine:
            for layer in layers(p):
                memory, expected = layer.memory.copy(), layer.memory.copy()
                oracle.run(expected, layer.descriptor, p)
                counters = engine.run(memory, layer.descriptor)
                assert (memory == expected).all(), (model.name, layer.geometry)
                beats = sum(layer.geometry.segment_beats(c) for c in range(p.channels))
                assert counters.beats == counters.pin_beats == beats


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_cycles_follow_the_bytes(bits: int) -> None:
    p = ProcessorParameters(beat=256, activation_bits=11, max_tiles=32)
    layer = single_layer(Format(bits, 64), 1536, 576, beat=p.beat)
    with ArcEngine(p) as engine:
        counters = engine.run(layer.memory.copy(), layer.descriptor)
    assert counters.beats == layer.geometry.segment_beats()
    share = counters.beats / counters.busy
    assert share >= (0.97 if bits > 1 else 0.95)
    assert (counters.stall_memory, counters.stall_output) == (0, 0)
    # Between the start and the first weight, and after the last response, little is lost.
    assert counters.cycles - counters.busy < 100


def test_counters_say_where_the_cycles_went() -> None:
    with processor_bench(replace(SMALL, channels=2, fifo_beats=16), DDR3_1600_X16) as bench:
        bench.check_run()
        cycles, busy, beats, memory, output, load = (bench.read(Offset.COUNTERS + 4 * i) for i in range(6))
        geometry = bench.layer.geometry
        assert beats == geometry.segment_beats(0) + geometry.segment_beats(1)
        assert busy < cycles
        # Each channel is at every cycle between its first beat and its last taking, starving or draining.
        assert memory > 0 and beats + memory + output <= 2 * busy
        assert load < cycles - busy + 1
        for _ in range(2):
            assert [bench.read(Offset.COUNTERS + 4 * i) for i in range(6)] == [
                cycles,
                busy,
                beats,
                memory,
                output,
                load,
            ]


def test_counters_freeze_when_cycles_is_read() -> None:
    with processor_bench(SMALL) as bench:
        bench.start()
        bench.engine.step(300)
        cycles, busy, beats = (bench.read(Offset.COUNTERS + 4 * i) for i in range(3))
        bench.engine.step(50)
        assert bench.read(Offset.COUNTERS + 8) == beats > 0
        assert bench.read(Offset.COUNTERS + 4) == busy < cycles
        assert bench.read(Offset.COUNTERS) > cycles + 50
        assert bench.read(Offset.COUNTERS + 8) > beats
        bench.finish()


def test_overflow_saturates_sticks_and_stops_nothing() -> None:
    with processor_bench(SMALL) as bench:
        layer, p = bench.layer, bench.parameters
        memory = layer.memory
        memory[layer.x : layer.x + 2] = np.array([127], "<i2").view(np.uint8)  # y = p · 2^127
        expected = memory.copy()
        oracle.run(expected, layer.descriptor, p)
        run = bench.fresh()
        bench.start()
        status = bench.finish()
        assert (run == expected).all()
        assert status & 7 == 2  # done, no error
        assert bench.read(Offset.ERROR) == 1 << 4
        bench.engine.write_register(Offset.ERROR, 1 << 4)
        assert bench.read(Offset.ERROR) == 0


@pytest.mark.parametrize("max_tiles", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("code", [0, 255])
def test_the_largest_sums_fit_where_rows_are_short(max_tiles: int, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes, scales, zero points and activations at their ends, in widths that follow from the longest row."""

    def extreme(form: Format, rows: int, columns: int, seed: int) -> QuantizedRows:
        shape = rows, -(-columns // form.group)
        codes, scales = np.full((rows, columns), code, np.uint8), np.full(shape, 255, np.uint8)
        zeros = np.full(shape, 255 - code, np.uint8)
        return QuantizedRows(form, codes, scales, np.full(rows, 120 << 7, np.uint16), zeros)

    monkeypatch.setattr(elastix.runtime.single_layer, "random_rows", extreme)
    p = ProcessorParameters(beat=64, activation_bits=12, max_tiles=max_tiles, max_burst=16, fifo_beats=32)
    form = Format(8, 256, "s8c8", "asymmetric")
    layer = single_layer(form, 5, 32 * max_tiles, beat=64, activation_bits=12)
    for end in (-2048, -2047, 2047):
        memory = layer.memory.copy()
        memory[layer.x + 64 : layer.x + 64 * (max_tiles + 1)] = np.full(32 * max_tiles, end, "<i2").view(np.uint8)
        expected = memory.copy()
        oracle.run(expected, layer.descriptor, p)
        with ArcEngine(p, IDEAL) as engine:
            engine.run(memory, layer.descriptor)
        assert (memory == expected).all(), end
