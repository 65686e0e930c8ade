// RUN: elastix-opt %s | elastix-opt | filecheck %s
// RUN: elastix-opt %s --emit-bytecode | elastix-opt | filecheck %s

// CHECK-LABEL: func.func @linear
// CHECK: "elx.linear"(%arg0, %arg1, %arg2) : (tensor<2x64xf32>, tensor<32x64xf32>, tensor<32xf32>) -> tensor<2x32xf32>
// CHECK: "elx.linear"(%arg0, %arg1) {format = #elx.format<3 : i64, 96 : i64, "s6", "half_step">} : (tensor<2x64xf32>, tensor<32x64xf32>) -> tensor<2x32xf32>
func.func @linear(%x: tensor<2x64xf32>, %w: tensor<32x64xf32>, %b: tensor<32xf32>) {
  %0 = "elx.linear"(%x, %w, %b) : (tensor<2x64xf32>, tensor<32x64xf32>, tensor<32xf32>) -> tensor<2x32xf32>
  %1 = "elx.linear"(%x, %w) {format = #elx.format<3 : i64, 96 : i64, "s6", "half_step">}
      : (tensor<2x64xf32>, tensor<32x64xf32>) -> tensor<2x32xf32>
  return
}

// CHECK-LABEL: func.func @embedding
// CHECK: "elx.embedding"(%arg0, %arg1) : (tensor<1x4xi64>, tensor<512x64xf32>) -> tensor<1x4x64xf32>
func.func @embedding(%ids: tensor<1x4xi64>, %table: tensor<512x64xf32>) {
  %0 = "elx.embedding"(%ids, %table) : (tensor<1x4xi64>, tensor<512x64xf32>) -> tensor<1x4x64xf32>
  return
}

// CHECK-LABEL: func.func @norms
// CHECK: "elx.rms_norm"(%arg0, %arg1) {eps = 9.99999974E-6 : f32}
// CHECK: "elx.layer_norm"(%arg0, %arg1, %arg2) {eps = 9.99999974E-6 : f32}
func.func @norms(%x: tensor<1x2x64xf32>, %w: tensor<64xf32>, %b: tensor<64xf32>) {
  %0 = "elx.rms_norm"(%x, %w) {eps = 1.0e-5 : f32} : (tensor<1x2x64xf32>, tensor<64xf32>) -> tensor<1x2x64xf32>
  %1 = "elx.layer_norm"(%x, %w, %b) {eps = 1.0e-5 : f32}
      : (tensor<1x2x64xf32>, tensor<64xf32>, tensor<64xf32>) -> tensor<1x2x64xf32>
  return
}

// CHECK-LABEL: func.func @attention
// CHECK: "elx.rope"(%arg0, %arg1, %arg2) {scaling = 1.000000e+00 : f32}
// CHECK: "elx.cache_update"(%arg3, %arg4, %arg1)
// CHECK: "elx.attention"({{.*}}) {causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 0>, scale = 3.535000e-01 : f32}
// CHECK: "elx.attention"({{.*}}) {causal = false, operandSegmentSizes = array<i32: 1, 1, 1, 0, 1>, scale = 3.535000e-01 : f32}
func.func @attention(%q: tensor<1x8x1x8xf32>, %positions: tensor<1xi64>, %inv_freq: tensor<4xf32>,
                     %cache: tensor<1x4x32x8xf32>, %new: tensor<1x4x1x8xf32>, %mask: tensor<1x1x1x32xf32>) {
  %0 = "elx.rope"(%q, %positions, %inv_freq) {scaling = 1.0 : f32}
      : (tensor<1x8x1x8xf32>, tensor<1xi64>, tensor<4xf32>) -> tensor<1x8x1x8xf32>
  %1 = "elx.cache_update"(%cache, %new, %positions)
      : (tensor<1x4x32x8xf32>, tensor<1x4x1x8xf32>, tensor<1xi64>) -> tensor<1x4x32x8xf32>
  %2 = "elx.attention"(%0, %1, %1, %positions)
      {scale = 0.3535 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 0>}
      : (tensor<1x8x1x8xf32>, tensor<1x4x32x8xf32>, tensor<1x4x32x8xf32>, tensor<1xi64>) -> tensor<1x8x1x8xf32>
  %3 = "elx.attention"(%0, %1, %1, %mask)
      {scale = 0.3535 : f32, causal = false, operandSegmentSizes = array<i32: 1, 1, 1, 0, 1>}
      : (tensor<1x8x1x8xf32>, tensor<1x4x32x8xf32>, tensor<1x4x32x8xf32>, tensor<1x1x1x32xf32>) -> tensor<1x8x1x8xf32>
  return
}

// CHECK-LABEL: func.func @quantized_caches
// CHECK: "elx.hadamard"(%arg0) {scale = 1.250000e-01 : f32} : (tensor<1x8x1x8xf32>) -> tensor<1x8x1x8xf32>
// CHECK: %[[EIGHT:.*]]:2 = "elx.quantized_cache_update"(%arg1, %arg2, %arg4, %arg5)
// CHECK: %[[FOUR:.*]]:2 = "elx.quantized_cache_update"(%arg3, %arg2, %arg4, %arg5)
// CHECK: "elx.quantized_attention"({{.*}}, %[[EIGHT]]#0, %[[FOUR]]#0, %[[EIGHT]]#1, %[[FOUR]]#1, %arg5) {causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0>
// CHECK: "elx.quantized_attention"({{.*}}, %arg6, %[[FOUR]]#0, %[[FOUR]]#1) {causal = false, operandSegmentSizes = array<i32: 1, 1, 1, 0, 1, 0, 0>
func.func @quantized_caches(%q: tensor<1x8x1x8xf32>, %eight: tensor<1x4x32x8xi8>, %scales: tensor<1x4x32xbf16>,
                            %four: tensor<1x4x32x8xi4>, %new: tensor<1x4x1x8xf32>, %p: tensor<1xi64>, %k: tensor<1x4x32x8xf32>) {
  %0 = "elx.hadamard"(%q) {scale = 0.125 : f32} : (tensor<1x8x1x8xf32>) -> tensor<1x8x1x8xf32>
  %1:2 = "elx.quantized_cache_update"(%eight, %scales, %new, %p)
      : (tensor<1x4x32x8xi8>, tensor<1x4x32xbf16>, tensor<1x4x1x8xf32>, tensor<1xi64>) -> (tensor<1x4x32x8xi8>, tensor<1x4x32xbf16>)
  %2:2 = "elx.quantized_cache_update"(%four, %scales, %new, %p)
      : (tensor<1x4x32x8xi4>, tensor<1x4x32xbf16>, tensor<1x4x1x8xf32>, tensor<1xi64>) -> (tensor<1x4x32x8xi4>, tensor<1x4x32xbf16>)
  %3 = "elx.quantized_attention"(%0, %1#0, %2#0, %1#1, %2#1, %p)
      {scale = 0.5 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0>}
      : (tensor<1x8x1x8xf32>, tensor<1x4x32x8xi8>, tensor<1x4x32x8xi4>, tensor<1x4x32xbf16>, tensor<1x4x32xbf16>, tensor<1xi64>) -> tensor<1x8x1x8xf32>
  %4 = "elx.quantized_attention"(%0, %k, %2#0, %2#1)
      {scale = 0.5 : f32, causal = false, operandSegmentSizes = array<i32: 1, 1, 1, 0, 1, 0, 0>}
      : (tensor<1x8x1x8xf32>, tensor<1x4x32x8xf32>, tensor<1x4x32x8xi4>, tensor<1x4x32xbf16>) -> tensor<1x8x1x8xf32>
  return
}

// CHECK-LABEL: func.func @elementwise
// CHECK: "elx.gated_activation"(%arg0, %arg0) {kind = "silu"}
// CHECK: "elx.activation"(%arg0) {kind = "gelu_tanh"}
// CHECK: "elx.residual"(%arg0, %arg0)
// CHECK: "elx.reshape"(%arg0) : (tensor<2x12xf32>) -> tensor<2x3x4xf32>
// CHECK: "elx.transpose"({{.*}}) {permutation = array<i64: 1, 0, 2>} : (tensor<2x3x4xf32>) -> tensor<3x2x4xf32>
func.func @elementwise(%x: tensor<2x12xf32>) {
  %0 = "elx.gated_activation"(%x, %x) {kind = "silu"} : (tensor<2x12xf32>, tensor<2x12xf32>) -> tensor<2x12xf32>
  %1 = "elx.activation"(%x) {kind = "gelu_tanh"} : (tensor<2x12xf32>) -> tensor<2x12xf32>
  %2 = "elx.residual"(%x, %x) : (tensor<2x12xf32>, tensor<2x12xf32>) -> tensor<2x12xf32>
  %3 = "elx.reshape"(%x) : (tensor<2x12xf32>) -> tensor<2x3x4xf32>
  %4 = "elx.transpose"(%3) {permutation = array<i64: 1, 0, 2>} : (tensor<2x3x4xf32>) -> tensor<3x2x4xf32>
  return
}

// CHECK-LABEL: func.func @quantized
// CHECK: %0:2 = "elx.quantize"(%arg0) {activation_bits = 11 : i64} : (tensor<2x64xf32>) -> (tensor<2x64xi16>, tensor<2xi32>)
// CHECK: "elx.quantized_linear"(%0#0, %0#1, %arg1, %arg2) {format = #elx.format<8 : i64, 64 : i64, "s8", "symmetric">}
// CHECK: "elx.quantized_embedding"(%arg3, %arg1) {format = #elx.format<4 : i64, 32 : i64, "s8c8", "asymmetric">}
func.func @quantized(%x: tensor<2x64xf32>, %w: tensor<32x64xf32>, %b: tensor<32xf32>, %ids: tensor<2xi64>) {
  %q, %e = "elx.quantize"(%x) {activation_bits = 11 : i64} : (tensor<2x64xf32>) -> (tensor<2x64xi16>, tensor<2xi32>)
  %0 = "elx.quantized_linear"(%q, %e, %w, %b) {format = #elx.format<8 : i64, 64 : i64, "s8", "symmetric">}
      : (tensor<2x64xi16>, tensor<2xi32>, tensor<32x64xf32>, tensor<32xf32>) -> tensor<2x32xf32>
  %1 = "elx.quantized_embedding"(%ids, %w) {format = #elx.format<4 : i64, 32 : i64, "s8c8", "asymmetric">}
      : (tensor<2xi64>, tensor<32x64xf32>) -> tensor<2x64xf32>
  return
}
