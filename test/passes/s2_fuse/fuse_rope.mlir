// RUN: elastix-opt %s --split-input-file -p fuse-rope | filecheck %s

// It fires: x · cos + rotate_half(x) · sin.
// CHECK-LABEL: func.func @fires
// CHECK: %[[P:.*]] = torch_c.to_builtin_tensor %arg1 : !torch.vtensor<[5],si64> -> tensor<5xi64>
// CHECK: "elx.rope"(%{{.*}}, %[[P]], %{{.*}}) {scaling = 1.000000e+00 : f32} : (tensor<1x4x5x8xf32>, tensor<5xi64>, tensor<4xf32>) -> tensor<1x4x5x8xf32>
func.func @fires(%x: !torch.vtensor<[1,4,5,8],f32> {elx.name = "x", elx.kind = "input"}, %positions: !torch.vtensor<[5],si64> {elx.name = "p", elx.kind = "input"}, %inv_freq: !torch.vtensor<[4],f32> {elx.name = "inv_freq", elx.kind = "buffer"}) -> !torch.vtensor<[1,4,5,8],f32> {
  %none = torch.constant.none
  %false = torch.constant.bool false
  %zero = torch.constant.int 0
  %one = torch.constant.int 1
  %two = torch.constant.int 2
  %three = torch.constant.int 3
  %six = torch.constant.int 6
  %cut = torch.constant.int 4
  %end = torch.constant.int 9223372036854775807
  %last = torch.constant.int -1
  %scaling = torch.constant.float 1.0
  %0 = torch.aten.unsqueeze %positions, %zero : !torch.vtensor<[5],si64>, !torch.int -> !torch.vtensor<[1,5],si64>
  %1 = torch.aten.unsqueeze %0, %two : !torch.vtensor<[1,5],si64>, !torch.int -> !torch.vtensor<[1,5,1],si64>
  %2 = torch.aten._to_copy %1, %six, %none, %none, %none, %false, %none : !torch.vtensor<[1,5,1],si64>, !torch.int, !torch.none, !torch.none, !torch.none, !torch.bool, !torch.none -> !torch.vtensor<[1,5,1],f32>
  %3 = torch.aten.mul.Tensor %2, %inv_freq : !torch.vtensor<[1,5,1],f32>, !torch.vtensor<[4],f32> -> !torch.vtensor<[1,5,4],f32>
  %4 = torch.prim.ListConstruct %3, %3 : (!torch.vtensor<[1,5,4],f32>, !torch.vtensor<[1,5,4],f32>) -> !torch.list<vtensor>
  %5 = torch.aten.cat %4, %last : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[1,5,8],f32>
  %cos = torch.aten.cos %5 : !torch.vtensor<[1,5,8],f32> -> !torch.vtensor<[1,5,8],f32>
  %cos_scaled = torch.aten.mul.Scalar %cos, %scaling : !torch.vtensor<[1,5,8],f32>, !torch.float -> !torch.vtensor<[1,5,8],f32>
  %sin = torch.aten.sin %5 : !torch.vtensor<[1,5,8],f32> -> !torch.vtensor<[1,5,8],f32>
  %sin_scaled = torch.aten.mul.Scalar %sin, %scaling : !torch.vtensor<[1,5,8],f32>, !torch.float -> !torch.vtensor<[1,5,8],f32>
  %6 = torch.aten.unsqueeze %cos_scaled, %one : !torch.vtensor<[1,5,8],f32>, !torch.int -> !torch.vtensor<[1,1,5,8],f32>
  %7 = torch.aten.unsqueeze %sin_scaled, %one : !torch.vtensor<[1,5,8],f32>, !torch.int -> !torch.vtensor<[1,1,5,8],f32>
  %8 = torch.aten.mul.Tensor %x, %6 : !torch.vtensor<[1,4,5,8],f32>, !torch.vtensor<[1,1,5,8],f32> -> !torch.vtensor<[1,4,5,8],f32>
  %9 = torch.aten.slice.Tensor %x, %three, %zero, %cut, %one : !torch.vtensor<[1,4,5,8],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,4,5,4],f32>
  %10 = torch.aten.slice.Tensor %x, %three, %cut, %end, %one : !torch.vtensor<[1,4,5,8],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,4,5,4],f32>
  %11 = torch.aten.neg %10 : !torch.vtensor<[1,4,5,4],f32> -> !torch.vtensor<[1,4,5,4],f32>
  %12 = torch.prim.ListConstruct %11, %9 : (!torch.vtensor<[1,4,5,4],f32>, !torch.vtensor<[1,4,5,4],f32>) -> !torch.list<vtensor>
  %13 = torch.aten.cat %12, %last : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[1,4,5,8],f32>
  %14 = torch.aten.mul.Tensor %13, %7 : !torch.vtensor<[1,4,5,8],f32>, !torch.vtensor<[1,1,5,8],f32> -> !torch.vtensor<[1,4,5,8],f32>
  %15 = torch.aten.add.Tensor %8, %14, %one : !torch.vtensor<[1,4,5,8],f32>, !torch.vtensor<[1,4,5,8],f32>, !torch.int -> !torch.vtensor<[1,4,5,8],f32>
  return %15 : !torch.vtensor<[1,4,5,8],f32>
}

// -----

// It fires: cosines and sines with a factor.
// CHECK-LABEL: func.func @scaled
// CHECK: "elx.rope"({{.*}}) {scaling = 1.500000e+00 : f32}
func.func @scaled(%x: !torch.vtensor<[1,4,1,8],f32> {elx.name = "x", elx.kind = "input"}, %positions: !torch.vtensor<[1],si64> {elx.name = "p", elx.kind = "input"}, %inv_freq: !torch.vtensor<[4],f32> {elx.name = "inv_freq", elx.kind = "buffer"}) -> !torch.vtensor<[1,4,1,8],f32> {
  %none = torch.constant.none
  %false = torch.constant.bool false
  %zero = torch.constant.int 0
  %one = torch.constant.int 1
  %two = torch.constant.int 2
  %three = torch.constant.int 3
  %six = torch.constant.int 6
  %cut = torch.constant.int 4
  %end = torch.constant.int 9223372036854775807
  %last = torch.constant.int -1
  %scaling = torch.constant.float 1.5
  %0 = torch.aten.unsqueeze %positions, %zero : !torch.vtensor<[1],si64>, !torch.int -> !torch.vtensor<[1,1],si64>
  %1 = torch.aten.unsqueeze %0, %two : !torch.vtensor<[1,1],si64>, !torch.int -> !torch.vtensor<[1,1,1],si64>
  %2 = torch.aten._to_copy %1, %six, %none, %none, %none, %false, %none : !torch.vtensor<[1,1,1],si64>, !torch.int, !torch.none, !torch.none, !torch.none, !torch.bool, !torch.none -> !torch.vtensor<[1,1,1],f32>
  %3 = torch.aten.mul.Tensor %2, %inv_freq : !torch.vtensor<[1,1,1],f32>, !torch.vtensor<[4],f32> -> !torch.vtensor<[1,1,4],f32>
  %4 = torch.prim.ListConstruct %3, %3 : (!torch.vtensor<[1,1,4],f32>, !torch.vtensor<[1,1,4],f32>) -> !torch.list<vtensor>
  %5 = torch.aten.cat %4, %last : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[1,1,8],f32>
  %cos = torch.aten.cos %5 : !torch.vtensor<[1,1,8],f32> -> !torch.vtensor<[1,1,8],f32>
  %cos_scaled = torch.aten.mul.Scalar %cos, %scaling : !torch.vtensor<[1,1,8],f32>, !torch.float -> !torch.vtensor<[1,1,8],f32>
  %sin = torch.aten.sin %5 : !torch.vtensor<[1,1,8],f32> -> !torch.vtensor<[1,1,8],f32>
  %sin_scaled = torch.aten.mul.Scalar %sin, %scaling : !torch.vtensor<[1,1,8],f32>, !torch.float -> !torch.vtensor<[1,1,8],f32>
  %6 = torch.aten.unsqueeze %cos_scaled, %one : !torch.vtensor<[1,1,8],f32>, !torch.int -> !torch.vtensor<[1,1,1,8],f32>
  %7 = torch.aten.unsqueeze %sin_scaled, %one : !torch.vtensor<[1,1,8],f32>, !torch.int -> !torch.vtensor<[1,1,1,8],f32>
  %8 = torch.aten.mul.Tensor %x, %6 : !torch.vtensor<[1,4,1,8],f32>, !torch.vtensor<[1,1,1,8],f32> -> !torch.vtensor<[1,4,1,8],f32>
  %9 = torch.aten.slice.Tensor %x, %three, %zero, %cut, %one : !torch.vtensor<[1,4,1,8],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,4,1,4],f32>
  %10 = torch.aten.slice.Tensor %x, %three, %cut, %end, %one : !torch.vtensor<[1,4,1,8],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,4,1,4],f32>
  %11 = torch.aten.neg %10 : !torch.vtensor<[1,4,1,4],f32> -> !torch.vtensor<[1,4,1,4],f32>
  %12 = torch.prim.ListConstruct %11, %9 : (!torch.vtensor<[1,4,1,4],f32>, !torch.vtensor<[1,4,1,4],f32>) -> !torch.list<vtensor>
  %13 = torch.aten.cat %12, %last : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[1,4,1,8],f32>
  %14 = torch.aten.mul.Tensor %13, %7 : !torch.vtensor<[1,4,1,8],f32>, !torch.vtensor<[1,1,1,8],f32> -> !torch.vtensor<[1,4,1,8],f32>
  %15 = torch.aten.add.Tensor %8, %14, %one : !torch.vtensor<[1,4,1,8],f32>, !torch.vtensor<[1,4,1,8],f32>, !torch.int -> !torch.vtensor<[1,4,1,8],f32>
  return %15 : !torch.vtensor<[1,4,1,8],f32>
}

// -----

// It refuses: the other half negated, which turns the other way.
// CHECK-LABEL: func.func @other_half
// CHECK-NOT: elx.rope
// CHECK: return
func.func @other_half(%x: !torch.vtensor<[1,4,5,8],f32> {elx.name = "x", elx.kind = "input"}, %positions: !torch.vtensor<[5],si64> {elx.name = "p", elx.kind = "input"}, %inv_freq: !torch.vtensor<[4],f32> {elx.name = "inv_freq", elx.kind = "buffer"}) -> !torch.vtensor<[1,4,5,8],f32> {
  %none = torch.constant.none
  %false = torch.constant.bool false
  %zero = torch.constant.int 0
  %one = torch.constant.int 1
  %two = torch.constant.int 2
  %three = torch.constant.int 3
  %six = torch.constant.int 6
  %cut = torch.constant.int 4
  %end = torch.constant.int 9223372036854775807
  %last = torch.constant.int -1
  %scaling = torch.constant.float 1.0
  %0 = torch.aten.unsqueeze %positions, %zero : !torch.vtensor<[5],si64>, !torch.int -> !torch.vtensor<[1,5],si64>
  %1 = torch.aten.unsqueeze %0, %two : !torch.vtensor<[1,5],si64>, !torch.int -> !torch.vtensor<[1,5,1],si64>
  %2 = torch.aten._to_copy %1, %six, %none, %none, %none, %false, %none : !torch.vtensor<[1,5,1],si64>, !torch.int, !torch.none, !torch.none, !torch.none, !torch.bool, !torch.none -> !torch.vtensor<[1,5,1],f32>
  %3 = torch.aten.mul.Tensor %2, %inv_freq : !torch.vtensor<[1,5,1],f32>, !torch.vtensor<[4],f32> -> !torch.vtensor<[1,5,4],f32>
  %4 = torch.prim.ListConstruct %3, %3 : (!torch.vtensor<[1,5,4],f32>, !torch.vtensor<[1,5,4],f32>) -> !torch.list<vtensor>
  %5 = torch.aten.cat %4, %last : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[1,5,8],f32>
  %cos = torch.aten.cos %5 : !torch.vtensor<[1,5,8],f32> -> !torch.vtensor<[1,5,8],f32>
  %cos_scaled = torch.aten.mul.Scalar %cos, %scaling : !torch.vtensor<[1,5,8],f32>, !torch.float -> !torch.vtensor<[1,5,8],f32>
  %sin = torch.aten.sin %5 : !torch.vtensor<[1,5,8],f32> -> !torch.vtensor<[1,5,8],f32>
  %sin_scaled = torch.aten.mul.Scalar %sin, %scaling : !torch.vtensor<[1,5,8],f32>, !torch.float -> !torch.vtensor<[1,5,8],f32>
  %6 = torch.aten.unsqueeze %cos_scaled, %one : !torch.vtensor<[1,5,8],f32>, !torch.int -> !torch.vtensor<[1,1,5,8],f32>
  %7 = torch.aten.unsqueeze %sin_scaled, %one : !torch.vtensor<[1,5,8],f32>, !torch.int -> !torch.vtensor<[1,1,5,8],f32>
  %8 = torch.aten.mul.Tensor %x, %6 : !torch.vtensor<[1,4,5,8],f32>, !torch.vtensor<[1,1,5,8],f32> -> !torch.vtensor<[1,4,5,8],f32>
  %9 = torch.aten.slice.Tensor %x, %three, %zero, %cut, %one : !torch.vtensor<[1,4,5,8],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,4,5,4],f32>
  %10 = torch.aten.slice.Tensor %x, %three, %cut, %end, %one : !torch.vtensor<[1,4,5,8],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,4,5,4],f32>
  %11 = torch.aten.neg %9 : !torch.vtensor<[1,4,5,4],f32> -> !torch.vtensor<[1,4,5,4],f32>
  %12 = torch.prim.ListConstruct %10, %11 : (!torch.vtensor<[1,4,5,4],f32>, !torch.vtensor<[1,4,5,4],f32>) -> !torch.list<vtensor>
  %13 = torch.aten.cat %12, %last : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[1,4,5,8],f32>
  %14 = torch.aten.mul.Tensor %13, %7 : !torch.vtensor<[1,4,5,8],f32>, !torch.vtensor<[1,1,5,8],f32> -> !torch.vtensor<[1,4,5,8],f32>
  %15 = torch.aten.add.Tensor %8, %14, %one : !torch.vtensor<[1,4,5,8],f32>, !torch.vtensor<[1,4,5,8],f32>, !torch.int -> !torch.vtensor<[1,4,5,8],f32>
  return %15 : !torch.vtensor<[1,4,5,8],f32>
}

// -----

// It leaves alone: halves of unequal width.
// CHECK-LABEL: func.func @unequal
// CHECK-NOT: elx.rope
// CHECK: return
func.func @unequal(%x: !torch.vtensor<[1,4,5,8],f32> {elx.name = "x", elx.kind = "input"}, %positions: !torch.vtensor<[5],si64> {elx.name = "p", elx.kind = "input"}, %inv_freq: !torch.vtensor<[4],f32> {elx.name = "inv_freq", elx.kind = "buffer"}) -> !torch.vtensor<[1,4,5,8],f32> {
  %none = torch.constant.none
  %false = torch.constant.bool false
  %zero = torch.constant.int 0
  %one = torch.constant.int 1
  %two = torch.constant.int 2
  %three = torch.constant.int 3
  %six = torch.constant.int 6
  %cut = torch.constant.int 2
  %end = torch.constant.int 9223372036854775807
  %last = torch.constant.int -1
  %scaling = torch.constant.float 1.0
  %0 = torch.aten.unsqueeze %positions, %zero : !torch.vtensor<[5],si64>, !torch.int -> !torch.vtensor<[1,5],si64>
  %1 = torch.aten.unsqueeze %0, %two : !torch.vtensor<[1,5],si64>, !torch.int -> !torch.vtensor<[1,5,1],si64>
  %2 = torch.aten._to_copy %1, %six, %none, %none, %none, %false, %none : !torch.vtensor<[1,5,1],si64>, !torch.int, !torch.none, !torch.none, !torch.none, !torch.bool, !torch.none -> !torch.vtensor<[1,5,1],f32>
  %3 = torch.aten.mul.Tensor %2, %inv_freq : !torch.vtensor<[1,5,1],f32>, !torch.vtensor<[4],f32> -> !torch.vtensor<[1,5,4],f32>
  %4 = torch.prim.ListConstruct %3, %3 : (!torch.vtensor<[1,5,4],f32>, !torch.vtensor<[1,5,4],f32>) -> !torch.list<vtensor>
  %5 = torch.aten.cat %4, %last : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[1,5,8],f32>
  %cos = torch.aten.cos %5 : !torch.vtensor<[1,5,8],f32> -> !torch.vtensor<[1,5,8],f32>
  %cos_scaled = torch.aten.mul.Scalar %cos, %scaling : !torch.vtensor<[1,5,8],f32>, !torch.float -> !torch.vtensor<[1,5,8],f32>
  %sin = torch.aten.sin %5 : !torch.vtensor<[1,5,8],f32> -> !torch.vtensor<[1,5,8],f32>
  %sin_scaled = torch.aten.mul.Scalar %sin, %scaling : !torch.vtensor<[1,5,8],f32>, !torch.float -> !torch.vtensor<[1,5,8],f32>
  %6 = torch.aten.unsqueeze %cos_scaled, %one : !torch.vtensor<[1,5,8],f32>, !torch.int -> !torch.vtensor<[1,1,5,8],f32>
  %7 = torch.aten.unsqueeze %sin_scaled, %one : !torch.vtensor<[1,5,8],f32>, !torch.int -> !torch.vtensor<[1,1,5,8],f32>
  %8 = torch.aten.mul.Tensor %x, %6 : !torch.vtensor<[1,4,5,8],f32>, !torch.vtensor<[1,1,5,8],f32> -> !torch.vtensor<[1,4,5,8],f32>
  %9 = torch.aten.slice.Tensor %x, %three, %zero, %cut, %one : !torch.vtensor<[1,4,5,8],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,4,5,2],f32>
  %10 = torch.aten.slice.Tensor %x, %three, %cut, %end, %one : !torch.vtensor<[1,4,5,8],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,4,5,6],f32>
  %11 = torch.aten.neg %10 : !torch.vtensor<[1,4,5,6],f32> -> !torch.vtensor<[1,4,5,6],f32>
  %12 = torch.prim.ListConstruct %11, %9 : (!torch.vtensor<[1,4,5,6],f32>, !torch.vtensor<[1,4,5,2],f32>) -> !torch.list<vtensor>
  %13 = torch.aten.cat %12, %last : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[1,4,5,8],f32>
  %14 = torch.aten.mul.Tensor %13, %7 : !torch.vtensor<[1,4,5,8],f32>, !torch.vtensor<[1,1,5,8],f32> -> !torch.vtensor<[1,4,5,8],f32>
  %15 = torch.aten.add.Tensor %8, %14, %one : !torch.vtensor<[1,4,5,8],f32>, !torch.vtensor<[1,4,5,8],f32>, !torch.int -> !torch.vtensor<[1,4,5,8],f32>
  return %15 : !torch.vtensor<[1,4,5,8],f32>
}
