"""Rope, cache rows, scores, exponentials and values of the step processor's oracle, against float64."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from unit.step_programs import PARAMETERS, Program, vector_memory

from elastix.compiler.numbers.cache import CacheRows, quantize_rows
from elastix.compiler.numbers.step_oracle import Results
from elastix.compiler.numbers.step_oracle_state import Place
from elastix.compiler.processor.step.instructions import Maximum, Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import StepParameters

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
DH, HEADS, GROUP, CONTEXT = PARAMETERS.head_dim, PARAMETERS.kv_heads, PARAMETERS.group, PARAMETERS.max_context
SCALE = 1 / math.sqrt(DH)
Q, K, V, TURNED, LANE, SCORES, SUMS, OUT = 0, 128, 256, 64, 512, 1024, 1088, 1280
"""Elements: operands, what rope makes of them that much behind, all of that for each lane; then what lanes share."""


@dataclass(frozen=True)
class Cache:
    """Where rows of keys or values lie, how far behind them their scales, and what they hold."""

    rows: int
    scales: int
    values: Float64


class Attention:
    """Attention over random rows at a position, for tokens that each add a row to the caches."""

    def __init__(
        self, tokens: int, position: int, spread: float, seed: int, parameters: StepParameters = PARAMETERS
    ) -> None:
        generator = np.random.default_rng(seed)
        self.tokens, self.position = tokens, position
        normal = generator.standard_normal
        self.q, self.k, self.v = (
            (spread * normal((tokens, heads, DH))).astype(np.float32) for heads in (HEADS * GROUP, HEADS, HEADS)
        )
        angle = generator.uniform(-3, 3, (CONTEXT, DH // 2))
        self.cos = np.tile(np.cos(angle), 2)
        self.sin = np.concatenate([-np.sin(angle), np.sin(angle)], axis=1)
        self.program = Program(parameters)
        rows = (spread * normal((2, HEADS, position, DH))).astype(np.float32)
        self.keys, self.values = (
            [Cache(*self.program.place_cache(rows[which, head])) for head in range(HEADS)] for which in range(2)
        )

    def run(self) -> Results:
        """The whole program: keys and values of all lanes, then every head of every lane."""
        for lane in range(self.tokens):
            self._constants(lane)
            for head in range(HEADS):
                self._keep(lane, head)
            for head in range(HEADS):
                self._attend(lane, head)
        return self.program.run((0,) * self.tokens, position=self.position)

    def _constants(self, lane: int) -> None:
        """Operands of the lane, its rope rows for keys at 0 and for queries, with the scale in them, at 2·Dh."""
        for values, at in ((self.q, Q), (self.k, K), (self.v, V)):
            self.program.load(values[lane].ravel(), Target.VECTOR, LANE * lane + at, lane=lane)
        for scale, to in ((1, 0), (np.float32(SCALE * math.log2(math.e)), 2 * DH)):
            table = np.concatenate([self.cos, self.sin], axis=1).astype(np.float32) * np.float32(scale)
            where = {"target": Target.CONSTANT, "to": to, "count": 2 * DH}
            self.program.add(Opcode.LOAD, address=self.program.place(table), stride=64, lane=lane, **where)

    def _vector(self, operation: Operation, lane: int, **fields: int) -> None:
        self.program.add(Opcode.VECTOR, operation=operation, lane=lane, **fields)

    def _rope(self, lane: int, a: int, count: int, c: int) -> None:
        """The largest magnitude goes to register 0."""
        fields = {"a": a, "to": a + TURNED, "c": c, "d": c + DH, "count": count, "period": DH}
        self._vector(Operation.ROTATE, lane, target=Target.VECTOR, maximum=Maximum.MAGNITUDE, **fields)

    def _keep(self, lane: int, head: int) -> None:
        key, value = self.keys[head], self.values[head]
        a = LANE * lane + DH * head
        self._rope(lane, a + K, DH, 0)
        fields = {"bits": 8, "count": DH, "head": head, "channel_stride": self.program.channel_stride}
        where = {"a": a + K + TURNED, "rows": key.rows, "scales": key.scales}
        self._vector(Operation.QUANTIZE, lane, target=Target.KEY, **fields, **where)
        self._vector(Operation.COPY, lane, a=a + V, count=DH, maximum=Maximum.MAGNITUDE)
        where = {"a": a + V, "rows": value.rows, "scales": value.scales}
        self._vector(Operation.QUANTIZE, lane, target=Target.VALUE, **fields, **where)

    def _attend(self, lane: int, head: int) -> None:
        key, value, bank = self.keys[head], self.values[head], head % 2
        a, group = LANE * lane + GROUP * DH * head, {"count": GROUP * DH, "bits": 16, "bank": bank}
        self._rope(lane, a + Q, GROUP * DH, 2 * DH)
        self._vector(Operation.QUANTIZE, lane, target=Target.QUERY, a=a + Q + TURNED, **group)
        caches = {"keys": key.rows, "key_scales": key.scales, "values": value.rows, "value_scales": value.scales}
        caches["channel_stride"] = self.program.channel_stride
        where = {"to": SCORES, "stride": 32, "max_register": 4, "bank": bank, "head": head, "lane": lane}
        self.program.add(Opcode.SCORES, **caches, **where)
        rows = {"count": 1, "to_position": 1, "bank": bank}
        for j in range(GROUP):
            tracked = {"maximum": Maximum.MAGNITUDE_KEEP if j else Maximum.MAGNITUDE, "max_register": 8}
            where = {"a": SCORES + 32 * j, "to": SCORES + 32 * j, "scalar_register": 4 + j, "result_register": 6 + j}
            self._vector(Operation.EXPONENTIAL, lane, target=Target.VECTOR, **where, **rows, **tracked)
        for j in range(GROUP):
            where = {"target": Target.PROBABILITY, "a": SCORES + 32 * j, "scalar_register": 8, "bits": 16, "head": j}
            self._vector(Operation.QUANTIZE, lane, **where, **rows)
        where = {"bank": bank, "head": head, "lane": lane, "values": value.rows, "to": SUMS}
        self.program.add(Opcode.VALUES, channel_stride=self.program.channel_stride, **where)
        for j in range(GROUP):
            where = {"a": SUMS + DH * j, "to": self.out(lane, head, j), "count": DH, "scalar_register": 6 + j}
            self._vector(Operation.SCALE_BY, lane, target=Target.VECTOR, **where)

    def out(self, lane: int, head: int, j: int) -> int:
        """Element of the first result of a query."""
        return OUT + DH * (HEADS * GROUP * lane + GROUP * head + j)

    def kept(self, cache: Cache) -> CacheRows:
        """What the run wrote to a cache's rows."""
        here = slice(self.position, self.position + self.tokens)
        rows = self.program.cached(cache.rows, PARAMETERS.row_bytes)
        scales = self.program.cached(cache.rows + cache.scales, 2).ravel().view("<u2").astype(np.uint16)
        assert not rows[self.position + self.tokens :].any()
        return CacheRows(8, rows[here, :DH].view(np.int8), scales[here])

    def turn(self, x: Float32, at: int) -> Float64:
        """Rope in float64."""
        return x * self.cos[at] + np.roll(x.astype(np.float64), DH // 2, axis=-1) * self.sin[at]

    def wanted(self, lane: int, head: int, j: int) -> Float64:
        """Attention of a query in float64, on the rows that the caches hold after the run."""
        keys, values = (
            np.concatenate([cache.values, self.kept(cache).values()])[: self.position + lane + 1]
            for cache in (self.keys[head], self.values[head])
        )
        score = keys @ self.turn(self.q[lane, GROUP * head + j], self.position + lane) * SCALE
        weight = np.exp(score - score.max())
        return weight @ values / weight.sum()

    def bound(self, lane: int, head: int) -> float:
        """Of the error relative to the largest value: queries and weights are off by half a unit each."""
        rows = self.position + lane + 1
        keys = np.concatenate([self.keys[head].values, self.kept(self.keys[head]).values()])[:rows]
        queries = self.turn(self.q[lane, GROUP * head : GROUP * (head + 1)], self.position + lane)
        score = 2.0**-15 * np.abs(queries).max() * np.abs(keys).sum(axis=1).max() * SCALE
        return 2 * score + 1.01 * 2.0**-15 * rows + 2e-6


@pytest.mark.parametrize(("tokens", "position"), [(1, 0), (2, 0), (1, 21), (2, 22)])
@pytest.mark.parametrize("spread", [0.1, 1.0, 4.0])
def test_attention(tokens: int, position: int, spread: float) -> None:
    """Errors relative to the largest value: within the bound of compiler/numbers/README.md, and far within."""
    case = Attention(tokens, position, spread, seed=position)
    results = case.run()
    errors = [np.zeros(DH)]
    for lane in range(tokens):
        for head in range(HEADS):
            largest = np.abs(np.concatenate([case.values[head].values, case.kept(case.values[head]).values()])).max()
            for j in range(GROUP):
                found = vector_memory(results, case.out(lane, head, j), DH)
                errors.append(np.abs(found - case.wanted(lane, head, j)) / largest)
                assert errors[-1].max() < case.bound(lane, head)
    assert (position == 0) or 1e-6 < np.max(errors) < 1.2e-4
    assert not results.flags.overflow


def test_rows_that_are_kept() -> None:
    """Values are C12's of what came; keys of what rope gives, here within one code of float64's."""
    case = Attention(2, 5, 1.0, seed=3)
    case.run()
    for head in range(HEADS):
        value = quantize_rows(case.v[:, head], 8)
        kept = case.kept(case.values[head])
        np.testing.assert_array_equal(kept.z, value.z)
        np.testing.assert_array_equal(kept.scales, value.scales)
        turned = np.stack([case.turn(case.k[lane, head], 5 + lane) for lane in range(2)])
        kept = case.kept(case.keys[head])
        steps = np.abs(kept.values() - turned) / (kept.scales.astype(np.uint32) << 16).view(np.float32)[:, None]
        assert 0.1 < steps.max() < 0.6


DEALT = [replace(PARAMETERS, channels=4, attention_channels=e, vector_lanes=2) for e in (1, 2, 4)]


@pytest.mark.parametrize("position", [*range(11), 15, 16, 17, 22])
def test_channels_that_rows_are_dealt_to_change_no_bit(position: int) -> None:
    """Every place on the chip and every row of a cache, wherever it lies; of one token and of two."""
    for tokens in (1, 2):
        cases = [Attention(tokens, position, 1.0, position, parameters) for parameters in DEALT]
        found = [case.run().state.arrays for case in cases]
        for case, places in zip(cases[1:], found[1:], strict=True):
            for place, values in found[0].items():
                if place is not Place.MEMORY:
                    np.testing.assert_array_equal(values, places[place])
            for one, other in zip(cases[0].keys + cases[0].values, case.keys + case.values, strict=True):
                for first, second, size in (
                    (one.rows, other.rows, PARAMETERS.row_bytes),
                    (one.rows + one.scales, other.rows + other.scales, 2),
                ):
                    rows = cases[0].program.cached(first, size)
                    assert rows[position : position + tokens].any()
                    np.testing.assert_array_equal(rows, case.program.cached(second, size))


def test_rows_of_a_cache_are_dealt_in_words() -> None:
    """As the contract says it, row by row; and how many of the first n each channel has."""
    p = DEALT[2]
    places = [p.row_place(t) for t in range(p.max_context)]
    assert places == [(t // 2 % 4, t // 8 * 2 + t % 2) for t in range(24)]
    for n in range(25):
        assert [p.rows_on(e, n) for e in range(4)] == [sum(c == e for c, _ in places[:n]) for e in range(4)]
    assert (p.channel_rows, replace(p, max_context=17).channel_rows, DEALT[0].channel_rows) == (6, 6, 24)
