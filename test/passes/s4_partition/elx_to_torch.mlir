// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p elx-to-torch | filecheck %s

// It fires: linear layers and embeddings in float, and a quantized layer that was left to the host.
// CHECK-LABEL: func.func @fires
// CHECK-NOT: "elx.
// CHECK: torch.aten.embedding %{{.*}}, %{{.*}}, %int-1, %false, %false : !torch.vtensor<[9,4],f32>, !torch.vtensor<[2],si64>, !torch.int, !torch.bool, !torch.bool -> !torch.vtensor<[2,4],f32>
// CHECK: %[[L:.*]] = torch.aten.linear %{{.*}}, %{{.*}}, %none : !torch.vtensor<[2,4],f32>, !torch.vtensor<[8,4],f32>, !torch.none -> !torch.vtensor<[2,8],f32>
// CHECK: %[[B:.*]] = torch_c.to_builtin_tensor %[[L]]
// CHECK: %[[X:.*]] = torch_c.from_builtin_tensor %[[B]]
// CHECK-NOT: "elx.quantize
// CHECK: torch.aten.linear %[[X]], %{{.*}}, %{{.*}} {elx.reason = "too long", elx.side = "host"} : !torch.vtensor<[2,8],f32>, !torch.vtensor<[3,8],f32>, !torch.vtensor<[3],f32> -> !torch.vtensor<[2,3],f32>
func.func @fires(%i: tensor<2xi64> {elx.name = "ids"}, %t: tensor<9x4xf32> {elx.name = "t"}, %w: tensor<8x4xf32> {elx.name = "w"}, %v: tensor<3x8xf32> {elx.name = "v"}, %b: tensor<3xf32> {elx.name = "b"}) -> tensor<2x3xf32> {
  %0 = "elx.embedding"(%i, %t) : (tensor<2xi64>, tensor<9x4xf32>) -> tensor<2x4xf32>
  %1 = "elx.linear"(%0, %w) : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
  %q, %e = "elx.quantize"(%1) {activation_bits = 11} : (tensor<2x8xf32>) -> (tensor<2x8xi16>, tensor<2xi32>)
  %2 = "elx.quantized_linear"(%q, %e, %v, %b) {format = #elx.format<4, 32, "s8", "symmetric">, elx.reason = "too long", elx.side = "host"} : (tensor<2x8xi16>, tensor<2xi32>, tensor<3x8xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  return %2 : tensor<2x3xf32>
}

// -----

// It leaves alone: a layer for the processor, and what the runtime has kernels for.
// CHECK-LABEL: func.func @leaves_alone
// CHECK: elx.quantize
// CHECK: elx.quantized_linear
// CHECK: elx.activation
// CHECK-NOT: torch.aten
func.func @leaves_alone(%x: tensor<2x8xf32>, %w: tensor<3x8xf32> {elx.name = "w"}) -> tensor<2x3xf32> {
  %q, %e = "elx.quantize"(%x) {activation_bits = 11} : (tensor<2x8xf32>) -> (tensor<2x8xi16>, tensor<2xi32>)
  %0 = "elx.quantized_linear"(%q, %e, %w) {format = #elx.format<4, 32, "s8", "symmetric">, elx.side = "processor"} : (tensor<2x8xi16>, tensor<2xi32>, tensor<3x8xf32>) -> tensor<2x3xf32>
  %1 = "elx.activation"(%0) {kind = "relu"} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return %1 : tensor<2x3xf32>
}

// -----

// It refuses: activations that nobody quantized here cannot become floats again.
func.func @refuses(%q: tensor<2x8xi16>, %e: tensor<2xi32>, %w: tensor<3x8xf32> {elx.name = "w"}) -> tensor<2x3xf32> {
  // expected-error@+1 {{'elx.quantized_linear' op it is for the host, but no elx.quantize made its activations; wanted: the result of elx.quantize}}
  %0 = "elx.quantized_linear"(%q, %e, %w) {format = #elx.format<4, 32, "s8", "symmetric">, elx.side = "host"} : (tensor<2x8xi16>, tensor<2xi32>, tensor<3x8xf32>) -> tensor<2x3xf32>
  return %0 : tensor<2x3xf32>
}
