// RUN: elastix-opt %s --split-input-file -p legalize-batch-norm | filecheck %s

// It fires: the operator becomes an op, outside training.
// CHECK-LABEL: func.func @fires
// CHECK: %[[FALSE:.*]] = torch.constant.bool false
// CHECK: torch.aten.batch_norm %arg0, %arg1, %arg1, %arg1, %arg1, %[[FALSE]]
// CHECK-NOT: torch.operator
func.func @fires(%x: !torch.vtensor<[1,8,4,4],f32>, %w: !torch.vtensor<[8],f32>) -> !torch.vtensor<[1,8,4,4],f32> {
  %momentum = torch.constant.float 0.1
  %eps = torch.constant.float 1.0e-05
  %0:3 = torch.operator "torch.aten._native_batch_norm_legit_no_training"(%x, %w, %w, %w, %w, %momentum, %eps) : (!torch.vtensor<[1,8,4,4],f32>, !torch.vtensor<[8],f32>, !torch.vtensor<[8],f32>, !torch.vtensor<[8],f32>, !torch.vtensor<[8],f32>, !torch.float, !torch.float) -> (!torch.vtensor<[1,8,4,4],f32>, !torch.vtensor<[0],f32>, !torch.vtensor<[0],f32>)
  return %0#0 : !torch.vtensor<[1,8,4,4],f32>
}

// -----

// It leaves alone: another operator.
// CHECK-LABEL: func.func @another
// CHECK: torch.operator "torch.aten.frobnicate"
func.func @another(%x: !torch.vtensor<[1,8],f32>) -> !torch.vtensor<[1,8],f32> {
  %0 = torch.operator "torch.aten.frobnicate"(%x) : (!torch.vtensor<[1,8],f32>) -> !torch.vtensor<[1,8],f32>
  return %0 : !torch.vtensor<[1,8],f32>
}

// -----

// It leaves alone: an operator whose saved statistics are read.
// CHECK-LABEL: func.func @statistics_are_read
// CHECK: torch.operator "torch.aten._native_batch_norm_legit_no_training"
func.func @statistics_are_read(%x: !torch.vtensor<[1,8,4,4],f32>, %w: !torch.vtensor<[8],f32>) -> !torch.vtensor<[0],f32> {
  %momentum = torch.constant.float 0.1
  %eps = torch.constant.float 1.0e-05
  %0:3 = torch.operator "torch.aten._native_batch_norm_legit_no_training"(%x, %w, %w, %w, %w, %momentum, %eps) : (!torch.vtensor<[1,8,4,4],f32>, !torch.vtensor<[8],f32>, !torch.vtensor<[8],f32>, !torch.vtensor<[8],f32>, !torch.vtensor<[8],f32>, !torch.float, !torch.float) -> (!torch.vtensor<[1,8,4,4],f32>, !torch.vtensor<[0],f32>, !torch.vtensor<[0],f32>)
  return %0#1 : !torch.vtensor<[0],f32>
}

// -----

// It refuses: the norm of training, which takes mean and variance of the batch.
// CHECK-LABEL: func.func @training
// CHECK-NOT: torch.aten.batch_norm
// CHECK: torch.operator "torch.aten._native_batch_norm_legit_functional"
// CHECK-NOT: torch.aten.batch_norm
// CHECK: return
func.func @training(%x: !torch.vtensor<[1,8,4,4],f32>, %w: !torch.vtensor<[8],f32>) -> !torch.vtensor<[1,8,4,4],f32> {
  %true = torch.constant.bool true
  %momentum = torch.constant.float 0.1
  %eps = torch.constant.float 1.0e-05
  %0:3 = torch.operator "torch.aten._native_batch_norm_legit_functional"(%x, %w, %w, %w, %w, %true, %momentum, %eps) : (!torch.vtensor<[1,8,4,4],f32>, !torch.vtensor<[8],f32>, !torch.vtensor<[8],f32>, !torch.vtensor<[8],f32>, !torch.vtensor<[8],f32>, !torch.bool, !torch.float, !torch.float) -> (!torch.vtensor<[1,8,4,4],f32>, !torch.vtensor<[8],f32>, !torch.vtensor<[8],f32>)
  return %0#0 : !torch.vtensor<[1,8,4,4],f32>
}
