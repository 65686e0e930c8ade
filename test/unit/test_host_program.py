"""Small models of elx ops, lowered, packed and called: the numbers are numpy's, the bits are every engine's."""

from pathlib import Path

import numpy as np
import pytest
from host_modules import Floats, compile_text

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers import oracle

LINEAR = '{format = #elx.format<8, 64, "s8", "symmetric">}'
MLP = f"""
func.func @step(%x: tensor<1x3x64xf32> {{elx.name = "x", elx.kind = "input"}},
    %n: tensor<64xf32> {{elx.name = "norm", elx.kind = "weight"}},
    %g: tensor<90x64xf32> {{elx.name = "gate.weight", elx.kind = "weight"}},
    %u: tensor<90x64xf32> {{elx.name = "up.weight", elx.kind = "weight"}},
    %d: tensor<64x90xf32> {{elx.name = "down.weight", elx.kind = "weight"}},
    %b: tensor<64xf32> {{elx.name = "down.bias", elx.kind = "weight"}})
    -> (tensor<1x3x64xf32> {{elx.name = "y"}}, tensor<1x3x64xf32> {{elx.name = "h"}}) {{
  %h = "elx.rms_norm"(%x, %n) {{eps = 1.0e-5 : f32}} : (tensor<1x3x64xf32>, tensor<64xf32>) -> tensor<1x3x64xf32>
  %q, %e = "elx.quantize"(%h) {{activation_bits = 11}} : (tensor<1x3x64xf32>) -> (tensor<1x3x64xi16>, tensor<1x3xi32>)
  %1 = "elx.quantized_linear"(%q, %e, %g) {LINEAR}
    : (tensor<1x3x64xi16>, tensor<1x3xi32>, tensor<90x64xf32>) -> tensor<1x3x90xf32>
  %2 = "elx.quantized_linear"(%q, %e, %u) {LINEAR}
    : (tensor<1x3x64xi16>, tensor<1x3xi32>, tensor<90x64xf32>) -> tensor<1x3x90xf32>
  %3 = "elx.gated_activation"(%1, %2) {{kind = "silu"}}
    : (tensor<1x3x90xf32>, tensor<1x3x90xf32>) -> tensor<1x3x90xf32>
  %p, %f = "elx.quantize"(%3) {{activation_bits = 11}} : (tensor<1x3x90xf32>) -> (tensor<1x3x90xi16>, tensor<1x3xi32>)
  %4 = "elx.quantized_linear"(%p, %f, %d, %b) {LINEAR}
    : (tensor<1x3x90xi16>, tensor<1x3xi32>, tensor<64x90xf32>, tensor<64xf32>) -> tensor<1x3x64xf32>
  %5 = "elx.residual"(%x, %4) : (tensor<1x3x64xf32>, tensor<1x3x64xf32>) -> tensor<1x3x64xf32>
  return %5, %h : tensor<1x3x64xf32>, tensor<1x3x64xf32>
}}
"""


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> Floats:
    """Normal numbers, the same for the same shape and seed."""
    return (np.random.default_rng([seed, *shape]).standard_normal(shape) * scale).astype(np.float32)


def mlp_weights() -> dict[str, Floats]:
    return {
        "norm": random(64),
        "gate.weight": random(90, 64, scale=0.1),
        "up.weight": random(90, 64, seed=1, scale=0.1),
        "down.weight": random(64, 90, scale=0.1),
        "down.bias": random(64, seed=2),
    }


def test_an_mlp_is_numpys(tmp_path: Path):
    weights, x = mlp_weights(), random(1, 3, 64)
    outputs = compile_text(MLP, weights, tmp_path).program(x=x)
    h = x / np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True) + 1e-5) * weights["norm"]
    gate, up = h @ weights["gate.weight"].T, h @ weights["up.weight"].T
    y = x + (gate / (1 + np.exp(-gate)) * up) @ weights["down.weight"].T + weights["down.bias"]
    assert list(outputs) == ["y", "h"]
    np.testing.assert_allclose(outputs["h"], h, rtol=1e-6)
    np.testing.assert_allclose(outputs["y"], y, atol=0.01 * np.abs(y).max())


@pytest.mark.parametrize(("beat", "lanes", "channels"), [(64, 2, 1), (128, 1, 2), (512, 4, 3)])
def test_bits_do_not_depend_on_the_processor(tmp_path: Path, beat: int, lanes: int, channels: int):
    x = random(1, 3, 64)
    expected = compile_text(MLP, mlp_weights(), tmp_path).program(x=x)
    found = compile_text(MLP, mlp_weights(), tmp_path, beat=beat, lanes=lanes, channels=channels).program(x=x)
    assert found["y"].tobytes() == expected["y"].tobytes()


def test_the_oracle_gives_the_same_bits(tmp_path: Path):
    x, program = random(1, 3, 64), compile_text(MLP, mlp_weights(), tmp_path, lanes=2).program
    expected = program(x=x)["y"].tobytes()
    launches: list[int] = []

    def engine(memory: oracle.Memory, descriptor: int) -> None:
        launches.append(descriptor)
        oracle.run(memory, descriptor, program.manifest.processor)

    program.device.set_engine(engine)
    assert program(x=x)["y"].tobytes() == expected
    assert len(launches) == 3 * 2, "three layers of three tokens on two lanes"


def test_a_planted_fault_in_the_weights_is_an_error_and_stays(tmp_path: Path):
    program = compile_text(MLP, mlp_weights(), tmp_path).program
    program.device.memory[program.manifest.layers[1].address + 100] ^= 4
    program.device.invalidate()
    for _ in range(2):
        with pytest.raises(ElastixError, match="CRC"):
            program(x=random(1, 3, 64))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "no input 'x'; wanted: float32 [1, 3, 64]"),
        ({"x": random(3, 64)}, "input 'x' is float32 [3, 64]; wanted: float32 [1, 3, 64]"),
        ({"x": random(1, 3, 64) > 0, "y": random(1)}, "an input 'y'; wanted: x"),
        ({"x": np.zeros((1, 3, 64), np.complex64)}, "input 'x' is complex64 [1, 3, 64]; wanted: float32 [1, 3, 64]"),
    ],
)
def test_a_wrong_input_is_named(tmp_path: Path, inputs: dict[str, Floats], message: str):
    program = compile_text(MLP, mlp_weights(), tmp_path).program
    with pytest.raises(ElastixError) as caught:
        program.run(inputs)
    assert str(caught.value) == message


EMBEDDINGS = """
func.func @step(%i: tensor<2xi64> {elx.name = "ids", elx.kind = "input"},
    %t: tensor<40x64xf32> {elx.name = "table", elx.kind = "weight"},
    %s: tensor<30x64xf32> {elx.name = "second", elx.kind = "weight"})
    -> (tensor<2x64xf32> {elx.name = "rows"}, tensor<2x64xf32> {elx.name = "others"},
        tensor<2x40xf32> {elx.name = "y"}) {
  %0 = "elx.quantized_embedding"(%i, %t) FORMAT : (tensor<2xi64>, tensor<40x64xf32>) -> tensor<2x64xf32>
  %1 = "elx.quantized_embedding"(%i, %s) FORMAT : (tensor<2xi64>, tensor<30x64xf32>) -> tensor<2x64xf32>
  %q, %e = "elx.quantize"(%0) {activation_bits = 11} : (tensor<2x64xf32>) -> (tensor<2x64xi16>, tensor<2xi32>)
  %2 = "elx.quantized_linear"(%q, %e, %t) FORMAT
    : (tensor<2x64xi16>, tensor<2xi32>, tensor<40x64xf32>) -> tensor<2x40xf32>
  return %0, %1, %2 : tensor<2x64xf32>, tensor<2x64xf32>, tensor<2x40xf32>
}
""".replace("FORMAT", LINEAR)


def test_embeddings_read_the_packed_image_and_tied_ones_share_it(tmp_path: Path):
    weights = {"table": random(40, 64), "second": random(30, 64)}
    program = compile_text(EMBEDDINGS, weights, tmp_path).program
    assert [layer.weight for layer in program.manifest.layers] == ["table", "second"]
    ids = np.array([29, 7])
    outputs = program(ids=ids)
    np.testing.assert_allclose(outputs["rows"], weights["table"][ids], atol=0.02)
    np.testing.assert_allclose(outputs["others"], weights["second"][ids], atol=0.02)
    np.testing.assert_allclose(outputs["y"], outputs["rows"] @ weights["table"].T, atol=0.5)


TORCH = """
func.func @step(%x: tensor<2x8xf32> {elx.name = "x", elx.kind = "input"},
    %m: tensor<2x8xi1> {elx.name = "mask", elx.kind = "input"},
    %w: tensor<5x8xf32> {elx.name = "w", elx.kind = "weight"},
    %c: tensor<2x8xf32> {elx.name = "scale", elx.kind = "buffer"})
    -> (tensor<2x5xf32> {elx.name = "y"}, tensor<2x8xf32> {elx.name = "z"}) {
  %0 = torch_c.from_builtin_tensor %x : tensor<2x8xf32> -> !torch.vtensor<[2,8],f32>
  %1 = torch_c.from_builtin_tensor %c : tensor<2x8xf32> -> !torch.vtensor<[2,8],f32>
  %2 = torch.aten.mul.Tensor %0, %1 : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %3 = torch.aten.sin %2 : !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %4 = torch_c.to_builtin_tensor %3 : !torch.vtensor<[2,8],f32> -> tensor<2x8xf32>
  %5 = "elx.residual"(%4, %x) : (tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
  %6 = "elx.linear"(%5, %w) : (tensor<2x8xf32>, tensor<5x8xf32>) -> tensor<2x5xf32>
  %7 = torch_c.from_builtin_tensor %m : tensor<2x8xi1> -> !torch.vtensor<[2,8],i1>
  %8 = torch_c.from_builtin_tensor %5 : tensor<2x8xf32> -> !torch.vtensor<[2,8],f32>
  %9 = torch.aten.where.self %7, %8, %0
    : !torch.vtensor<[2,8],i1>, !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %10 = torch_c.to_builtin_tensor %9 : !torch.vtensor<[2,8],f32> -> tensor<2x8xf32>
  return %6, %10 : tensor<2x5xf32>, tensor<2x8xf32>
}
"""


def test_torch_ops_and_float_layers_run_on_the_host(tmp_path: Path):
    weights = {"w": random(5, 8), "scale": random(2, 8)}
    x, mask = random(2, 8, seed=3), random(2, 8) > 0
    outputs = compile_text(TORCH, weights, tmp_path).program(x=x, mask=mask)
    h = np.sin(x * weights["scale"]) + x
    np.testing.assert_allclose(outputs["y"], h @ weights["w"].T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs["z"], np.where(mask, h, x), rtol=1e-6)


OTHERS = """
func.func @step(%x: tensor<2x3x8xf32> {elx.name = "x", elx.kind = "input"},
    %w: tensor<8xf32> {elx.name = "w", elx.kind = "weight"}, %b: tensor<8xf32> {elx.name = "b", elx.kind = "weight"})
    -> (tensor<8x2x3xf32> {elx.name = "y"}, tensor<2x3x8xf32> {elx.name = "same"}, tensor<3xi64> {elx.name = "c"}) {
  %0 = "elx.layer_norm"(%x, %w, %b) {eps = 1.0e-5 : f32}
    : (tensor<2x3x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<2x3x8xf32>
  %1 = "elx.activation"(%0) {kind = "relu"} : (tensor<2x3x8xf32>) -> tensor<2x3x8xf32>
  %2 = "elx.transpose"(%1) {permutation = array<i64: 2, 0, 1>} : (tensor<2x3x8xf32>) -> tensor<8x2x3xf32>
  %c = arith.constant dense<[3, 1, 2]> : tensor<3xi64>
  return %2, %x, %c : tensor<8x2x3xf32>, tensor<2x3x8xf32>, tensor<3xi64>
}
"""


def test_other_kernels_inputs_given_back_and_constants(tmp_path: Path):
    x, weights = random(2, 3, 8), {"w": random(8), "b": random(8, seed=1)}
    outputs = compile_text(OTHERS, weights, tmp_path).program(x=x)
    centred = x - x.mean(-1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * weights["w"] + weights["b"]
    np.testing.assert_allclose(outputs["y"], np.maximum(normed, 0).transpose(2, 0, 1), rtol=1e-4, atol=1e-6)
    assert outputs["same"].tobytes() == x.tobytes()
    assert outputs["c"].tolist() == [3, 1, 2]
