// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p quantize-linears | filecheck %s

// It fires: one quantize for all that read a tensor at the same number of bits; the bias goes along.
// CHECK-LABEL: func.func @fires
// CHECK: %[[X:.*]] = "elx.quantized_embedding"(%arg0, %arg1) {format = #elx.format<8 : i64, 64 : i64, "s8", "symmetric">} : (tensor<1x3xi64>, tensor<100x64xf32>) -> tensor<1x3x64xf32>
// CHECK: %[[Q:.*]]:2 = "elx.quantize"(%[[X]]) {activation_bits = 10 : i64} : (tensor<1x3x64xf32>) -> (tensor<1x3x64xi16>, tensor<1x3xi32>)
// CHECK: "elx.quantized_linear"(%[[Q]]#0, %[[Q]]#1, %arg2, %arg3) {format = #elx.format<2 : i64, 32 : i64, "s6", "half_step">}
// CHECK-NOT: elx.quantize"
// CHECK: "elx.quantized_linear"(%[[Q]]#0, %[[Q]]#1, %arg1) {format = #elx.format<8 : i64, 64 : i64, "s8", "symmetric">}
// CHECK: %[[FEW:.*]]:2 = "elx.quantize"(%[[X]]) {activation_bits = 9 : i64}
// CHECK: "elx.quantized_linear"(%[[FEW]]#0, %[[FEW]]#1, %arg2)
module attributes {elx.activation_bits = 10 : i64} {
  func.func @fires(%ids: tensor<1x3xi64> {elx.name = "ids", elx.kind = "input"},
                   %e: tensor<100x64xf32> {elx.name = "tied", elx.kind = "weight"},
                   %w: tensor<32x64xf32> {elx.name = "w", elx.kind = "weight"},
                   %b: tensor<32xf32> {elx.name = "b", elx.kind = "weight"}) -> (tensor<1x3x32xf32>, tensor<1x3x100xf32>, tensor<1x3x32xf32>) {
    %x = "elx.embedding"(%ids, %e) {format = #elx.format<8, 64, "s8", "symmetric">} : (tensor<1x3xi64>, tensor<100x64xf32>) -> tensor<1x3x64xf32>
    %y = "elx.linear"(%x, %w, %b) {format = #elx.format<2, 32, "s6", "half_step">} : (tensor<1x3x64xf32>, tensor<32x64xf32>, tensor<32xf32>) -> tensor<1x3x32xf32>
    %z = "elx.linear"(%x, %e) {format = #elx.format<8, 64, "s8", "symmetric">} : (tensor<1x3x64xf32>, tensor<100x64xf32>) -> tensor<1x3x100xf32>
    %few = "elx.linear"(%x, %w) {format = #elx.format<2, 32, "s6", "half_step">, activation_bits = 9 : i64} : (tensor<1x3x64xf32>, tensor<32x64xf32>) -> tensor<1x3x32xf32>
    return %y, %z, %few : tensor<1x3x32xf32>, tensor<1x3x100xf32>, tensor<1x3x32xf32>
  }
}

// -----

// It leaves alone: a linear layer without a format stays in floating point.
// CHECK-LABEL: func.func @leaves_alone
// CHECK: "elx.linear"
// CHECK-NOT: quantize
func.func @leaves_alone(%x: tensor<3x64xf32>, %w: tensor<32x64xf32> {elx.name = "w", elx.kind = "weight"}) -> tensor<3x32xf32> {
  %y = "elx.linear"(%x, %w) : (tensor<3x64xf32>, tensor<32x64xf32>) -> tensor<3x32xf32>
  return %y : tensor<3x32xf32>
}

// -----

// It refuses: a weight that no packer can find.
module attributes {elx.activation_bits = 11 : i64} {
  func.func @refuses_computed(%x: tensor<3x64xf32>) -> tensor<3x3xf32> {
    // expected-error @+1 {{'elx.linear' op a format on a weight that is computed; wanted: an argument that the store holds}}
    %y = "elx.linear"(%x, %x) {format = #elx.format<8, 64, "s8", "symmetric">} : (tensor<3x64xf32>, tensor<3x64xf32>) -> tensor<3x3xf32>
    return %y : tensor<3x3xf32>
  }
}

// -----

// It refuses: one weight cannot be packed twice.
module attributes {elx.activation_bits = 11 : i64} {
  func.func @refuses_two_formats(%x: tensor<3x64xf32>, %w: tensor<3x64xf32> {elx.name = "w", elx.kind = "weight"}) -> tensor<3x3xf32> {
    %y = "elx.linear"(%x, %w) {format = #elx.format<8, 64, "s8", "symmetric">} : (tensor<3x64xf32>, tensor<3x64xf32>) -> tensor<3x3xf32>
    // expected-error @+1 {{w in format 4b g64 s8 symmetric; wanted: 8b g64 s8 symmetric, as where it is read first}}
    %z = "elx.linear"(%x, %w) {format = #elx.format<4, 64, "s8", "symmetric">} : (tensor<3x64xf32>, tensor<3x64xf32>) -> tensor<3x3xf32>
    return %z : tensor<3x3xf32>
  }
}
