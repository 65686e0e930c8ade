"""The matrix engine in process, against exact fractions: formats, shapes, lanes, back pressure on both sides."""

import random
from functools import cache

import pytest
from matrix_model import Layer, convert, random_layer
from simulated import Simulated

from elastix.compiler.processor.matrix_engine import matrix_engine
from elastix.compiler.processor.parameters import ProcessorParameters


@cache
def engine(beat: int, activation_bits: int, lanes: int, max_tiles: int = 24) -> Simulated:
    parameters = ProcessorParameters(beat=beat, activation_bits=activation_bits, lanes=lanes, max_tiles=max_tiles)
    return Simulated(matrix_engine(parameters))


class Bench:
    """Drives one engine through a layer; `busy` is the share of cycles in which each side is willing."""

    def __init__(self, dut: Simulated, pick: random.Random, busy: float = 1.0) -> None:
        self.dut, self.pick, self.busy = dut, pick, busy
        self.cycles = self.stalls = self.latency = 0

    def load(self, x: list[list[int]], exponents: list[int]) -> None:
        width = self.dut.model.ports["x_data"][1] // 32
        for lane, (row, exponent) in enumerate(zip(x, exponents, strict=True)):
            self.dut.set(e_write=1, e_lane=lane, e_data=exponent & 0xFFFF)
            for tile in range(len(row) // 32):
                values = row[32 * tile : 32 * (tile + 1)]
                data = sum((v & (1 << width) - 1) << width * j for j, v in enumerate(values))
                self.dut.set(x_write=1, x_lane=lane, x_tile=tile, x_data=data, x_sum=sum(values) & (1 << width + 5) - 1)
                self.dut.step()
                self.dut.set(e_write=0)
        self.dut.set(x_write=0)

    def configure(self, layer: Layer, tokens: int) -> None:
        self.dut.set(
            bits=layer.bits, scale_format=layer.scale_format, tiles=layer.tiles, group_tiles=layer.group_tiles,
            c9=layer.c9, blocks=layer.blocks, header_words=layer.header_words, tokens=tokens,
        )  # fmt: skip

    def start(self, layer: Layer, tokens: int) -> None:
        self.configure(layer, tokens)
        self.dut.set(start=1, clear=1)
        self.dut.step()
        self.dut.set(start=0, clear=0)

    def run(self, layer: Layer, tokens: int, stop_after: int = -1) -> list[tuple[int, int, int, int]]:
        """(lane, block, last, data) of each result beat; leaves after `stop_after` beats taken."""
        dut, beats, results = self.dut, layer.stream(), list[tuple[int, int, int, int]]()
        dut.set(x_ready=1, w_valid=0, y_ready=0)
        dut.settle()
        taken, offered, last_taken = 0, False, 0
        first = -1
        while len(results) < layer.blocks * tokens:
            offered = taken < len(beats) and (offered or self.pick.random() < self.busy)
            willing = self.pick.random() < self.busy
            # Garbage on the data lines whenever nothing is offered.
            dut.set(
                w_valid=int(offered),
                y_ready=int(willing),
                w_data=beats[taken] if offered else self.pick.getrandbits(layer.beat),
            )
            dut.settle()
            if dut.get("y_valid") and willing:
                results.append((dut.get("y_lane"), dut.get("y_block"), dut.get("y_last"), dut.get("y_data")))
            ready = bool(dut.get("w_ready"))
            self.stalls += dut.get("stall_output")
            assert dut.get("stall_output") <= (offered and not ready)
            dut.step()
            if offered and ready:
                first = dut.cycles if first < 0 else first
                taken, offered, last_taken = taken + 1, False, dut.cycles
                if taken == stop_after:
                    return results
            assert dut.cycles < last_taken + 5000 or taken == 0, "the engine hangs"
        self.latency, self.cycles = dut.cycles - last_taken, dut.cycles - first + 1
        dut.set(w_valid=1, y_ready=1)
        for _ in range(40):
            dut.settle()
            assert not dut.get("y_valid") and not dut.get("w_ready")
            dut.step()
        dut.set(w_valid=0)
        return results


def expected(layer: Layer, x: list[list[int]], exponents: list[int]) -> tuple[list[tuple[int, int, int, int]], bool]:
    sums, overflow, results = [layer.row_sums(row) for row in x], False, list[tuple[int, int, int, int]]()
    for block in range(layer.blocks):
        for lane, exponent in enumerate(exponents):
            data = 0
            for r in range(layer.block_rows):
                row = block * layer.block_rows + r
                bits, over = convert(sums[lane][row], layer.row_scales[row], exponent)
                data |= bits << 32 * r
                overflow |= over
            results.append((lane, block, int(lane == len(x) - 1), data))
    return results, overflow


def random_tokens(
    pick: random.Random, layer: Layer, tokens: int, activation_bits: int
) -> tuple[list[list[int]], list[int]]:
    limit = (1 << activation_bits - 1) - 1
    x = [
        [pick.choice([0, limit, -limit, pick.randint(-limit, limit)]) for _ in range(32 * layer.tiles)]
        for _ in range(tokens)
    ]
    return x, [pick.choice([0, -20, 3, pick.randint(-140, 140), pick.randint(-32768, 32767)]) for _ in range(tokens)]


def check(bench: Bench, layer: Layer, tokens: int, activation_bits: int) -> None:
    x, exponents = random_tokens(bench.pick, layer, tokens, activation_bits)
    bench.load(x, exponents)
    bench.start(layer, tokens)
    results = bench.run(layer, tokens)
    wanted, overflow = expected(layer, x, exponents)
    assert results == wanted
    assert bool(bench.dut.get("overflow")) == overflow


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("scale_format", [0, 1, 2])
def test_every_width_and_scale_format(bits: int, scale_format: int) -> None:
    pick = random.Random(100 * bits + scale_format)
    dut = engine(64, 11, 1)
    dut.reset()
    layer = random_layer(pick, 64, bits, pick.randint(1, 8), scale_format, pick.randint(1, 24), pick.randint(1, 4))
    check(Bench(dut, pick), layer, 1, 11)


@pytest.mark.parametrize(
    ("beat", "activation_bits", "lanes"),
    [(64, 8, 1), (128, 9, 2), (256, 11, 1), (512, 12, 1), (64, 10, 4), (256, 12, 3)],
)
def test_random_layers_with_back_pressure(beat: int, activation_bits: int, lanes: int) -> None:
    pick = random.Random(beat + activation_bits + lanes)
    dut = engine(beat, activation_bits, lanes)
    dut.reset()
    for _ in range(8):
        tiles, group_tiles, scale_format = (
            pick.choice([1, 2, pick.randint(1, 24)]),
            pick.randint(1, 8),
            pick.randint(0, 2),
        )
        layer = random_layer(pick, beat, pick.randint(1, 8), group_tiles, scale_format, tiles, pick.randint(1, 6))
        check(Bench(dut, pick, pick.choice([1.0, 0.9, 0.3])), layer, pick.randint(1, lanes), activation_bits)


@pytest.mark.parametrize("group_tiles", range(1, 9))
def test_every_group_size_with_short_last_groups(group_tiles: int) -> None:
    pick = random.Random(group_tiles)
    dut = engine(64, 11, 1)
    dut.reset()
    for tiles in (group_tiles, group_tiles + 1, 2 * group_tiles - 1, 17, 24):
        check(
            Bench(dut, pick),
            random_layer(pick, 64, pick.randint(1, 4), group_tiles, pick.randint(0, 2), tiles, 2),
            1,
            11,
        )


@pytest.mark.parametrize("scale_format", [0, 1, 2])
def test_the_shortest_blocks_one_after_the_other(scale_format: int) -> None:
    """A header of one word, one beat of data: row sums and row scales of many blocks are on their way at once."""
    pick = random.Random(scale_format)
    dut = engine(64, 11, 1)
    dut.reset()
    layer, bench = random_layer(pick, 64, 1, 1, scale_format, 1, 60), Bench(dut, pick)
    assert len(layer.stream()) == 120
    check(bench, layer, 1, 11)


@pytest.mark.parametrize("bits", range(1, 9))
def test_every_zero_point(bits: int) -> None:
    """256 values of c8, bits that are not looked at among them, each in a group of its own."""
    pick = random.Random(bits)
    dut = engine(64, 11, 1)
    dut.reset()
    layer = random_layer(pick, 64, bits, 1, 2, 16, 8)
    values = list(range(256))
    pick.shuffle(values)
    layer.c8 = [values[16 * row : 16 * (row + 1)] for row in range(16)]
    layer.s = [[pick.randint(1, 255) for _ in range(16)] for _ in range(16)]
    layer.row_scales = [127 << 7] * 16
    check(Bench(dut, pick), layer, 1, 11)


def test_a_new_start_forgets_everything() -> None:
    """A run left in the middle, at any point of the pipeline, leaves no trace in the next one."""
    pick = random.Random(7)
    dut = engine(64, 11, 1)
    dut.reset()
    for stop_after in range(1, 40):
        layer = random_layer(pick, 64, 2, 2, 2, 3, 6)
        bench = Bench(dut, pick, 0.8)
        x, exponents = random_tokens(pick, layer, 1, 11)
        bench.load(x, exponents)
        bench.start(layer, 1)
        bench.run(layer, 1, stop_after)
        dut.set(w_valid=0, y_ready=0)
        check(bench, random_layer(pick, 64, 1, 1, 0, 2, 3), 1, 11)


def test_no_blocks_for_a_channel() -> None:
    pick = random.Random(8)
    dut = engine(64, 11, 1)
    dut.reset()
    layer = random_layer(pick, 64, 3, 1, 0, 2, 1)
    dut.set(
        bits=3, scale_format=0, tiles=2, group_tiles=1, c9=256, blocks=0, header_words=1, tokens=1, start=1, clear=1
    )
    dut.step()
    dut.set(start=0, clear=0, x_ready=1, w_valid=1, y_ready=1, w_data=layer.stream()[0])
    for _ in range(40):
        dut.settle()
        assert not dut.get("w_ready") and not dut.get("y_valid")
        dut.step()
    dut.set(w_valid=0)


def test_weights_wait_for_activations() -> None:
    pick = random.Random(9)
    dut = engine(64, 11, 1)
    dut.reset()
    layer = random_layer(pick, 64, 3, 1, 0, 2, 2)
    bench = Bench(dut, pick)
    dut.set(x_ready=0, w_valid=1)
    bench.start(layer, 1)
    for _ in range(20):
        dut.settle()
        assert not dut.get("w_ready") and not dut.get("stall_output")
        dut.step()
    check(bench, layer, 1, 11)


def run_at_once(bench: Bench, layers: list[Layer], tokens: int) -> tuple[list[tuple[int, int, int, int]], int]:
    """Results of layers, each started as soon as the beats before it are taken; cycles from first beat to last."""
    dut, pick = bench.dut, bench.pick
    beats = [(index, beat) for index, layer in enumerate(layers) for beat in layer.stream()]
    results, begun, taken, first, last = list[tuple[int, int, int, int]](), 0, 0, 0, 0
    wanted = sum(layer.blocks for layer in layers) * tokens
    dut.set(x_ready=1, w_valid=0, y_ready=0, start=0, clear=0)
    offered = False
    for _ in range(20000):
        dut.settle()
        starting = bool(dut.get("idle")) and begun < len(layers) and pick.random() < bench.busy
        if starting:
            bench.configure(layers[begun], tokens)
            begun += 1
        # What belongs to the next layer may be there long before it begins.
        offered = taken < len(beats) and (offered or pick.random() < bench.busy)
        data = beats[taken][1] if offered else pick.getrandbits(layers[0].beat)
        willing = pick.random() < bench.busy
        dut.set(start=int(starting), w_valid=int(offered), w_data=data, y_ready=int(willing))
        dut.settle()
        if dut.get("y_valid") and willing:
            results.append((dut.get("y_lane"), dut.get("y_block"), dut.get("y_last"), dut.get("y_data")))
        ready = bool(dut.get("w_ready"))
        dut.step()
        if offered and ready:
            assert beats[taken][0] == begun - 1
            first, last = first or dut.cycles, dut.cycles
            taken, offered = taken + 1, False
        if len(results) == wanted:
            return results, last - first + 1
    raise AssertionError(f"{taken} of {len(beats)} beats, {len(results)} of {wanted} results")


@pytest.mark.parametrize(("beat", "lanes"), [(64, 1), (256, 1), (64, 3), (512, 2)])
@pytest.mark.parametrize("busy", [1.0, 0.9, 0.3])
def test_layers_one_after_the_other_while_results_are_on_their_way(beat: int, lanes: int, busy: float) -> None:
    """Formats, bits and groups change from layer to layer, the shortest among them; nothing is forgotten in between."""
    pick = random.Random(beat + lanes)
    dut = engine(beat, 11, lanes)
    dut.reset()
    for tiles in (1, 1, 2, 5):
        layers = [
            random_layer(
                pick, beat, pick.choice([1, 1, 2, 7, 8]), pick.randint(1, 3), pick.randint(0, 2), tiles, blocks
            )
            for blocks in (1, 1, 1, 2, 1, 3, 1, 2)
        ]
        bench = Bench(dut, pick, busy)
        x, exponents = random_tokens(pick, layers[0], lanes, 11)
        bench.load(x, exponents)
        dut.set(tokens=lanes, clear=1)
        dut.step()
        results, _ = run_at_once(bench, layers, lanes)
        wanted, before, overflow = list[tuple[int, int, int, int]](), 0, False
        for layer in layers:
            own, over = expected(layer, x, exponents)
            wanted += [(lane, block + before, last, data) for lane, block, last, data in own]
            before, overflow = before + layer.blocks, overflow or over
        assert results == wanted
        assert bool(dut.get("overflow")) == overflow


def test_four_cycles_between_layers() -> None:
    pick = random.Random(2)
    dut = engine(256, 11, 1)
    dut.reset()
    layers = [random_layer(pick, 256, bits, 1, 0, 18, 2) for bits in (4, 2, 3, 8)]
    bench = Bench(dut, pick)
    bench.load(*random_tokens(pick, layers[0], 1, 11))
    dut.set(clear=1)
    dut.step()
    _, cycles = run_at_once(bench, layers, 1)
    assert cycles == sum(len(layer.stream()) for layer in layers) + 4 * (len(layers) - 1)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("group_tiles", [1, 2])
def test_a_beat_a_cycle(bits: int, group_tiles: int) -> None:
    """No bubbles between planes, groups and blocks, and less than 40 cycles from the last weight to the last result."""
    pick = random.Random(bits)
    dut = engine(256, 11, 1)
    dut.reset()
    layer, bench = random_layer(pick, 256, bits, group_tiles, 0, 18, 8), Bench(dut, pick)
    check(bench, layer, 1, 11)
    beats = len(layer.stream())
    assert bench.stalls == 0
    assert bench.cycles == beats + bench.latency
    assert bench.latency < 40, bench.latency
