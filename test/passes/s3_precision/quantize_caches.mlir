// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p quantize-caches | filecheck %s
// RUN: elastix-opt %s --split-input-file -p 'quantize-caches{key-bits=32 value-bits=4}' | filecheck %s --check-prefix FOUR
// RUN: not elastix-opt %s --split-input-file -p 'quantize-caches{key-bits=4}' 2>&1 | filecheck %s --check-prefix ODD
// RUN: not elastix-opt %s --split-input-file -p 'quantize-caches{key-bits=5}' 2>&1 | filecheck %s --check-prefix FIVE

// It fires: a cache becomes one of codes and one of scales, keys are kept rotated and so are the queries.
// CHECK-LABEL: func.func @fires
// CHECK-SAME: %[[KC:arg4]]: tensor<1x2x6x8xi8> {elx.kind = "cache", elx.name = "keys"}
// CHECK-SAME: %[[VC:arg5]]: tensor<1x2x6x8xi8> {elx.kind = "cache", elx.name = "values"}
// CHECK-SAME: %[[KS:arg6]]: tensor<1x2x6xbf16> {elx.kind = "cache", elx.name = "keys.scale"}
// CHECK-SAME: %[[VS:arg7]]: tensor<1x2x6xbf16> {elx.kind = "cache", elx.name = "values.scale"}
// CHECK-SAME: tensor<1x2x6x8xi8> {elx.writes = "keys"}
// CHECK-SAME: tensor<1x2x6xbf16> {elx.writes = "keys.scale"}, tensor<1x2x6xbf16> {elx.writes = "values.scale"}
// CHECK: %[[K:.*]] = "elx.hadamard"(%arg1) {scale = 1.000000e+00 : f32}
// CHECK: %[[KEYS:.*]]:2 = "elx.quantized_cache_update"(%[[KC]], %[[KS]], %[[K]], %arg3)
// CHECK: %[[VALUES:.*]]:2 = "elx.quantized_cache_update"(%[[VC]], %[[VS]], %arg2, %arg3)
// CHECK: %[[Q:.*]] = "elx.hadamard"(%arg0) {scale = 1.250000e-01 : f32}
// CHECK: %[[Y:.*]] = "elx.quantized_attention"(%[[Q]], %[[KEYS]]#0, %[[VALUES]]#0, %[[KEYS]]#1, %[[VALUES]]#1, %arg3) {causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0>, scale = 5.000000e-01 : f32}
// CHECK: return %[[KEYS]]#0, %[[VALUES]]#0, %[[Y]], %[[KEYS]]#1, %[[VALUES]]#1
// FOUR-LABEL: func.func @fires
// FOUR: %[[KEYS:.*]] = "elx.cache_update"(%arg4, %arg1, %arg3)
// FOUR: %[[V:.*]] = "elx.hadamard"(%arg2) {scale = 1.000000e+00 : f32}
// FOUR: %[[VALUES:.*]]:2 = "elx.quantized_cache_update"(%arg5, %arg6, %[[V]], %arg3) : (tensor<1x2x6x8xi4>, tensor<1x2x6xbf16>,
// FOUR: %[[Y:.*]] = "elx.quantized_attention"(%arg0, %[[KEYS]], %[[VALUES]]#0, %[[VALUES]]#1, %arg3) {causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 0, 1, 1, 0>
// FOUR: %[[BACK:.*]] = "elx.hadamard"(%[[Y]]) {scale = 1.250000e-01 : f32}
// FOUR: return %[[KEYS]], %[[VALUES]]#0, %[[BACK]], %[[VALUES]]#1
// FIVE: error: pass quantize-caches{key-bits=5}: key-bits=5; wanted: 4 or 8, or 32 for fp32
func.func @fires(%q: tensor<1x4x1x8xf32> {elx.name = "q", elx.kind = "input"},
    %k: tensor<1x2x1x8xf32> {elx.name = "k", elx.kind = "input"},
    %v: tensor<1x2x1x8xf32> {elx.name = "v", elx.kind = "input"},
    %p: tensor<1xi64> {elx.name = "positions", elx.kind = "input"},
    %kc: tensor<1x2x6x8xf32> {elx.name = "keys", elx.kind = "cache"},
    %vc: tensor<1x2x6x8xf32> {elx.name = "values", elx.kind = "cache"})
    -> (tensor<1x2x6x8xf32> {elx.writes = "keys"}, tensor<1x2x6x8xf32> {elx.writes = "values"},
        tensor<1x4x1x8xf32> {elx.name = "y"}) {
  %0 = "elx.cache_update"(%kc, %k, %p) : (tensor<1x2x6x8xf32>, tensor<1x2x1x8xf32>, tensor<1xi64>) -> tensor<1x2x6x8xf32>
  %1 = "elx.cache_update"(%vc, %v, %p) : (tensor<1x2x6x8xf32>, tensor<1x2x1x8xf32>, tensor<1xi64>) -> tensor<1x2x6x8xf32>
  %2 = "elx.attention"(%q, %0, %1, %p) {scale = 0.5 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 0>}
    : (tensor<1x4x1x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x8xf32>, tensor<1xi64>) -> tensor<1x4x1x8xf32>
  return %0, %1, %2 : tensor<1x2x6x8xf32>, tensor<1x2x6x8xf32>, tensor<1x4x1x8xf32>
}

// -----

// It leaves alone: a cache that something besides attention reads, and one that is the caller's input. Heads of a width
// that is no power of two are not rotated.
// CHECK-LABEL: func.func @leaves_alone
// CHECK: "elx.cache_update"(%arg4, %arg1, %arg3)
// CHECK: "elx.quantized_cache_update"(%arg5, %arg6, %arg2, %arg3)
// CHECK-NOT: elx.hadamard
// CHECK: "elx.activation"
func.func @leaves_alone(%q: tensor<1x4x1x6xf32> {elx.name = "q", elx.kind = "input"},
    %k: tensor<1x2x1x6xf32> {elx.name = "k", elx.kind = "input"},
    %v: tensor<1x2x1x6xf32> {elx.name = "v", elx.kind = "input"},
    %p: tensor<1xi64> {elx.name = "positions", elx.kind = "input"},
    %kc: tensor<1x2x6x6xf32> {elx.name = "keys", elx.kind = "cache"},
    %vc: tensor<1x2x6x6xf32> {elx.name = "values", elx.kind = "cache"})
    -> (tensor<1x2x6x6xf32> {elx.writes = "keys"}, tensor<1x2x6x6xf32> {elx.writes = "values"},
        tensor<1x4x1x6xf32> {elx.name = "y"}, tensor<1x2x6x6xf32> {elx.name = "seen"}) {
  %0 = "elx.cache_update"(%kc, %k, %p) : (tensor<1x2x6x6xf32>, tensor<1x2x1x6xf32>, tensor<1xi64>) -> tensor<1x2x6x6xf32>
  %1 = "elx.cache_update"(%vc, %v, %p) : (tensor<1x2x6x6xf32>, tensor<1x2x1x6xf32>, tensor<1xi64>) -> tensor<1x2x6x6xf32>
  %2 = "elx.attention"(%q, %0, %1, %p) {scale = 0.5 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 0>}
    : (tensor<1x4x1x6xf32>, tensor<1x2x6x6xf32>, tensor<1x2x6x6xf32>, tensor<1xi64>) -> tensor<1x4x1x6xf32>
  %3 = "elx.activation"(%0) {kind = "relu"} : (tensor<1x2x6x6xf32>) -> tensor<1x2x6x6xf32>
  return %0, %1, %2, %3 : tensor<1x2x6x6xf32>, tensor<1x2x6x6xf32>, tensor<1x4x1x6xf32>, tensor<1x2x6x6xf32>
}

// -----

// CHECK-LABEL: func.func @leaves_inputs_alone
// CHECK: "elx.cache_update"
// CHECK: "elx.attention"
func.func @leaves_inputs_alone(%q: tensor<1x4x1x8xf32> {elx.name = "q", elx.kind = "input"},
    %k: tensor<1x2x1x8xf32> {elx.name = "k", elx.kind = "input"},
    %p: tensor<1xi64> {elx.name = "positions", elx.kind = "input"},
    %kc: tensor<1x2x6x8xf32> {elx.name = "keys", elx.kind = "input"}) -> (tensor<1x4x1x8xf32> {elx.name = "y"}) {
  %0 = "elx.cache_update"(%kc, %k, %p) : (tensor<1x2x6x8xf32>, tensor<1x2x1x8xf32>, tensor<1xi64>) -> tensor<1x2x6x8xf32>
  %2 = "elx.attention"(%q, %0, %0, %p) {scale = 0.5 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 0>}
    : (tensor<1x4x1x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x8xf32>, tensor<1xi64>) -> tensor<1x4x1x8xf32>
  return %2 : tensor<1x4x1x8xf32>
}

// -----

// It refuses: half a byte left over.
// ODD: error: 'elx.cache_update' op heads of 5 values at 4 bits; wanted: an even number: two share a byte
func.func @refuses(%q: tensor<1x2x1x5xf32> {elx.name = "q", elx.kind = "input"},
    %k: tensor<1x2x1x5xf32> {elx.name = "k", elx.kind = "input"},
    %p: tensor<1xi64> {elx.name = "positions", elx.kind = "input"},
    %kc: tensor<1x2x6x5xf32> {elx.name = "keys", elx.kind = "cache"},
    %v: tensor<1x2x6x5xf32> {elx.name = "v", elx.kind = "input"})
    -> (tensor<1x2x6x5xf32> {elx.writes = "keys"}, tensor<1x2x1x5xf32> {elx.name = "y"}) {
  %0 = "elx.cache_update"(%kc, %k, %p) : (tensor<1x2x6x5xf32>, tensor<1x2x1x5xf32>, tensor<1xi64>) -> tensor<1x2x6x5xf32>
  %1 = "elx.attention"(%q, %0, %v, %p) {scale = 0.5 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 0>}
    : (tensor<1x2x1x5xf32>, tensor<1x2x6x5xf32>, tensor<1x2x6x5xf32>, tensor<1xi64>) -> tensor<1x2x1x5xf32>
  return %0, %1 : tensor<1x2x6x5xf32>, tensor<1x2x1x5xf32>
}
