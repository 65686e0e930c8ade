// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p fuse-residual,torch-to-builtin-signature | filecheck %s

// It fires: arguments and results become builtin tensors; a weight that nobody reads goes, an input stays.
// CHECK-LABEL: func.func @fires(
// CHECK-SAME: %arg0: tensor<2x8xf32> {elx.kind = "weight", elx.name = "w"}, %arg1: tensor<1xi64> {elx.kind = "input", elx.name = "x"}) -> (tensor<2x8xf32>, tensor<1xi64>)
// CHECK-NEXT: %[[SUM:.*]] = "elx.residual"(%arg0, %arg0)
// CHECK-NEXT: return %[[SUM]], %arg1
func.func @fires(%w: !torch.vtensor<[2,8],f32> {elx.name = "w", elx.kind = "weight"}, %unread: !torch.vtensor<[8],f32> {elx.name = "v", elx.kind = "weight"}, %x: !torch.vtensor<[1],si64> {elx.name = "x", elx.kind = "input"}) -> (!torch.vtensor<[2,8],f32>, !torch.vtensor<[1],si64>) {
  %one = torch.constant.int 1
  %0 = torch.aten.add.Tensor %w, %w, %one : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>, !torch.int -> !torch.vtensor<[2,8],f32>
  %dead = torch.aten.split.Tensor %0, %one, %one : !torch.vtensor<[2,8],f32>, !torch.int, !torch.int -> !torch.list<vtensor>
  return %0, %x : !torch.vtensor<[2,8],f32>, !torch.vtensor<[1],si64>
}

// -----

// It fires: torch ops that are left see torch tensors.
// CHECK-LABEL: func.func @torch_is_left(
// CHECK-SAME: %arg0: tensor<2x8xf32>) -> tensor<2x8xf32>
// CHECK: %[[T:.*]] = torch_c.from_builtin_tensor %arg0
// CHECK: %[[S:.*]] = torch.aten.sin %[[T]]
// CHECK: %[[B:.*]] = torch_c.to_builtin_tensor %[[S]]
// CHECK: return %[[B]]
func.func @torch_is_left(%x: !torch.vtensor<[2,8],f32>) -> !torch.vtensor<[2,8],f32> {
  %0 = torch.aten.sin %x : !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  return %0 : !torch.vtensor<[2,8],f32>
}

// -----

// It leaves alone: what is builtin already.
// CHECK-LABEL: func.func @builtin(
// CHECK-NEXT: return %arg0 : tensor<2xf32>
func.func @builtin(%x: tensor<2xf32>) -> tensor<2xf32> {
  return %x : tensor<2xf32>
}

// -----

// It refuses: an argument, or a result, whose shape is not known.
// expected-error@+1 {{'func.func' op argument 0 is !torch.vtensor<[?,8],f32>; wanted: a tensor of fixed shape; give concrete example inputs}}
func.func @unknown_argument(%x: !torch.vtensor<[?,8],f32>) -> !torch.vtensor<[?,8],f32> {
  return %x : !torch.vtensor<[?,8],f32>
}

// -----

// It refuses, likewise.
func.func @unknown_result(%x: !torch.vtensor<[2,8],f32>) -> !torch.vtensor<[?,8],f32> {
  %0 = torch.tensor_static_info_cast %x : !torch.vtensor<[2,8],f32> to !torch.vtensor<[?,8],f32>
  // expected-error@+1 {{'func.return' op result 0 is !torch.vtensor<[?,8],f32>; wanted: a tensor of fixed shape; give concrete example inputs}}
  return %0 : !torch.vtensor<[?,8],f32>
}
