"""Activation images into tiles, sums and exponents, for every beat width, with beats at any pace."""

from functools import cache
from random import Random

import pytest
from simulated import Simulated

from elastix.compiler.processor.activation_loader import activation_loader
from elastix.compiler.processor.parameters import ProcessorParameters

MAX_TILES = 7
SHAPES: dict[Simulated, tuple[int, int]] = {}
"""Bytes of a beat, bits of an activation."""


@cache
def simulated(beat: int, activation_bits: int, lanes: int) -> Simulated:
    parameters = ProcessorParameters(beat=beat, activation_bits=activation_bits, lanes=lanes, max_tiles=MAX_TILES)
    dut = Simulated(activation_loader(parameters))
    SHAPES[dut] = beat // 8, activation_bits
    return dut


def image(exponent: int, tiles: list[list[int]]) -> bytes:
    values = [exponent, *[0] * 31, *(value for tile in tiles for value in tile)]
    return b"".join(value.to_bytes(2, "little", signed=True) for value in values)


def signed(value: int, width: int) -> int:
    return value - (1 << width) if value >> (width - 1) else value


class Loaded:
    """What the loader wrote, by lane and tile."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], list[int]] = {}
        self.exponents: dict[int, int] = {}
        self.out_of_range = False


def load(
    dut: Simulated, data: bytes, tiles: int, tokens: int, random: Random, willing: float, settle: int = 8
) -> Loaded:
    beat_bytes, width = SHAPES[dut]
    dut.set(start=1, cancel=0, in_valid=0, tiles=tiles, tokens=tokens)
    dut.step()
    dut.set(start=0)
    loaded, at = Loaded(), 0
    for _ in range(20 * len(data) // beat_bytes + 20):
        offered = at < len(data) and random.random() < willing
        word = data[at : at + beat_bytes] if offered else random.randbytes(beat_bytes)
        dut.set(in_valid=int(offered), in_data=int.from_bytes(word, "little"))
        at += beat_bytes * offered
        dut.settle()
        assert not (dut.get("x_ready") and at < len(data))
        if dut.get("x_write"):
            assert not dut.get("x_ready")
            place = dut.get("x_lane"), dut.get("x_tile")
            assert place not in loaded.tiles
            raw = dut.get("x_data")
            loaded.tiles[place] = [signed(raw >> width * j & (1 << width) - 1, width) for j in range(32)]
            assert dut.get_signed("x_sum") == sum(loaded.tiles[place])
        if dut.get("e_write"):
            loaded.exponents[dut.get("e_lane")] = dut.get_signed("e_data")
        loaded.out_of_range |= bool(dut.get("out_of_range"))
        dut.step()
        if at == len(data):
            settle -= 1
            if settle == 0:
                break
    return loaded


@pytest.mark.parametrize("beat", [64, 128, 256, 512])
@pytest.mark.parametrize("activation_bits,lanes", [(8, 1), (11, 4), (12, 3)])
@pytest.mark.parametrize("willing", [1.0, 0.4])
def test_images_become_tiles(beat: int, activation_bits: int, lanes: int, willing: float) -> None:
    random, dut = Random(beat), simulated(beat, activation_bits, lanes)
    dut.reset()
    top = (1 << (activation_bits - 1)) - 1
    for tiles, tokens in ((1, 1), (MAX_TILES, lanes), (3, max(1, lanes - 1)), (2, lanes)):
        extreme = random.random() < 0.5
        x = [
            [
                [random.choice((-top, top)) if extreme else random.randint(-top, top) for _ in range(32)]
                for _ in range(tiles)
            ]
            for _ in range(tokens)
        ]
        exponents = [random.randint(-140, 127) for _ in range(tokens)]
        data = b"".join(image(e, t) for e, t in zip(exponents, x, strict=True))
        loaded = load(dut, data, tiles, tokens, random, willing)
        assert loaded.tiles == {(m, t): x[m][t] for m in range(tokens) for t in range(tiles)}
        assert loaded.exponents == dict(enumerate(exponents))
        assert dut.get("x_ready") and not loaded.out_of_range


@pytest.mark.parametrize("beat", [64, 512])
def test_what_is_no_activation_is_refused(beat: int) -> None:
    random, dut = Random(beat), simulated(beat, 9, 1)
    dut.reset()
    for value in (256, -257, 32767, -32768):
        tile = [0] * 32
        tile[random.randrange(32)] = value
        assert load(dut, image(5, [[255, -256] * 16, tile]), 2, 1, random, 1.0).out_of_range


def test_a_cancelled_load_takes_no_more() -> None:
    random, dut = Random(4), simulated(64, 8, 1)
    dut.reset()
    data = image(1, [[1] * 32, [2] * 32])
    load(dut, data[:100], 2, 1, random, 1.0)
    dut.set(cancel=1)
    dut.step()
    dut.set(cancel=0, in_valid=1)
    for _ in range(60):
        dut.step()
        assert not dut.get("x_ready")
    assert load(dut, data, 2, 1, random, 1.0).tiles == {(0, 0): [1] * 32, (0, 1): [2] * 32}
