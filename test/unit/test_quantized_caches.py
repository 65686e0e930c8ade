"""Caches of codes in a compiled step: what they hold is C12's, what comes out is near the float step's."""

from pathlib import Path

import numpy as np
import pytest
from host_modules import PROCESSOR, Floats, launches
from test_host_caches import ATTENTION, HEADS, KV_HEADS, LENGTH, WIDTH

from elastix.compiler.describe import describe
from elastix.compiler.host_program import HostProgram, llvm_module
from elastix.compiler.image import write_image
from elastix.compiler.importer.store import ArrayStore
from elastix.compiler.ir import new_context, parse, run_passes
from elastix.compiler.numbers.cache import hadamard, quantize_rows
from elastix.compiler.options import CompileOptions
from elastix.compiler.pipeline import passes_of
from elastix.compiler.program import assemble, image_layout
from elastix.compiler.program_runner import Program
from elastix.passes.s3_precision.quantize_caches import quantize_caches


def compiled(text: str, weights: dict[str, Floats], folder: Path, key_bits: int, value_bits: int) -> Program:
    with new_context():
        module = parse(PROCESSOR % (64, 11, 1, 1) + text)
        chosen = quantize_caches.with_options(key_bits=key_bits, value_bits=value_bits)
        run_passes(module, [chosen, *launches()])
        write_image(folder / "weights.bin", image_layout(module), ArrayStore(weights))
        manifest, binary = describe(module), assemble(module)
        run_passes(module, passes_of("s7_host", CompileOptions()))
        return Program(manifest, HostProgram(llvm_module(module)), folder / "weights.bin", binary)


@pytest.mark.parametrize(("key_bits", "value_bits", "error"), [(8, 8, 0.02), (32, 4, 0.25), (4, 32, 0.5), (4, 4, 0.6)])
def test_a_growing_cache(tmp_path: Path, key_bits: int, value_bits: int, error: float):
    random = np.random.default_rng(1)
    weights = {"inv_freq": np.zeros(WIDTH // 2, np.float32)}  # rope turns nothing: keys are the rows given
    program = compiled(ATTENTION, weights, tmp_path, key_bits, value_bits)
    wanted = {
        name: array
        for part, bits in (("keys", key_bits), ("values", value_bits))
        for name, array in {
            part: np.zeros((1, KV_HEADS, LENGTH, WIDTH * bits // 8), np.uint8),
            f"{part}.scale": np.zeros((1, KV_HEADS, LENGTH), np.uint16),
        }.items()
        if bits < 32 or name == part
    }
    assert sorted(program.caches) == sorted(wanted)
    q = random.standard_normal((LENGTH, 1, HEADS, 1, WIDTH)).astype(np.float32)
    k = random.standard_normal((LENGTH, 1, 1, KV_HEADS, WIDTH)).astype(np.float32)
    v = random.standard_normal((LENGTH, 1, KV_HEADS, 1, WIDTH)).astype(np.float32)
    y, expected = np.zeros(0), np.zeros(0)
    for t in range(LENGTH):
        y = program(q=q[t], k=k[t], v=v[t], positions=np.array([t]))["y"]
        for part, rows, bits in (("keys", k[t, 0, 0], key_bits), ("values", v[t, 0, :, 0], value_bits)):
            if bits == 32:
                wanted[part][0, :, t] = rows.view(np.uint8)
                continue
            kept = quantize_rows(hadamard(rows, 1.0) if part == "keys" or bits == 4 else rows, bits)
            wanted[part][0, :, t], wanted[f"{part}.scale"][0, :, t] = kept.codes(), kept.scales
        for name, cache in program.caches.items():
            np.testing.assert_array_equal(cache.view(np.uint8), wanted[name].view(np.uint8), err_msg=name)
        groups = HEADS // KV_HEADS
        keys, values = k[: t + 1, 0, 0].repeat(groups, 1), v[: t + 1, 0, :, 0].repeat(groups, 1)
        p = np.exp(np.einsum("hd,shd->hs", q[t, 0, :, 0], keys) * 0.5)
        expected = np.einsum("hs,shd->hd", p / p.sum(-1, keepdims=True), values)
        assert np.abs(y[0] - expected).max() < error
    assert not np.array_equal(y[0], expected)
    program.reset()
    assert not any(cache.any() for cache in program.caches.values())


def test_the_old_cache_is_kept_where_it_is_read_later(tmp_path: Path):
    """Two updates of one old cache: codes and scales of the second are a copy, written beside the first."""
    text = """
func.func @step(%n: tensor<1x1x1x2xf32> {elx.name = "new", elx.kind = "input"},
    %q: tensor<1x1x1x2xf32> {elx.name = "q", elx.kind = "input"},
    %p: tensor<1xi64> {elx.name = "positions", elx.kind = "input"},
    %c: tensor<1x1x3x2xi8> {elx.name = "cache", elx.kind = "cache"},
    %s: tensor<1x1x3xbf16> {elx.name = "scales", elx.kind = "cache"})
    -> (tensor<1x1x3x2xi8> {elx.writes = "cache"}, tensor<1x1x3xbf16> {elx.writes = "scales"},
        tensor<1x1x1x2xf32> {elx.name = "old"}, tensor<1x1x1x2xf32> {elx.name = "now"}) {
  %0:2 = "elx.quantized_cache_update"(%c, %s, %n, %p)
    : (tensor<1x1x3x2xi8>, tensor<1x1x3xbf16>, tensor<1x1x1x2xf32>, tensor<1xi64>)
    -> (tensor<1x1x3x2xi8>, tensor<1x1x3xbf16>)
  %1 = "elx.quantized_attention"(%q, %c, %c, %s, %s)
    {scale = 1.0 : f32, causal = false, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0, 0>}
    : (tensor<1x1x1x2xf32>, tensor<1x1x3x2xi8>, tensor<1x1x3x2xi8>, tensor<1x1x3xbf16>, tensor<1x1x3xbf16>)
    -> tensor<1x1x1x2xf32>
  %2 = "elx.quantized_attention"(%q, %0#0, %0#0, %0#1, %0#1)
    {scale = 1.0 : f32, causal = false, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0, 0>}
    : (tensor<1x1x1x2xf32>, tensor<1x1x3x2xi8>, tensor<1x1x3x2xi8>, tensor<1x1x3xbf16>, tensor<1x1x3xbf16>)
    -> tensor<1x1x1x2xf32>
  return %0#0, %0#1, %1, %2 : tensor<1x1x3x2xi8>, tensor<1x1x3xbf16>, tensor<1x1x1x2xf32>, tensor<1x1x1x2xf32>
}
"""
    program = compiled(text, {}, tmp_path, 8, 8)
    before = np.zeros((1, 1, 1, 2), np.float32)
    for position in (0, 2, 1):
        new = np.full((1, 1, 1, 2), position + 1, np.float32)
        outputs = program(new=new, q=np.zeros((1, 1, 1, 2), np.float32), positions=np.array([position]))
        np.testing.assert_array_equal(outputs["old"], before)
        before = outputs["now"]
    kept = quantize_rows(np.float32([[1, 1], [2, 2], [3, 3]]), 8)
    np.testing.assert_array_equal(program.caches["cache"][0, 0], kept.z)
    np.testing.assert_array_equal(program.caches["scales"][0, 0], kept.scales)
    np.testing.assert_allclose(before, 2, rtol=0.01)
