// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p 'choose-step-processor{beat=128 lanes=2}' | filecheck %s
// RUN: echo 'module {}' | not elastix-opt -p choose-step-processor 2>&1 | filecheck %s --check-prefix=NONE

// It fires: two query heads to each of two heads of keys, rows of 16 codes, layers of 70 columns in three tiles; rope,
// silu and the arg max of a linear layer. The memories' sizes come later.
// CHECK: "epu.step_processor"() {activation_bits = 10 : i64, activations = ["silu"], attention_channels = 1 : i64, attention_lanes = 16 : i64, beat = 128 : i64, channels = 1 : i64, constant_elements = 8 : i64, crc = true, features = ["rotate", "attention", "arg_max"], fifo_beats = 256 : i64, group = 2 : i64, head_dim = 16 : i64, kv_heads = 2 : i64, lanes = 2 : i64, max_burst = 64 : i64, max_context = 32 : i64, max_tiles = 3 : i64, sym_name = "processor", vector_elements = 8 : i64, vector_lanes = 4 : i64}
// CHECK-NEXT: func.func @fires
module attributes {elx.activation_bits = 10 : i64} {
  func.func @fires(%q: tensor<1x4x1x16xf32>, %k: tensor<1x2x32x16xi8>, %s: tensor<1x2x32xbf16>, %p: tensor<1xi64>, %freq: tensor<8xf32>, %x: tensor<1x70xf32>, %w: tensor<8x70xf32>) {
    %r = "elx.rope"(%q, %p, %freq) {scaling = 1.0 : f32} : (tensor<1x4x1x16xf32>, tensor<1xi64>, tensor<8xf32>) -> tensor<1x4x1x16xf32>
    %o = "elx.quantized_attention"(%r, %k, %k, %s, %s, %p) {scale = 0.25 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0>} : (tensor<1x4x1x16xf32>, tensor<1x2x32x16xi8>, tensor<1x2x32x16xi8>, tensor<1x2x32xbf16>, tensor<1x2x32xbf16>, tensor<1xi64>) -> tensor<1x4x1x16xf32>
    %z, %e = "elx.quantize"(%x) {activation_bits = 10 : i64} : (tensor<1x70xf32>) -> (tensor<1x70xi16>, tensor<1xi32>)
    %y = "elx.quantized_linear"(%z, %e, %w) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x70xi16>, tensor<1xi32>, tensor<8x70xf32>) -> tensor<1x8xf32>
    %a = "elx.activation"(%y) {kind = "silu"} : (tensor<1x8xf32>) -> tensor<1x8xf32>
    return
  }
}

// -----

// It leaves alone: a module that names its step processor keeps it.
// CHECK: "epu.step_processor"() {{.*}}beat = 64 : i64{{.*}}sym_name = "processor"
// CHECK-NOT: epu.step_processor
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()

// -----

// It refuses: a second kind of activation.
func.func @two_activations(%q: tensor<1x1x1x8xf32>, %k: tensor<1x1x32x8xi8>, %s: tensor<1x1x32xbf16>, %p: tensor<1xi64>) {
  %o = "elx.quantized_attention"(%q, %k, %k, %s, %s, %p) {scale = 0.25 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0>} : (tensor<1x1x1x8xf32>, tensor<1x1x32x8xi8>, tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x32xbf16>, tensor<1xi64>) -> tensor<1x1x1x8xf32>
  %a = "elx.activation"(%o) {kind = "silu"} : (tensor<1x1x1x8xf32>) -> tensor<1x1x1x8xf32>
  // expected-error@+1 {{'elx.activation' op relu in a model that also uses silu; wanted: one activation, as a step processor has it; compile without --whole-step: the host computes it then, and report.md says what each crossing costs}}
  %b = "elx.activation"(%a) {kind = "relu"} : (tensor<1x1x1x8xf32>) -> tensor<1x1x1x8xf32>
  return
}

// -----

// It refuses: attention that differs from layer to layer.
func.func @two_widths(%q: tensor<1x2x1x8xf32>, %k: tensor<1x1x32x8xi8>, %s: tensor<1x1x32xbf16>, %l: tensor<1x2x32x8xi8>, %t: tensor<1x2x32xbf16>, %p: tensor<1xi64>) {
  %o = "elx.quantized_attention"(%q, %k, %k, %s, %s, %p) {scale = 0.25 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0>} : (tensor<1x2x1x8xf32>, tensor<1x1x32x8xi8>, tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x32xbf16>, tensor<1xi64>) -> tensor<1x2x1x8xf32>
  // expected-error@+1 {{'elx.quantized_attention' op 2 heads of queries and 2 of keys, 32 rows of 8 values, in a layer before 2 heads of queries and 1 of keys, 32 rows of 8 values; wanted: one shape of attention for all layers; compile without --whole-step: the host computes it then, and report.md says what each crossing costs}}
  %n = "elx.quantized_attention"(%o, %l, %l, %t, %t, %p) {scale = 0.25 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0>} : (tensor<1x2x1x8xf32>, tensor<1x2x32x8xi8>, tensor<1x2x32x8xi8>, tensor<1x2x32xbf16>, tensor<1x2x32xbf16>, tensor<1xi64>) -> tensor<1x2x1x8xf32>
  return
}

// -----

// It refuses: no attention over caches of codes, and heads of a width that no step processor has.
// NONE: a model without attention over cached keys and values of 8 bits; wanted: the decode step of a language model; compile without --whole-step
func.func @width(%q: tensor<1x1x1x12xf32>, %k: tensor<1x1x32x12xi8>, %s: tensor<1x1x32xbf16>, %p: tensor<1xi64>) {
  // expected-error@+1 {{'elx.quantized_attention' op heads of 12 values; wanted: one of 8, 16, 32, 64, 128, 256, as a step processor has it; compile without --whole-step: the host computes it then, and report.md says what each crossing costs}}
  %o = "elx.quantized_attention"(%q, %k, %k, %s, %s, %p) {scale = 0.25 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0>} : (tensor<1x1x1x12xf32>, tensor<1x1x32x12xi8>, tensor<1x1x32x12xi8>, tensor<1x1x32xbf16>, tensor<1x1x32xbf16>, tensor<1xi64>) -> tensor<1x1x1x12xf32>
  return
}
