"""Caches go on from step to step, in place where that is right and through a copy where it is not."""

from pathlib import Path

import numpy as np
import pytest
from host_modules import Floats, compile_text

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import PassFailed

HEADS, KV_HEADS, LENGTH, WIDTH = 4, 2, 6, 8
ATTENTION = """
func.func @step(%x: tensor<1x4x1x8xf32> {elx.name = "q", elx.kind = "input"},
    %k: tensor<1x1x2x8xf32> {elx.name = "k", elx.kind = "input"},
    %v: tensor<1x2x1x8xf32> {elx.name = "v", elx.kind = "input"},
    %p: tensor<1xi64> {elx.name = "positions", elx.kind = "input"},
    %kc: tensor<1x2x6x8xf32> {elx.name = "keys", elx.kind = "cache"},
    %vc: tensor<1x2x6x8xf32> {elx.name = "values", elx.kind = "cache"},
    %f: tensor<4xf32> {elx.name = "inv_freq", elx.kind = "buffer"})
    -> (tensor<1x2x6x8xf32> {elx.writes = "keys"}, tensor<1x2x6x8xf32> {elx.writes = "values"},
        tensor<1x4x8xf32> {elx.name = "y"}) {
  %0 = "elx.transpose"(%k) {permutation = array<i64: 0, 2, 1, 3>} : (tensor<1x1x2x8xf32>) -> tensor<1x2x1x8xf32>
  %1 = "elx.rope"(%0, %p, %f) {scaling = 1.0 : f32}
    : (tensor<1x2x1x8xf32>, tensor<1xi64>, tensor<4xf32>) -> tensor<1x2x1x8xf32>
  %2 = "elx.cache_update"(%kc, %1, %p)
    : (tensor<1x2x6x8xf32>, tensor<1x2x1x8xf32>, tensor<1xi64>) -> tensor<1x2x6x8xf32>
  %3 = "elx.cache_update"(%vc, %v, %p)
    : (tensor<1x2x6x8xf32>, tensor<1x2x1x8xf32>, tensor<1xi64>) -> tensor<1x2x6x8xf32>
  %4 = "elx.attention"(%x, %2, %3, %p)
      {scale = 0.5 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 0>}
    : (tensor<1x4x1x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x8xf32>, tensor<1xi64>) -> tensor<1x4x1x8xf32>
  %5 = "elx.reshape"(%4) : (tensor<1x4x1x8xf32>) -> tensor<1x4x8xf32>
  return %2, %3, %5 : tensor<1x2x6x8xf32>, tensor<1x2x6x8xf32>, tensor<1x4x8xf32>
}
"""


def rotated(x: Floats, position: int, inv_freq: Floats) -> Floats:
    angle = np.concatenate([position * inv_freq] * 2)
    half = np.concatenate([-x[..., WIDTH // 2 :], x[..., : WIDTH // 2]], -1)
    return (x * np.cos(angle) + half * np.sin(angle)).astype(np.float32)


def test_attention_over_a_growing_cache(tmp_path: Path):
    random = np.random.default_rng(1)
    inv_freq = random.random(WIDTH // 2).astype(np.float32)
    program = compile_text(ATTENTION, {"inv_freq": inv_freq}, tmp_path).program
    q, k, v = (
        random.standard_normal((LENGTH, *shape)).astype(np.float32)
        for shape in [(1, HEADS, 1, WIDTH), (1, 1, KV_HEADS, WIDTH), (1, KV_HEADS, 1, WIDTH)]
    )
    for _ in range(2):
        program.reset()
        for t in range(LENGTH):
            y = program(q=q[t], k=k[t], v=v[t], positions=np.array([t]))["y"]
            keys = np.stack([rotated(k[i, 0, 0], i, inv_freq) for i in range(t + 1)], 1).repeat(HEADS // KV_HEADS, 0)
            values = np.stack([v[i, 0, :, 0] for i in range(t + 1)], 1).repeat(HEADS // KV_HEADS, 0)
            scores = np.einsum("hd,hsd->hs", q[t, 0, :, 0], keys) * 0.5
            p = np.exp(scores - scores.max(-1, keepdims=True))
            expected = np.einsum("hs,hsd->hd", p / p.sum(-1, keepdims=True), values)
            np.testing.assert_allclose(y[0], expected, rtol=1e-4, atol=1e-5)


def test_the_callers_own_cache_is_written(tmp_path: Path):
    program = compile_text(ATTENTION, {"inv_freq": np.ones(4, np.float32)}, tmp_path).program
    ones = {name: np.ones(shape, np.float32) for name, shape in INPUTS.items()}
    mine = np.zeros((1, KV_HEADS, LENGTH, WIDTH), np.float32)
    program.run({**ones, "positions": np.array([2]), "values": mine})
    assert mine[0, :, 2].tolist() == [[1.0] * WIDTH] * KV_HEADS
    assert mine.sum() == KV_HEADS * WIDTH
    assert not program.caches["values"].any()
    with pytest.raises(ElastixError, match=r"cache 'values' is .*wanted: float32 \[1, 2, 6, 8\], dense and writable"):
        program.run({**ones, "positions": np.array([2]), "values": mine.transpose(0, 1, 3, 2)})


INPUTS = {"q": (1, HEADS, 1, WIDTH), "k": (1, 1, KV_HEADS, WIDTH), "v": (1, KV_HEADS, 1, WIDTH)}

OLD_CACHE = """
func.func @step(%n: tensor<1x1x1x2xf32> {elx.name = "new", elx.kind = "input"},
    %p: tensor<1xi64> {elx.name = "positions", elx.kind = "input"},
    %c: tensor<1x1x3x2xf32> {elx.name = "cache", elx.kind = "KIND"})
    -> (tensor<1x1x3x2xf32> {WRITES}, tensor<1x1x3x2xf32> {elx.name = "old"}, tensor<3x2xf32> {elx.name = "again"}) {
  %0 = "elx.cache_update"(%c, %n, %p)
    : (tensor<1x1x3x2xf32>, tensor<1x1x1x2xf32>, tensor<1xi64>) -> tensor<1x1x3x2xf32>
  %1 = "elx.activation"(%c) {kind = "relu"} : (tensor<1x1x3x2xf32>) -> tensor<1x1x3x2xf32>
  %2 = "elx.reshape"(%0) : (tensor<1x1x3x2xf32>) -> tensor<3x2xf32>
  return %0, %1, %2 : tensor<1x1x3x2xf32>, tensor<1x1x3x2xf32>, tensor<3x2xf32>
}
"""


def test_an_old_cache_that_is_read_later_is_kept(tmp_path: Path):
    text = OLD_CACHE.replace("KIND", "cache").replace("WRITES", 'elx.writes = "cache"')
    program = compile_text(text, {}, tmp_path).program
    expected = np.zeros((3, 2), np.float32)
    for position in (0, 2):
        new = np.full((1, 1, 1, 2), position + 1, np.float32)
        outputs = program(new=new, positions=np.array([position]))
        assert outputs["old"][0, 0].tolist() == expected.tolist()
        expected[position] = position + 1
        assert outputs["again"].tolist() == expected.tolist()
        assert program.caches["cache"][0, 0].tolist() == expected.tolist()


def test_an_input_is_never_written(tmp_path: Path):
    text = OLD_CACHE.replace("KIND", "input").replace("WRITES", 'elx.name = "updated"')
    program = compile_text(text, {}, tmp_path).program
    cache = np.ones((1, 1, 3, 2), np.float32)
    outputs = program(new=np.full((1, 1, 1, 2), 5, np.float32), positions=np.array([1]), cache=cache)
    assert outputs["updated"][0, 0].tolist() == [[1, 1], [5, 5], [1, 1]]
    assert outputs["again"].tolist() == [[1, 1], [5, 5], [1, 1]]
    assert (cache == 1).all()


EXCHANGE = """
func.func @step(%a: tensor<2xf32> {elx.name = "a", elx.kind = "cache"},
    %b: tensor<2xf32> {elx.name = "b", elx.kind = "cache"})
    -> (tensor<2xf32> {elx.writes = "b"}, tensor<2xf32> {elx.writes = "a"}) {
  return %a, %b : tensor<2xf32>, tensor<2xf32>
}
"""


def test_caches_that_change_places_are_refused(tmp_path: Path):
    with pytest.raises(PassFailed, match="cache b is to get what cache a holds"):
        compile_text(EXCHANGE, {}, tmp_path)
