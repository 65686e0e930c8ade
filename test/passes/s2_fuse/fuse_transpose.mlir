// RUN: elastix-opt %s --split-input-file -p fuse-transpose | filecheck %s

// It fires: transpose, permute and t.
// CHECK-LABEL: func.func @fires
// CHECK: "elx.transpose"({{.*}}) {permutation = array<i64: 0, 2, 1, 3>} : (tensor<1x5x4x8xf32>) -> tensor<1x4x5x8xf32>
// CHECK: "elx.transpose"({{.*}}) {permutation = array<i64: 3, 1, 2, 0>} : (tensor<1x5x4x8xf32>) -> tensor<8x5x4x1xf32>
// CHECK: "elx.transpose"({{.*}}) {permutation = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
// CHECK-NOT: torch.aten
func.func @fires(%x: !torch.vtensor<[1,5,4,8],f32>, %m: !torch.vtensor<[2,3],f32>) -> (!torch.vtensor<[1,4,5,8],f32>, !torch.vtensor<[8,5,4,1],f32>, !torch.vtensor<[3,2],f32>) {
  %zero = torch.constant.int 0
  %one = torch.constant.int 1
  %two = torch.constant.int 2
  %last = torch.constant.int -1
  %back = torch.constant.int -3
  %axes = torch.prim.ListConstruct %last, %one, %two, %zero : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.transpose.int %x, %two, %back : !torch.vtensor<[1,5,4,8],f32>, !torch.int, !torch.int -> !torch.vtensor<[1,4,5,8],f32>
  %1 = torch.aten.permute %x, %axes : !torch.vtensor<[1,5,4,8],f32>, !torch.list<int> -> !torch.vtensor<[8,5,4,1],f32>
  %2 = torch.aten.t %m : !torch.vtensor<[2,3],f32> -> !torch.vtensor<[3,2],f32>
  return %0, %1, %2 : !torch.vtensor<[1,4,5,8],f32>, !torch.vtensor<[8,5,4,1],f32>, !torch.vtensor<[3,2],f32>
}

// -----

// It fires: where only axes of size 1 move, no data does.
// CHECK-LABEL: func.func @ones_move
// CHECK: "elx.reshape"({{.*}}) : (tensor<1x1x4x8xf32>) -> tensor<1x4x1x8xf32>
// CHECK-NOT: elx.transpose
func.func @ones_move(%x: !torch.vtensor<[1,1,4,8],f32>) -> !torch.vtensor<[1,4,1,8],f32> {
  %one = torch.constant.int 1
  %two = torch.constant.int 2
  %0 = torch.aten.transpose.int %x, %one, %two : !torch.vtensor<[1,1,4,8],f32>, !torch.int, !torch.int -> !torch.vtensor<[1,4,1,8],f32>
  return %0 : !torch.vtensor<[1,4,1,8],f32>
}

// -----

// It leaves alone: integers.
// CHECK-LABEL: func.func @integers
// CHECK: torch.aten.transpose.int
func.func @integers(%x: !torch.vtensor<[3,4],si64>) -> !torch.vtensor<[4,3],si64> {
  %zero = torch.constant.int 0
  %one = torch.constant.int 1
  %0 = torch.aten.transpose.int %x, %zero, %one : !torch.vtensor<[3,4],si64>, !torch.int, !torch.int -> !torch.vtensor<[4,3],si64>
  return %0 : !torch.vtensor<[4,3],si64>
}

// -----

// It refuses: a view, which has the transpose's shape but keeps the elements in their order.
// CHECK-LABEL: func.func @view
// CHECK-NOT: elx.transpose
// CHECK: return
func.func @view(%x: !torch.vtensor<[3,4],f32>) -> !torch.vtensor<[4,3],f32> {
  %three = torch.constant.int 3
  %four = torch.constant.int 4
  %shape = torch.prim.ListConstruct %four, %three : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.view %x, %shape : !torch.vtensor<[3,4],f32>, !torch.list<int> -> !torch.vtensor<[4,3],f32>
  return %0 : !torch.vtensor<[4,3],f32>
}
