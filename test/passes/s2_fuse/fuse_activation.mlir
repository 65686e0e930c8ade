// RUN: elastix-opt %s --split-input-file -p fuse-activation | filecheck %s

// It fires: one op each.
// CHECK-LABEL: func.func @fires
// CHECK: "elx.activation"({{.*}}) {kind = "silu"} : (tensor<2x8xf32>) -> tensor<2x8xf32>
// CHECK: "elx.activation"({{.*}}) {kind = "relu"}
// CHECK: "elx.activation"({{.*}}) {kind = "gelu"}
// CHECK: "elx.activation"({{.*}}) {kind = "gelu_tanh"}
// CHECK-NOT: torch.aten
func.func @fires(%x: !torch.vtensor<[2,8],f32>) -> !torch.vtensor<[2,8],f32> {
  %exact = torch.constant.str "none"
  %tanh = torch.constant.str "tanh"
  %0 = torch.aten.silu %x : !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %1 = torch.aten.relu %0 : !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %2 = torch.aten.gelu %1, %exact : !torch.vtensor<[2,8],f32>, !torch.str -> !torch.vtensor<[2,8],f32>
  %3 = torch.aten.gelu %2, %tanh : !torch.vtensor<[2,8],f32>, !torch.str -> !torch.vtensor<[2,8],f32>
  return %3 : !torch.vtensor<[2,8],f32>
}

// -----

// It fires: gelu by tanh and silu, written out.
// CHECK-LABEL: func.func @in_parts
// CHECK: "elx.activation"({{.*}}) {kind = "gelu_tanh"}
// CHECK: "elx.activation"({{.*}}) {kind = "silu"}
// CHECK: return
func.func @in_parts(%x: !torch.vtensor<[2,8],f32>) -> !torch.vtensor<[2,8],f32> {
  %one = torch.constant.int 1
  %unit = torch.constant.float 1.0
  %three = torch.constant.float 3.0
  %half = torch.constant.float 0.5
  %small = torch.constant.float 0.044715
  %root = torch.constant.float 0.79788456080286541
  %0 = torch.aten.mul.Scalar %x, %half : !torch.vtensor<[2,8],f32>, !torch.float -> !torch.vtensor<[2,8],f32>
  %1 = torch.aten.pow.Tensor_Scalar %x, %three : !torch.vtensor<[2,8],f32>, !torch.float -> !torch.vtensor<[2,8],f32>
  %2 = torch.aten.mul.Scalar %1, %small : !torch.vtensor<[2,8],f32>, !torch.float -> !torch.vtensor<[2,8],f32>
  %3 = torch.aten.add.Tensor %x, %2, %one : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>, !torch.int -> !torch.vtensor<[2,8],f32>
  %4 = torch.aten.mul.Scalar %3, %root : !torch.vtensor<[2,8],f32>, !torch.float -> !torch.vtensor<[2,8],f32>
  %5 = torch.aten.tanh %4 : !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %6 = torch.aten.add.Scalar %5, %unit, %one : !torch.vtensor<[2,8],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,8],f32>
  %7 = torch.aten.mul.Tensor %0, %6 : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %8 = torch.aten.sigmoid %7 : !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %9 = torch.aten.mul.Tensor %7, %8 : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  return %9 : !torch.vtensor<[2,8],f32>
}

// -----

// It leaves alone: another constant, the sigmoid of another tensor, doubles.
// CHECK-LABEL: func.func @leaves_alone
// CHECK-NOT: elx.activation
// CHECK: return
func.func @leaves_alone(%x: !torch.vtensor<[2,8],f32>, %y: !torch.vtensor<[2,8],f32>, %z: !torch.vtensor<[2,8],f64>) -> (!torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f64>) {
  %one = torch.constant.int 1
  %unit = torch.constant.float 1.0
  %three = torch.constant.float 3.0
  %half = torch.constant.float 0.5
  %small = torch.constant.float 0.05
  %root = torch.constant.float 0.79788456080286541
  %0 = torch.aten.mul.Scalar %x, %half : !torch.vtensor<[2,8],f32>, !torch.float -> !torch.vtensor<[2,8],f32>
  %1 = torch.aten.pow.Tensor_Scalar %x, %three : !torch.vtensor<[2,8],f32>, !torch.float -> !torch.vtensor<[2,8],f32>
  %2 = torch.aten.mul.Scalar %1, %small : !torch.vtensor<[2,8],f32>, !torch.float -> !torch.vtensor<[2,8],f32>
  %3 = torch.aten.add.Tensor %x, %2, %one : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>, !torch.int -> !torch.vtensor<[2,8],f32>
  %4 = torch.aten.mul.Scalar %3, %root : !torch.vtensor<[2,8],f32>, !torch.float -> !torch.vtensor<[2,8],f32>
  %5 = torch.aten.tanh %4 : !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %6 = torch.aten.add.Scalar %5, %unit, %one : !torch.vtensor<[2,8],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,8],f32>
  %7 = torch.aten.mul.Tensor %0, %6 : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %8 = torch.aten.sigmoid %y : !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %9 = torch.aten.mul.Tensor %x, %8 : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %10 = torch.aten.relu %z : !torch.vtensor<[2,8],f64> -> !torch.vtensor<[2,8],f64>
  return %7, %9, %10 : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f64>
}

// -----

// It refuses: x · sigmoid(1.702 x) is gelu's quick form, not silu; 1 + tanh without the half is twice gelu.
// CHECK-LABEL: func.func @refuses
// CHECK-NOT: elx.activation
// CHECK: return
func.func @refuses(%x: !torch.vtensor<[2,8],f32>) -> (!torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>) {
  %one = torch.constant.int 1
  %unit = torch.constant.float 1.0
  %three = torch.constant.float 3.0
  %quick = torch.constant.float 1.702
  %small = torch.constant.float 0.044715
  %root = torch.constant.float 0.79788456080286541
  %0 = torch.aten.mul.Scalar %x, %quick : !torch.vtensor<[2,8],f32>, !torch.float -> !torch.vtensor<[2,8],f32>
  %1 = torch.aten.sigmoid %0 : !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %2 = torch.aten.mul.Tensor %x, %1 : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %3 = torch.aten.pow.Tensor_Scalar %x, %three : !torch.vtensor<[2,8],f32>, !torch.float -> !torch.vtensor<[2,8],f32>
  %4 = torch.aten.mul.Scalar %3, %small : !torch.vtensor<[2,8],f32>, !torch.float -> !torch.vtensor<[2,8],f32>
  %5 = torch.aten.add.Tensor %x, %4, %one : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>, !torch.int -> !torch.vtensor<[2,8],f32>
  %6 = torch.aten.mul.Scalar %5, %root : !torch.vtensor<[2,8],f32>, !torch.float -> !torch.vtensor<[2,8],f32>
  %7 = torch.aten.tanh %6 : !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  %8 = torch.aten.add.Scalar %7, %unit, %one : !torch.vtensor<[2,8],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,8],f32>
  %9 = torch.aten.mul.Tensor %x, %8 : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32> -> !torch.vtensor<[2,8],f32>
  return %2, %9 : !torch.vtensor<[2,8],f32>, !torch.vtensor<[2,8],f32>
}
