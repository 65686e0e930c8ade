// RUN: elastix-opt %s --split-input-file -p fuse-rms-norm | filecheck %s

// It fires: x · rsqrt(mean(x²) + eps) · weight.
// CHECK-LABEL: func.func @fires
// CHECK: "elx.rms_norm"({{.*}}) {eps = 9.99999974E-6 : f32} : (tensor<1x1x64xf32>, tensor<64xf32>) -> tensor<1x1x64xf32>
// CHECK-NOT: torch.aten
func.func @fires(%w: !torch.vtensor<[64],f32> {elx.name = "norm.weight", elx.kind = "weight"}, %x: !torch.vtensor<[1,1,64],f32>) -> !torch.vtensor<[1,1,64],f32> {
  %two = torch.constant.int 2
  %one = torch.constant.int 1
  %last = torch.constant.int -1
  %true = torch.constant.bool true
  %none = torch.constant.none
  %eps = torch.constant.float 1.0e-05
  %axes = torch.prim.ListConstruct %last : (!torch.int) -> !torch.list<int>
  %0 = torch.aten.pow.Tensor_Scalar %x, %two : !torch.vtensor<[1,1,64],f32>, !torch.int -> !torch.vtensor<[1,1,64],f32>
  %1 = torch.aten.mean.dim %0, %axes, %true, %none : !torch.vtensor<[1,1,64],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[1,1,1],f32>
  %2 = torch.aten.add.Scalar %1, %eps, %one : !torch.vtensor<[1,1,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[1,1,1],f32>
  %3 = torch.aten.rsqrt %2 : !torch.vtensor<[1,1,1],f32> -> !torch.vtensor<[1,1,1],f32>
  %4 = torch.aten.mul.Tensor %x, %3 : !torch.vtensor<[1,1,64],f32>, !torch.vtensor<[1,1,1],f32> -> !torch.vtensor<[1,1,64],f32>
  %5 = torch.aten.mul.Tensor %w, %4 : !torch.vtensor<[64],f32>, !torch.vtensor<[1,1,64],f32> -> !torch.vtensor<[1,1,64],f32>
  return %5 : !torch.vtensor<[1,1,64],f32>
}

// -----

// It fires: one op, and its weight plus one, which the store is asked for.
// CHECK-LABEL: func.func @weight_plus_one
// CHECK-SAME: %arg2: !torch.vtensor<[64],f32> {elx.kind = "weight", elx.name = "norm.weight+1"})
// CHECK: %[[T:.*]] = torch_c.to_builtin_tensor %arg2
// CHECK: "elx.rms_norm"(%{{.*}}, %[[T]])
func.func @weight_plus_one(%w: !torch.vtensor<[64],f32> {elx.name = "norm.weight", elx.kind = "weight"}, %x: !torch.vtensor<[1,64],f32> {elx.name = "x", elx.kind = "input"}) -> !torch.vtensor<[1,64],f32> {
  %two = torch.constant.int 2
  %one = torch.constant.int 1
  %unit = torch.constant.float 1.0
  %true = torch.constant.bool true
  %none = torch.constant.none
  %eps = torch.constant.float 1.0e-06
  %axes = torch.prim.ListConstruct %one : (!torch.int) -> !torch.list<int>
  %0 = torch.aten.mul.Tensor %x, %x : !torch.vtensor<[1,64],f32>, !torch.vtensor<[1,64],f32> -> !torch.vtensor<[1,64],f32>
  %1 = torch.aten.mean.dim %0, %axes, %true, %none : !torch.vtensor<[1,64],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[1,1],f32>
  %2 = torch.aten.add.Scalar %1, %eps, %one : !torch.vtensor<[1,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[1,1],f32>
  %3 = torch.aten.rsqrt %2 : !torch.vtensor<[1,1],f32> -> !torch.vtensor<[1,1],f32>
  %4 = torch.aten.mul.Tensor %x, %3 : !torch.vtensor<[1,64],f32>, !torch.vtensor<[1,1],f32> -> !torch.vtensor<[1,64],f32>
  %5 = torch.aten.add.Scalar %w, %unit, %one : !torch.vtensor<[64],f32>, !torch.float, !torch.int -> !torch.vtensor<[64],f32>
  %6 = torch.aten.mul.Tensor %4, %5 : !torch.vtensor<[1,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[1,64],f32>
  return %6 : !torch.vtensor<[1,64],f32>
}

// -----

// It refuses: the mean square of another tensor, and a mean over another axis.
// CHECK-LABEL: func.func @refuses
// CHECK-NOT: elx.rms_norm
// CHECK: return
func.func @refuses(%w: !torch.vtensor<[64],f32> {elx.name = "norm.weight", elx.kind = "weight"}, %x: !torch.vtensor<[64,64],f32>, %y: !torch.vtensor<[64,64],f32>) -> (!torch.vtensor<[64,64],f32>, !torch.vtensor<[64,64],f32>) {
  %two = torch.constant.int 2
  %one = torch.constant.int 1
  %zero = torch.constant.int 0
  %true = torch.constant.bool true
  %none = torch.constant.none
  %eps = torch.constant.float 1.0e-05
  %last = torch.prim.ListConstruct %one : (!torch.int) -> !torch.list<int>
  %first = torch.prim.ListConstruct %zero : (!torch.int) -> !torch.list<int>
  %0 = torch.aten.pow.Tensor_Scalar %y, %two : !torch.vtensor<[64,64],f32>, !torch.int -> !torch.vtensor<[64,64],f32>
  %1 = torch.aten.mean.dim %0, %last, %true, %none : !torch.vtensor<[64,64],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[64,1],f32>
  %2 = torch.aten.add.Scalar %1, %eps, %one : !torch.vtensor<[64,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[64,1],f32>
  %3 = torch.aten.rsqrt %2 : !torch.vtensor<[64,1],f32> -> !torch.vtensor<[64,1],f32>
  %4 = torch.aten.mul.Tensor %x, %3 : !torch.vtensor<[64,64],f32>, !torch.vtensor<[64,1],f32> -> !torch.vtensor<[64,64],f32>
  %5 = torch.aten.mul.Tensor %w, %4 : !torch.vtensor<[64],f32>, !torch.vtensor<[64,64],f32> -> !torch.vtensor<[64,64],f32>
  %6 = torch.aten.pow.Tensor_Scalar %x, %two : !torch.vtensor<[64,64],f32>, !torch.int -> !torch.vtensor<[64,64],f32>
  %7 = torch.aten.mean.dim %6, %first, %true, %none : !torch.vtensor<[64,64],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[1,64],f32>
  %8 = torch.aten.add.Scalar %7, %eps, %one : !torch.vtensor<[1,64],f32>, !torch.float, !torch.int -> !torch.vtensor<[1,64],f32>
  %9 = torch.aten.rsqrt %8 : !torch.vtensor<[1,64],f32> -> !torch.vtensor<[1,64],f32>
  %10 = torch.aten.mul.Tensor %x, %9 : !torch.vtensor<[64,64],f32>, !torch.vtensor<[1,64],f32> -> !torch.vtensor<[64,64],f32>
  %11 = torch.aten.mul.Tensor %w, %10 : !torch.vtensor<[64],f32>, !torch.vtensor<[64,64],f32> -> !torch.vtensor<[64,64],f32>
  return %5, %11 : !torch.vtensor<[64,64],f32>, !torch.vtensor<[64,64],f32>
}

// -----

// It leaves alone: a weight that is an input, which no store has.
// CHECK-LABEL: func.func @leaves_alone
// CHECK: torch.aten.rms_norm
func.func @leaves_alone(%w: !torch.vtensor<[64],f32> {elx.name = "w", elx.kind = "input"}, %x: !torch.vtensor<[1,64],f32>) -> !torch.vtensor<[1,64],f32> {
  %k = torch.constant.int 64
  %eps = torch.constant.float 1.0e-05
  %sizes = torch.prim.ListConstruct %k : (!torch.int) -> !torch.list<int>
  %0 = torch.aten.rms_norm %x, %sizes, %w, %eps : !torch.vtensor<[1,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.float -> !torch.vtensor<[1,64],f32>
  return %0 : !torch.vtensor<[1,64],f32>
}
