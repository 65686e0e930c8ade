// RUN: elastix-opt %s --split-input-file -p fuse-residual | filecheck %s

// It fires.
// CHECK-LABEL: func.func @fires
// CHECK: "elx.residual"({{.*}}) : (tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
// CHECK-NOT: torch.aten
func.func @fires(%a: !torch.vtensor<[2,8],f32>, %b: !torch.vtensor<[2,8],f32>) -> !torch.vtensor<[2,8],f32> {
  %one = torch.constant.int 1
  %0 = torch.aten.add.Tensor %a, %b, %one : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>, !torch.int -> !torch.vtensor<[2,8],f32>
  return %0 : !torch.vtensor<[2,8],f32>
}

// -----

// It leaves alone: a sum that broadcasts.
// CHECK-LABEL: func.func @broadcast
// CHECK: torch.aten.add.Tensor
func.func @broadcast(%a: !torch.vtensor<[2,8],f32>, %b: !torch.vtensor<[8],f32>) -> !torch.vtensor<[2,8],f32> {
  %one = torch.constant.int 1
  %0 = torch.aten.add.Tensor %a, %b, %one : !torch.vtensor<[2,8],f32>, !torch.vtensor<[8],f32>, !torch.int -> !torch.vtensor<[2,8],f32>
  return %0 : !torch.vtensor<[2,8],f32>
}

// -----

// It leaves alone: a sum of integers.
// CHECK-LABEL: func.func @integers
// CHECK: torch.aten.add.Tensor
func.func @integers(%i: !torch.vtensor<[2,8],si64>) -> !torch.vtensor<[2,8],si64> {
  %one = torch.constant.int 1
  %0 = torch.aten.add.Tensor %i, %i, %one : !torch.vtensor<[2,8],si64>, !torch.vtensor<[2,8],si64>, !torch.int -> !torch.vtensor<[2,8],si64>
  return %0 : !torch.vtensor<[2,8],si64>
}

// -----

// It refuses: a second operand with a factor, and a difference.
// CHECK-LABEL: func.func @refuses
// CHECK-NOT: elx.residual
// CHECK: return
func.func @refuses(%a: !torch.vtensor<[2,8],f32>, %b: !torch.vtensor<[2,8],f32>) -> (!torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>) {
  %one = torch.constant.int 1
  %two = torch.constant.int 2
  %0 = torch.aten.add.Tensor %a, %b, %two : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>, !torch.int -> !torch.vtensor<[2,8],f32>
  %1 = torch.aten.sub.Tensor %a, %b, %one : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>, !torch.int -> !torch.vtensor<[2,8],f32>
  return %0, %1 : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>
}
