// RUN: elastix-opt %s --split-input-file -p merge-equal | filecheck %s

// It fires.
// CHECK-LABEL: func.func @fires
// CHECK: %[[R:.*]] = "elx.reshape"
// CHECK-NOT: elx.reshape
// CHECK: return %[[R]], %[[R]]
func.func @fires(%p: tensor<1x3xi64>) -> (tensor<3xi64>, tensor<3xi64>) {
  %0 = "elx.reshape"(%p) : (tensor<1x3xi64>) -> tensor<3xi64>
  %1 = "elx.reshape"(%p) : (tensor<1x3xi64>) -> tensor<3xi64>
  return %0, %1 : tensor<3xi64>, tensor<3xi64>
}

// -----

// It leaves alone: another attribute.
// CHECK-LABEL: func.func @attributes
// CHECK: kind = "silu"
// CHECK: kind = "relu"
func.func @attributes(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %0 = "elx.activation"(%x) {kind = "silu"} : (tensor<2xf32>) -> tensor<2xf32>
  %1 = "elx.activation"(%x) {kind = "relu"} : (tensor<2xf32>) -> tensor<2xf32>
  return %0, %1 : tensor<2xf32>, tensor<2xf32>
}

// -----

// It leaves alone: other operands, in another order.
// CHECK-LABEL: func.func @operands
// CHECK: "elx.residual"(%arg0, %arg1)
// CHECK: "elx.residual"(%arg1, %arg0)
func.func @operands(%x: tensor<2xf32>, %y: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %0 = "elx.residual"(%x, %y) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %1 = "elx.residual"(%y, %x) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  return %0, %1 : tensor<2xf32>, tensor<2xf32>
}

// -----

// It refuses: two draws of random numbers, which look the same and are not.
// CHECK-LABEL: func.func @random
// CHECK: torch.aten.bernoulli
// CHECK: torch.aten.bernoulli
func.func @random(%x: !torch.vtensor<[2],f32>) -> (!torch.vtensor<[2],f32>, !torch.vtensor<[2],f32>) {
  %none = torch.constant.none
  %0 = torch.aten.bernoulli %x, %none : !torch.vtensor<[2],f32>, !torch.none -> !torch.vtensor<[2],f32>
  %1 = torch.aten.bernoulli %x, %none : !torch.vtensor<[2],f32>, !torch.none -> !torch.vtensor<[2],f32>
  return %0, %1 : !torch.vtensor<[2],f32>, !torch.vtensor<[2],f32>
}
