// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p rotate-values | filecheck %s

// It fires: two heads of values, in a cache, four of queries; v's weight and bias and the weight after are rotated.
// CHECK-LABEL: func.func @fires
// CHECK-SAME: %[[V:arg[0-9]+]]: tensor<16x64xf32> {elx.kind = "weight", elx.name = "v.T@{H8x2}.T"}
// CHECK-SAME: %[[B:arg[0-9]+]]: tensor<16xf32> {elx.kind = "weight", elx.name = "b@{H8x2}"}
// CHECK-SAME: %[[O:arg[0-9]+]]: tensor<64x32xf32> {elx.kind = "weight", elx.name = "o@{H8x4}"}
// CHECK: "elx.linear"(%{{.*}}, %[[V]], %[[B]])
// CHECK: "elx.attention"
// CHECK: "elx.linear"(%{{.*}}, %[[O]])
func.func @fires(%x: tensor<1x3x64xf32> {elx.name = "x", elx.kind = "input"},
                 %p: tensor<3xi64> {elx.name = "p", elx.kind = "input"},
                 %q: tensor<1x4x3x8xf32> {elx.name = "q", elx.kind = "input"},
                 %k: tensor<1x2x16x8xf32> {elx.name = "k", elx.kind = "input"},
                 %cache: tensor<1x2x16x8xf32> {elx.name = "cache", elx.kind = "cache"},
                 %v: tensor<16x64xf32> {elx.name = "v", elx.kind = "weight"},
                 %b: tensor<16xf32> {elx.name = "b", elx.kind = "weight"},
                 %o: tensor<64x32xf32> {elx.name = "o", elx.kind = "weight"}) -> (tensor<1x2x16x8xf32> {elx.writes = "cache"}, tensor<1x3x64xf32>) {
  %0 = "elx.linear"(%x, %v, %b) : (tensor<1x3x64xf32>, tensor<16x64xf32>, tensor<16xf32>) -> tensor<1x3x16xf32>
  %1 = "elx.reshape"(%0) : (tensor<1x3x16xf32>) -> tensor<1x3x2x8xf32>
  %2 = "elx.transpose"(%1) {permutation = array<i64: 0, 2, 1, 3>} : (tensor<1x3x2x8xf32>) -> tensor<1x2x3x8xf32>
  %3 = "elx.cache_update"(%cache, %2, %p) : (tensor<1x2x16x8xf32>, tensor<1x2x3x8xf32>, tensor<3xi64>) -> tensor<1x2x16x8xf32>
  %4 = "elx.attention"(%q, %k, %3, %p) {scale = 1.0 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 0>} : (tensor<1x4x3x8xf32>, tensor<1x2x16x8xf32>, tensor<1x2x16x8xf32>, tensor<3xi64>) -> tensor<1x4x3x8xf32>
  %5 = "elx.transpose"(%4) {permutation = array<i64: 0, 2, 1, 3>} : (tensor<1x4x3x8xf32>) -> tensor<1x3x4x8xf32>
  %6 = "elx.reshape"(%5) : (tensor<1x3x4x8xf32>) -> tensor<1x3x32xf32>
  %7 = "elx.linear"(%6, %o) : (tensor<1x3x32xf32>, tensor<64x32xf32>) -> tensor<1x3x64xf32>
  return %3, %7 : tensor<1x2x16x8xf32>, tensor<1x3x64xf32>
}

// -----

// It leaves alone: values that the caller sees too, and a result that is cut across heads.
// CHECK-LABEL: func.func @leaves_alone
// CHECK-NOT: @{
// CHECK: return
func.func @leaves_alone(%x: tensor<1x3x64xf32> {elx.name = "x", elx.kind = "input"},
                        %q: tensor<1x2x3x8xf32> {elx.name = "q", elx.kind = "input"},
                        %v: tensor<16x64xf32> {elx.name = "v", elx.kind = "weight"},
                        %w: tensor<64x16xf32> {elx.name = "w", elx.kind = "weight"},
                        %o: tensor<64x4xf32> {elx.name = "o", elx.kind = "weight"}) -> (tensor<1x3x16xf32>, tensor<1x3x64xf32>, tensor<1x12x64xf32>) {
  %0 = "elx.linear"(%x, %v) : (tensor<1x3x64xf32>, tensor<16x64xf32>) -> tensor<1x3x16xf32>
  %1 = "elx.reshape"(%0) : (tensor<1x3x16xf32>) -> tensor<1x3x2x8xf32>
  %2 = "elx.transpose"(%1) {permutation = array<i64: 0, 2, 1, 3>} : (tensor<1x3x2x8xf32>) -> tensor<1x2x3x8xf32>
  %3 = "elx.attention"(%q, %q, %2) {scale = 1.0 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>} : (tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>) -> tensor<1x2x3x8xf32>
  %4 = "elx.transpose"(%3) {permutation = array<i64: 0, 2, 1, 3>} : (tensor<1x2x3x8xf32>) -> tensor<1x3x2x8xf32>
  %5 = "elx.reshape"(%4) : (tensor<1x3x2x8xf32>) -> tensor<1x3x16xf32>
  %6 = "elx.linear"(%5, %w) : (tensor<1x3x16xf32>, tensor<64x16xf32>) -> tensor<1x3x64xf32>
  %7 = "elx.linear"(%x, %v) : (tensor<1x3x64xf32>, tensor<16x64xf32>) -> tensor<1x3x16xf32>
  %8 = "elx.reshape"(%7) : (tensor<1x3x16xf32>) -> tensor<1x2x3x8xf32>
  %9 = "elx.attention"(%q, %q, %8) {scale = 1.0 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>} : (tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>) -> tensor<1x2x3x8xf32>
  %10 = "elx.reshape"(%9) : (tensor<1x2x3x8xf32>) -> tensor<1x12x4xf32>
  %11 = "elx.linear"(%10, %o) : (tensor<1x12x4xf32>, tensor<64x4xf32>) -> tensor<1x12x64xf32>
  return %0, %6, %11 : tensor<1x3x16xf32>, tensor<1x3x64xf32>, tensor<1x12x64xf32>
}

// -----

// It refuses: a layer whose format was chosen for another weight.
func.func @refuses(%x: tensor<1x1x64xf32> {elx.name = "x", elx.kind = "input"},
                   %q: tensor<1x2x1x8xf32> {elx.name = "q", elx.kind = "input"},
                   %v: tensor<16x64xf32> {elx.name = "v", elx.kind = "weight"},
                   %w: tensor<64x16xf32> {elx.name = "w", elx.kind = "weight"}) -> tensor<1x1x64xf32> {
  // expected-error @+1 {{'elx.linear' op a format on a weight that is to change; wanted: none; run assign-precision after}}
  %0 = "elx.linear"(%x, %v) {format = #elx.format<8, 64, "s8", "symmetric">} : (tensor<1x1x64xf32>, tensor<16x64xf32>) -> tensor<1x1x16xf32>
  %1 = "elx.reshape"(%0) : (tensor<1x1x16xf32>) -> tensor<1x2x1x8xf32>
  %2 = "elx.attention"(%q, %q, %1) {scale = 1.0 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>} : (tensor<1x2x1x8xf32>, tensor<1x2x1x8xf32>, tensor<1x2x1x8xf32>) -> tensor<1x2x1x8xf32>
  %3 = "elx.reshape"(%2) : (tensor<1x2x1x8xf32>) -> tensor<1x1x16xf32>
  %4 = "elx.linear"(%3, %w) : (tensor<1x1x16xf32>, tensor<64x16xf32>) -> tensor<1x1x64xf32>
  return %4 : tensor<1x1x64xf32>
}
