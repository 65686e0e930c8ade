"""Tables, fixed point, activations, exponentials, reciprocals (C15 to C18, C21), against numbers/functions.py."""

import numpy as np
import pytest
from arithmetic_bench import EDGES, same, signed, stream, words
from numpy.typing import NDArray
from simulated import Simulated

from elastix.compiler.circuit import Module, rom
from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers import fp32, functions
from elastix.compiler.processor.arithmetic import (
    activation_factor,
    exponential,
    fixed_point,
    function_table,
    reciprocals,
)

ACTIVATIONS = pytest.mark.parametrize("kind", functions.ACTIVATIONS)


def every_exponent(fractions: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Both signs, all finite exponents, the given fractions."""
    signs, exponents, fractions = (c.ravel() for c in np.meshgrid(np.array([0, 1]), np.arange(255), fractions))
    return (signs << 31 | exponents << 23 | fractions).astype(np.uint32)


def numbers(seed: int) -> NDArray[np.uint32]:
    """Edges, many numbers, and as many about the size that activations and scores have."""
    usual = np.random.default_rng(seed).normal(0, 4, 50_000).astype(np.float32).view(np.uint32)
    ends = np.array([0, 1, 0xF, 0x10, 0x7FFFF, 0x7FFFF0, 0x7FFFFF], np.int64)
    return np.concatenate([EDGES, every_exponent(ends), words(50_000, seed), usual])


def test_a_rom_holds_its_words_in_any_width() -> None:
    pick = np.random.default_rng(1)
    wide = [int(word) << 60 | 0x123 for word in pick.integers(0, 1 << 30, 256)]
    m = Module("roms")
    address = m.input("address", 8)
    m.output("wide", m.instance("a", rom("wide_words", wide, 90), address=address)["data"])
    m.output("bit", m.instance("b", rom("one_bit_words", [1, 0], 1), address=address[0])["data"])
    m.output("again", m.instance("c", rom("wide_words", wide, 90), address=~address)["data"])
    dut = Simulated(m)
    for place in range(256):
        dut.set(address=place)
        dut.step()
        assert (dut.get("wide"), dut.get("bit"), dut.get("again")) == (wide[place], 1 - place % 2, wide[255 - place])


def test_a_rom_refuses_what_does_not_fit() -> None:
    with pytest.raises(ElastixError, match="rom odd of 3 words"):
        rom("odd", [1, 2, 3], 4)
    with pytest.raises(ElastixError, match="word 16 in rom small of 4 bits"):
        rom("small", [1, 16], 4)


def test_every_place_of_a_table() -> None:
    place = np.arange(1 << 20)
    found = stream(
        function_table.function_table(("exp2",)), function_table.LATENCY, index=place >> 12, offset=place & 0xFFF
    )
    same(found["y"], functions.evaluate("exp2", place >> 12, place & 0xFFF), place)


def test_every_table_among_others() -> None:
    names = tuple(functions.TABLES)
    offsets = np.concatenate([np.arange(4096 - 8, 4096), np.arange(8), np.arange(8, 4088, 170)])
    table, index, offset = (c.ravel() for c in np.meshgrid(np.arange(len(names)), np.arange(256), offsets))
    found = stream(
        function_table.function_table(names), function_table.LATENCY, which=table, index=index, offset=offset
    )
    wanted = np.array([functions.evaluate(name, index, offset) for name in names])[table, np.arange(len(table))]
    same(found["y"], wanted, table, index, offset)


def test_a_table_that_rises_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rising = functions.coefficients("exp2") * np.array([1, -1, 1])

    def found(name: str) -> NDArray[np.int64]:
        return rising if name == "gelu" else functions.coefficients(name)

    monkeypatch.setattr(function_table, "coefficients", found)
    with pytest.raises(ElastixError, match="table gelu, which rises"):
        function_table.function_table(("gelu", "exp2"))


@pytest.mark.parametrize("k", [0, 16, 20])
def test_fixed_point_at_every_exponent(k: int) -> None:
    x = np.concatenate([numbers(k), every_exponent(1 << np.arange(23))])
    found = stream(fixed_point.fp32_to_fixed(k), fixed_point.LATENCY, x=x)
    same(signed(found["y"], 32), functions.fix(x.view(np.float32), k), x)


@ACTIVATIONS
def test_activation_factors(kind: str) -> None:
    steps = (np.arange(-(1 << 16), 1 << 16) / 4000).astype(np.float32).view(np.uint32)
    x = np.concatenate([numbers(2), steps])
    found = stream(activation_factor.activation_factor(kind), activation_factor.LATENCY, x=x)
    same(found["factor"], functions.gate(kind, x.view(np.float32)).view(np.uint32), x)


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ElastixError, match="activation 'elu'"):
        activation_factor.activation_factor("elu")


def check_exponential(score: NDArray[np.float32], largest: float) -> None:
    """One largest score for all, held as its user would hold it."""
    largest_of_all = np.full(len(score), largest, np.float32)
    found = stream(
        exponential.exponential(),
        exponential.LATENCY,
        score=score.view(np.uint32),
        maximum=functions.fix(largest_of_all, exponential.FRACTION_BITS),
    )
    p = functions.exponential(score, largest_of_all)
    same(found["p"], p, score.view(np.uint32))
    fraction = fp32.scale_by_power_of_two(p.astype(np.float32), -24, fp32.Flags())
    same(found["p_fp32"], fraction.view(np.uint32), score.view(np.uint32))


@pytest.mark.parametrize("largest", [0.0, 17.25, -3.7, 3e38, -1e-3])
def test_exponentials_below_a_maximum(largest: float) -> None:
    pick = np.random.default_rng(8)
    scores = np.concatenate([largest - pick.exponential(6, 20_000), largest - np.arange(0, 26, 1 / 1024), [largest]])
    scores = np.concatenate([np.minimum(scores.astype(np.float32), np.float32(largest)), numbers(9).view(np.float32)])
    check_exponential(scores[scores <= np.float32(largest)], largest)


def test_exponentials_at_every_place_of_their_table() -> None:
    check_exponential((-np.arange(1 << 20) / 2.0**20).astype(np.float32), 0.0)


def test_a_maximum_is_seen_after_its_score() -> None:
    """A new maximum in every cycle, MAXIMUM_DELAY clocks behind its score."""
    pick = np.random.default_rng(10)
    largest = pick.normal(0, 10, 2_000).astype(np.float32)
    score = (largest - pick.exponential(3, len(largest)).astype(np.float32)).astype(np.float32)
    late = np.roll(functions.fix(largest, exponential.FRACTION_BITS), exponential.MAXIMUM_DELAY)
    found = stream(exponential.exponential(), exponential.LATENCY, score=score.view(np.uint32), maximum=late)
    inside = slice(0, len(score) - exponential.MAXIMUM_DELAY)  # what follows the last score belongs to the first ones
    same(found["p"][inside], functions.exponential(score, largest)[inside], score[inside].view(np.uint32))


@pytest.mark.parametrize("root", [0, 1])
def test_reciprocals(root: int) -> None:
    x = numbers(11) & np.uint32(0x7FFFFFFF if root else 0xFFFFFFFF)
    found = stream(reciprocals.reciprocals(), reciprocals.LATENCY, x=x, root=np.full(len(x), root))
    wanted = (functions.rsqrt if root else functions.recip)(x.view(np.float32), fp32.Flags())
    same(found["y"], wanted.view(np.uint32), x)
    same(found["overflow"], fp32.flush(x.view(np.float32)) == 0, x)
