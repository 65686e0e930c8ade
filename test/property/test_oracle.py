"""The oracle against dense integers and exact fractions; planted faults in what it reads."""

from fractions import Fraction

import numpy as np
import pytest
from exact import fp32, result, round_half_even
from hypothesis import given, settings
from hypothesis import strategies as st
from launches import DESCRIPTOR, Launch, Processor, build, formats, launches, random_rows

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers import oracle
from elastix.compiler.numbers.formats import Format, accumulator_bits
from elastix.compiler.numbers.quantize import dequantize


def bf16(bits: int) -> Fraction:
    return Fraction(float(np.array([bits << 16], np.uint32).view(np.float32)[0]))


def expected(launch: Launch) -> tuple[np.ndarray, bool]:
    """y by exact fractions, and whether anything saturated."""
    rowscales = [bf16(int(bits)) for bits in launch.rows.rowscale]
    overflow = False
    y = np.zeros((len(launch.e), launch.rows.rows), np.float32)
    for token, sums in enumerate(launch.accumulators()):
        for row, acc in enumerate(sums):
            value, saturated = result(acc, rowscales[row], int(launch.e[token]))
            y[token, row] = np.float32(float(value))
            overflow |= saturated
    return y, overflow


@settings(max_examples=60, deadline=None)
@given(launches())
def test_results_are_the_exact_ones(launch: Launch) -> None:
    memory = launch.memory.copy()
    flags = oracle.execute(memory, DESCRIPTOR, launch.processor)
    y, overflow = expected(launch)
    np.testing.assert_array_equal(launch.results(memory), y)
    assert flags.overflow == overflow
    bits = accumulator_bits(launch.rows.columns, launch.processor.activation_bits)
    for sums in launch.accumulators():
        assert all(-(1 << (bits - 1)) <= acc < 1 << (bits - 1) for acc in sums)


@settings(max_examples=30, deadline=None)
@given(launches())
def test_only_the_results_are_written(launch: Launch) -> None:
    memory = launch.memory.copy()
    oracle.run(memory, DESCRIPTOR, launch.processor)
    y = launch.descriptor.y
    stop = y + len(launch.e) * launch.geometry.result_bytes
    memory[y:stop] = launch.memory[y:stop]
    np.testing.assert_array_equal(memory, launch.memory)


@settings(max_examples=40, deadline=None)
@given(launches(), st.integers(0, 2**30))
def test_a_flipped_bit_among_the_weights_is_seen(launch: Launch, where: int) -> None:
    memory = launch.memory.copy()
    channel = where % launch.processor.channels
    geometry = launch.geometry
    # Of the CRC beat only the low 32 bits say anything.
    checked = geometry.segment_bytes(channel) - geometry.beat_bytes + 4
    address = launch.descriptor.weights + channel * geometry.channel_stride + where // 8 % checked
    memory[address] ^= 1 << where % 8
    with pytest.raises(ElastixError, match=f"weights of channel {channel} with CRC"):
        oracle.run(memory, DESCRIPTOR, launch.processor)


@settings(max_examples=40, deadline=None)
@given(launches(), st.integers(0, 511))
def test_a_flipped_bit_in_the_descriptor_is_seen(launch: Launch, bit: int) -> None:
    memory = launch.memory.copy()
    memory[DESCRIPTOR + bit // 8] ^= 1 << bit % 8
    with pytest.raises(ElastixError, match="bad descriptor: CRC"):
        oracle.run(memory, DESCRIPTOR, launch.processor)


@settings(max_examples=40, deadline=None)
@given(launches())
def test_unpacking_gives_back_what_was_packed(launch: Launch) -> None:
    read = oracle.read_descriptor(launch.memory, DESCRIPTOR, 4)
    segments = oracle.read_segments(launch.memory, read, launch.processor)
    r, rows, c = launch.geometry.block_rows, launch.rows, launch.processor.channels
    for i in range(launch.geometry.row_blocks):
        block = oracle.unpack_block(segments[i % c][i // c], read)
        here = rows.slice(i * r, (i + 1) * r)
        n = here.rows
        np.testing.assert_array_equal(block.q[:n, : rows.columns], here.codes)
        np.testing.assert_array_equal(block.s[:n], here.scales)
        np.testing.assert_array_equal(block.rowscale[:n], here.rowscale)
        z16 = [[launch.zero_point(i * r + row, g) for g in range(launch.geometry.groups)] for row in range(n)]
        np.testing.assert_array_equal(block.z16[:n], z16)
        assert not block.q[:, rows.columns :].any() and not block.q[n:].any()
        assert not block.s[n:].any() and not block.rowscale[n:].any()


@settings(max_examples=30, deadline=None)
@given(launches(), st.integers(0, 2**32))
def test_embedding_rows_are_the_dequantized_rows(launch: Launch, seed: int) -> None:
    ids = np.random.default_rng(seed).integers(0, launch.rows.rows, 3)
    k = launch.rows.columns
    rows = oracle.embedding(launch.memory, DESCRIPTOR, ids, k, launch.processor)
    np.testing.assert_array_equal(rows, dequantize(launch.rows)[ids])
    scales = [bf16(int(bits)) for bits in launch.rows.rowscale]
    for row, index in zip(rows, ids.tolist(), strict=True):
        for column in range(0, k, 37):
            g = column // launch.rows.format.group
            distance = 16 * int(launch.rows.codes[index, column]) - launch.zero_point(index, g)
            integer = int(launch.rows.scales[index, g]) * distance
            assert Fraction(float(row[column])) == fp32(integer * scales[index])[0]


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=300, deadline=None)
@given(st.lists(finite, min_size=1, max_size=8), st.integers(8, 12))
def test_quantizing_is_the_exact_rounding(values: list[float], bits: int) -> None:
    x, e = oracle.quantize(np.array([values], np.float32), bits)
    flushed = [Fraction(v) if abs(v) >= 2.0**-126 else Fraction(0) for v in values]
    largest = max(abs(v) for v in flushed)
    if not largest:
        assert not x.any() and e[0] == 0
        return
    exponent = next(n for n in range(127, -127, -1) if largest >= Fraction(2) ** n) - (bits - 2)
    limit = (1 << (bits - 1)) - 1
    assert e[0] == exponent
    exact = [max(-limit, min(limit, round_half_even(v / Fraction(2) ** exponent))) for v in flushed]
    assert x[0].tolist() == exact


def test_quantizing_refuses_what_no_rule_defines() -> None:
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ElastixError, match="NaN or infinite"):
            oracle.quantize(np.array([[1.0, bad]], np.float32), 11)


def digits(bits: int, c9: int, fine: bool) -> list[tuple[int, int, Fraction]]:
    """C1: for each plane the digit of the zero point, its fine bit, and what a fine bit weighs."""
    count = min(bits, 7 - bits) if fine and bits < 7 else 0
    answer: list[tuple[int, int, Fraction]] = []
    for plane in range(bits):
        digit = c9 >> 7 if plane == 0 else c9 >> (7 - plane) & 1
        place = plane - (bits - count)
        answer.append((digit, c9 >> (7 - bits - place) & 1 if place >= 0 else 0, Fraction(1, 1 << count)))
    return answer


@given(st.integers(1, 8), st.integers(0, 511))
def test_digits_of_c9_spell_the_common_zero_point(bits: int, c9: int) -> None:
    """C1: the first plane takes c9[8:7], each plane after it the next lower bit; d doubles when a plane begins."""
    spelled = 0
    for digit, _, _ in digits(bits, c9, fine=False):
        spelled = 2 * spelled + digit
    assert oracle.common_zero_point(c9, bits) == 8 * spelled


@given(st.integers(1, 8), st.integers(0, 255))
def test_digits_and_fine_bits_spell_the_free_zero_point(bits: int, c8: int) -> None:
    spelled = Fraction(0)
    for digit, fine, weight in digits(bits, c8 << 1, fine=True):
        spelled = 2 * spelled + digit + fine * weight
    assert oracle.free_zero_point(c8, bits) == 8 * spelled
    looked_at = c8 >> max(7 - 2 * bits, 0) << max(7 - 2 * bits, 0)
    assert 8 * spelled == 16 * Fraction(looked_at * 2**bits, 256)


@pytest.mark.parametrize("bits", range(1, 9))
def test_c9_of_the_fixed_formats(bits: int) -> None:
    assert oracle.common_zero_point(Format(bits).c9, bits) == Format(bits).z16 == 8 * 2**bits
    half = Format(bits, zero="half_step")
    assert oracle.common_zero_point(half.c9, bits) == half.z16 == 8 * (2**bits - 1)


@given(formats, st.integers(0, 255))
def test_bit_planes_give_the_group_sum(form: Format, c8: int) -> None:
    """C1's plane by plane recipe, which hardware follows, equals its sum, which the oracle computes."""
    rng = np.random.default_rng(form.bits)
    q, x = rng.integers(0, 1 << form.bits, (3, 64)), rng.integers(-1023, 1024, 64)
    free = form.zero == "asymmetric"
    z16 = oracle.free_zero_point(c8, form.bits) if free else form.z16
    d = np.zeros(3, np.int64)
    for number, (digit, fine, weight) in enumerate(digits(form.bits, c8 << 1 if free else form.c9, free)):
        d = 2 * d
        for tile in (slice(0, 32), slice(32, 64)):
            ones, total = (q[:, tile] >> form.bits - 1 - number & 1) @ x[tile], x[tile].sum()
            d += 16 * ones - int(8 * (digit + fine * weight)) * total
    np.testing.assert_array_equal(d, oracle.group_sum(q, x, np.full(3, z16)))


def _one(**changes: int) -> tuple[np.ndarray, Processor]:
    """A launch whose descriptor is changed, its CRC put right again."""
    from dataclasses import replace

    rng = np.random.default_rng(0)
    processor = Processor(64, 11, 2, 1)
    rows = random_rows(Format(4), 3, 40, rng)
    launch = build(processor, rows, np.ones((1, 40), np.int16), np.zeros(1, np.int32))
    memory = launch.memory.copy()
    memory[DESCRIPTOR : DESCRIPTOR + 64] = np.frombuffer(replace(launch.descriptor, **changes).encode(), np.uint8)
    return memory, processor


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bits": 0}, "0 bits; wanted: 1 to 8"),
        ({"bits": 9}, "9 bits; wanted: 1 to 8"),
        ({"scale_code": 3}, "scale format 3; wanted: 0 to 2"),
        ({"tokens": 0}, "0 tokens; wanted: 1 to 2"),
        ({"tokens": 3}, "3 tokens; wanted: 1 to 2"),
        ({"tiles": 0}, "0 tiles in groups of 2"),
        ({"group_tiles": 9}, "2 tiles in groups of 9"),
        ({"header_words": 5}, "5 header words"),
        ({"block_beats": 11}, "11 beats a block"),
        ({"weights": 1 << 40}, "channel 0's weights at 0x10000000000"),
        ({"x": 1 << 33}, "the activations of token 0 at 0x200000000"),
        ({"y": 1 << 33}, "the results at 0x200000000"),
    ],
)
def test_bad_descriptors(changes: dict[str, int], message: str) -> None:
    memory, processor = _one(**changes)
    before = memory.copy()
    with pytest.raises(ElastixError, match=message):
        oracle.run(memory, DESCRIPTOR, processor)
    np.testing.assert_array_equal(memory, before)


FAULTS = {
    "planes in the other order": lambda beats: beats[:, ::-1],
    "columns of a tile in the other order": lambda beats: _reversed_bits(beats),
    "two rows exchanged": lambda beats: beats[:, :, [1, 0, *range(2, beats.shape[2])]],
}


def _reversed_bits(beats: np.ndarray) -> np.ndarray:
    bits = np.unpackbits(np.ascontiguousarray(beats).view(np.uint8), bitorder="little").reshape(-1, 32)
    return np.packbits(bits[:, ::-1], axis=1, bitorder="little").view("<u4").reshape(beats.shape)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_planted_in_the_packer_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The packer makes the mistake and a right CRC of it; only the numbers can tell."""
    from elastix.compiler.numbers import pack

    rng = np.random.default_rng(1)
    rows = random_rows(Format(4, 32), 8, 32, rng)
    right = pack.pack_blocks

    def wrong(rows: pack.QuantizedRows, geometry: pack.Geometry) -> np.ndarray:
        words = right(rows, geometry).view("<u4").reshape(-1, geometry.block_beats, geometry.block_rows).copy()
        words[:, geometry.header_words :] = FAULTS[fault](words[:, geometry.header_words :])
        return words.view(np.uint8).reshape(len(words), -1)

    x, e = rng.integers(-1023, 1024, (1, 32)).astype(np.int16), np.zeros(1, np.int32)
    for packer, equal in ((right, True), (wrong, False)):
        monkeypatch.setattr(pack, "pack_blocks", packer)
        launch = build(Processor(128, 11, 1, 1), rows, x, e)
        memory = launch.memory.copy()
        oracle.run(memory, DESCRIPTOR, launch.processor)
        assert np.array_equal(launch.results(memory), expected(launch)[0]) == equal
