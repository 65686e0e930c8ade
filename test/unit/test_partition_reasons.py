"""Why each op runs where it runs, counted, until it reaches the report."""

from elastix.compiler.ir import new_context, parse, run_passes
from elastix.compiler.report import reason_table
from elastix.passes.s4_partition.partition import reasons

STEP = """
"epu.processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 2,
                   max_burst = 64, fifo_beats = 256, crc = true} : () -> ()
func.func @step(%x: tensor<1x64xf32>, %w: tensor<64x64xf32> {elx.name = "w", elx.kind = "weight"},
                %u: tensor<4x64xf32> {elx.name = "u", elx.kind = "weight"}) -> (tensor<1x64xf32>, tensor<1x4xf32>) {
  %q, %e = "elx.quantize"(%x) {activation_bits = 11} : (tensor<1x64xf32>) -> (tensor<1x64xi16>, tensor<1xi32>)
  %0 = "elx.quantized_linear"(%q, %e, %w) {format = #elx.format<4, 32, "s8", "symmetric">}
      : (tensor<1x64xi16>, tensor<1xi32>, tensor<64x64xf32>) -> tensor<1x64xf32>
  %1 = torch_c.from_builtin_tensor %0 : tensor<1x64xf32> -> !torch.vtensor<[1,64],f32>
  %2 = torch.aten.sin %1 : !torch.vtensor<[1,64],f32> -> !torch.vtensor<[1,64],f32>
  %3 = torch_c.to_builtin_tensor %2 : !torch.vtensor<[1,64],f32> -> tensor<1x64xf32>
  %4 = "elx.activation"(%3) {kind = "relu"} : (tensor<1x64xf32>) -> tensor<1x64xf32>
  %5 = torch_c.from_builtin_tensor %4 : tensor<1x64xf32> -> !torch.vtensor<[1,64],f32>
  %6 = torch.aten.sin %5 : !torch.vtensor<[1,64],f32> -> !torch.vtensor<[1,64],f32>
  %7 = torch_c.to_builtin_tensor %6 : !torch.vtensor<[1,64],f32> -> tensor<1x64xf32>
  %8 = "elx.linear"(%7, %u) : (tensor<1x64xf32>, tensor<4x64xf32>) -> tensor<1x4xf32>
  return %7, %8 : tensor<1x64xf32>, tensor<1x4xf32>
}
"""
FOUND = {
    ("elx.quantize", "host", "the host quantizes activations as it uploads them"): 1,
    ("elx.quantized_linear", "processor", "4b g32 s8 symmetric, 2 tiles of the processor's 2"): 1,
    ("elx.activation", "host", "the processor multiplies matrices only"): 1,
    ("torch.aten.sin", "host", "no elx op covers it"): 2,
}


def test_reasons_are_counted_before_and_after_outlining():
    module = parse(STEP, context=new_context())
    run_passes(module, "partition")
    assert reasons(module) == {**FOUND, ("elx.linear", "host", "no weight format was chosen"): 1}
    run_passes(module, "elx-to-torch,outline-torch")
    assert reasons(module) == {**FOUND, ("torch.aten.linear", "host", "no weight format was chosen"): 1}


def test_the_reports_table_names_what_is_most_first():
    assert reason_table(FOUND)[2:] == [
        "| 2 | `torch.aten.sin` | host | no elx op covers it |",
        "| 1 | `elx.activation` | host | the processor multiplies matrices only |",
        "| 1 | `elx.quantize` | host | the host quantizes activations as it uploads them |",
        "| 1 | `elx.quantized_linear` | processor | 4b g32 s8 symmetric, 2 tiles of the processor's 2 |",
    ]
