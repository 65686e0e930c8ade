// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p drop-noise | filecheck %s

// It fires: what only tracing needs goes.
// CHECK-LABEL: func.func @fires(
// CHECK-SAME: %[[X:.*]]: !torch.vtensor<[2,3],f32>)
// CHECK-NEXT: return %[[X]]
func.func @fires(%x: !torch.vtensor<[2,3],f32>) -> !torch.vtensor<[2,3],f32> {
  %none = torch.constant.none
  %false = torch.constant.bool false
  %zero = torch.constant.int 0
  %three = torch.constant.int 3
  %one = torch.constant.int 1
  %six = torch.constant.int 6
  %half = torch.constant.float 0.5
  %unit = torch.constant.float 1.0
  torch.aten._assert_tensor_metadata %x, %none, %none, %six, %none, %none : !torch.vtensor<[2,3],f32>, !torch.none, !torch.none, !torch.int, !torch.none, !torch.none
  %0 = torch.aten.alias %x : !torch.vtensor<[2,3],f32> -> !torch.vtensor<[2,3],f32>
  %1 = torch.aten.detach %0 : !torch.vtensor<[2,3],f32> -> !torch.vtensor<[2,3],f32>
  %2 = torch.aten.clone %1, %none : !torch.vtensor<[2,3],f32>, !torch.none -> !torch.vtensor<[2,3],f32>
  %3 = torch.aten.dropout %2, %half, %false : !torch.vtensor<[2,3],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,3],f32>
  %4 = torch.aten._to_copy %3, %six, %none, %none, %none, %false, %none : !torch.vtensor<[2,3],f32>, !torch.int, !torch.none, !torch.none, !torch.none, !torch.bool, !torch.none -> !torch.vtensor<[2,3],f32>
  %5 = torch.aten.slice.Tensor %4, %one, %zero, %three, %one : !torch.vtensor<[2,3],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,3],f32>
  %6 = torch.aten.mul.Scalar %5, %unit : !torch.vtensor<[2,3],f32>, !torch.float -> !torch.vtensor<[2,3],f32>
  return %6 : !torch.vtensor<[2,3],f32>
}

// -----

// It fires: a cache that starts empty adds nothing to what is joined to it.
// CHECK-LABEL: func.func @empty_cat
// CHECK-NOT: torch.aten.cat
// CHECK: return %arg1
func.func @empty_cat(%none: !torch.vtensor<[0],f32>, %x: !torch.vtensor<[1,2,3,4],f32>) -> !torch.vtensor<[1,2,3,4],f32> {
  %axis = torch.constant.int 2
  %list = torch.prim.ListConstruct %none, %x : (!torch.vtensor<[0],f32>, !torch.vtensor<[1,2,3,4],f32>) -> !torch.list<vtensor>
  %0 = torch.aten.cat %list, %axis : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[1,2,3,4],f32>
  return %0 : !torch.vtensor<[1,2,3,4],f32>
}

// -----

// It leaves alone: a copy to another type, a slice of a part, a factor that is not 1.
// CHECK-LABEL: func.func @leaves_alone
// CHECK: torch.aten._to_copy
// CHECK: torch.aten.slice.Tensor
// CHECK: torch.aten.mul.Scalar
func.func @leaves_alone(%x: !torch.vtensor<[2,3],f32>) -> !torch.vtensor<[2,2],f64> {
  %none = torch.constant.none
  %false = torch.constant.bool false
  %zero = torch.constant.int 0
  %two = torch.constant.int 2
  %one = torch.constant.int 1
  %seven = torch.constant.int 7
  %half = torch.constant.float 0.5
  %1 = torch.aten._to_copy %x, %seven, %none, %none, %none, %false, %none : !torch.vtensor<[2,3],f32>, !torch.int, !torch.none, !torch.none, !torch.none, !torch.bool, !torch.none -> !torch.vtensor<[2,3],f64>
  %2 = torch.aten.slice.Tensor %1, %one, %zero, %two, %one : !torch.vtensor<[2,3],f64>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,2],f64>
  %3 = torch.aten.mul.Scalar %2, %half : !torch.vtensor<[2,2],f64>, !torch.float -> !torch.vtensor<[2,2],f64>
  return %3 : !torch.vtensor<[2,2],f64>
}

// -----

// It refuses: a dropout that is on.
func.func @refuses(%x: !torch.vtensor<[2,3],f32>) -> !torch.vtensor<[2,3],f32> {
  %true = torch.constant.bool true
  %half = torch.constant.float 0.5
  // expected-error@+1 {{'torch.aten.dropout' op it drops at random; wanted: a dropout that is off; call model.eval() before}}
  %0 = torch.aten.dropout %x, %half, %true : !torch.vtensor<[2,3],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,3],f32>
  return %0 : !torch.vtensor<[2,3],f32>
}
