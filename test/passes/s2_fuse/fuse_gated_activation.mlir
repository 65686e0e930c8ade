// RUN: elastix-opt %s --split-input-file -p fuse-activation,fuse-gated-activation | filecheck %s

// It fires, whichever side the activation is on.
// CHECK-LABEL: func.func @fires
// CHECK: %[[A:.*]] = "elx.gated_activation"({{.*}}) {kind = "silu"} : (tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
// CHECK: "elx.gated_activation"({{.*}}) {kind = "gelu_tanh"}
// CHECK: return
func.func @fires(%gate: !torch.vtensor<[2,8],f32>, %up: !torch.vtensor<[2,8],f32>) -> (!torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>) {
  %tanh = torch.constant.str "tanh"
  %0 = torch.aten.silu %gate : !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %1 = torch.aten.mul.Tensor %0, %up : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %2 = torch.aten.gelu %gate, %tanh : !torch.vtensor<[2,8],f32>, !torch.str -> !torch.vtensor<[2,8],f32>
  %3 = torch.aten.mul.Tensor %up, %2 : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  return %1, %3 : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>
}

// -----

// It leaves alone: an activation that something else reads too.
// CHECK-LABEL: func.func @read_twice
// CHECK: "elx.activation"
// CHECK-NOT: elx.gated_activation
func.func @read_twice(%gate: !torch.vtensor<[2,8],f32>, %up: !torch.vtensor<[2,8],f32>) -> (!torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>) {
  %0 = torch.aten.silu %gate : !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %1 = torch.aten.mul.Tensor %0, %up : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  return %0, %1 : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>
}

// -----

// It leaves alone: a factor that is broadcast.
// CHECK-LABEL: func.func @broadcast
// CHECK-NOT: elx.gated_activation
// CHECK: return
func.func @broadcast(%gate: !torch.vtensor<[2,8],f32>, %up: !torch.vtensor<[8],f32>) -> !torch.vtensor<[2,8],f32> {
  %0 = torch.aten.silu %gate : !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %1 = torch.aten.mul.Tensor %0, %up : !torch.vtensor<[2,8],f32>, !torch.vtensor<[8],f32> -> !torch.vtensor<[2,8],f32>
  return %1 : !torch.vtensor<[2,8],f32>
}

// -----

// It refuses: the activation of the product, and a sum in the product's place.
// CHECK-LABEL: func.func @refuses
// CHECK-NOT: elx.gated_activation
// CHECK: return
func.func @refuses(%gate: !torch.vtensor<[2,8],f32>, %up: !torch.vtensor<[2,8],f32>) -> (!torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>) {
  %one = torch.constant.int 1
  %0 = torch.aten.mul.Tensor %gate, %up : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %1 = torch.aten.silu %0 : !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %2 = torch.aten.silu %gate : !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %3 = torch.aten.add.Tensor %2, %up, %one : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>, !torch.int -> !torch.vtensor<[2,8],f32>
  return %1, %3 : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>
}
