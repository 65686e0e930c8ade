// RUN: elastix-opt %s --split-input-file -p fuse-reshape | filecheck %s

// It fires: reshapes in a row become one.
// CHECK-LABEL: func.func @fires
// CHECK: "elx.reshape"({{.*}}) : (tensor<1x64xf32>) -> tensor<1x4x16xf32>
// CHECK-NOT: elx.reshape
// CHECK: return
func.func @fires(%x: !torch.vtensor<[1,64],f32>) -> !torch.vtensor<[1,4,16],f32> {
  %zero = torch.constant.int 0
  %one = torch.constant.int 1
  %four = torch.constant.int 4
  %rest = torch.constant.int -1
  %shape = torch.prim.ListConstruct %one, %one, %four, %rest : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.unsqueeze %x, %zero : !torch.vtensor<[1,64],f32>, !torch.int -> !torch.vtensor<[1,1,64],f32>
  %1 = torch.aten.view %0, %shape : !torch.vtensor<[1,1,64],f32>, !torch.list<int> -> !torch.vtensor<[1,1,4,16],f32>
  %2 = torch.aten.squeeze.dim %1, %zero : !torch.vtensor<[1,1,4,16],f32>, !torch.int -> !torch.vtensor<[1,4,16],f32>
  return %2 : !torch.vtensor<[1,4,16],f32>
}

// -----

// It fires: there and back is nothing; an input of integers may change its shape.
// CHECK-LABEL: func.func @there_and_back
// CHECK: "elx.reshape"({{.*}}) : (tensor<1x3xi64>) -> tensor<3xi64>
// CHECK-NOT: elx.reshape
// CHECK: return
func.func @there_and_back(%x: !torch.vtensor<[1,64],f32>, %ids: !torch.vtensor<[1,3],si64>) -> (!torch.vtensor<[1,64],f32>, !torch.vtensor<[3],si64>) {
  %zero = torch.constant.int 0
  %0 = torch.aten.unsqueeze %x, %zero : !torch.vtensor<[1,64],f32>, !torch.int -> !torch.vtensor<[1,1,64],f32>
  %1 = torch.aten.squeeze.dim %0, %zero : !torch.vtensor<[1,1,64],f32>, !torch.int -> !torch.vtensor<[1,64],f32>
  %2 = torch.aten.squeeze %ids : !torch.vtensor<[1,3],si64> -> !torch.vtensor<[3],si64>
  return %1, %2 : !torch.vtensor<[1,64],f32>, !torch.vtensor<[3],si64>
}

// -----

// It leaves alone: an expansion that repeats, bools, integers that are computed.
// CHECK-LABEL: func.func @leaves_alone
// CHECK: torch.aten.expand
// CHECK: torch.aten.unsqueeze
// CHECK: torch.aten.unsqueeze
// CHECK-NOT: elx.reshape
func.func @leaves_alone(%x: !torch.vtensor<[1,4],f32>, %b: !torch.vtensor<[4],i1>, %i: !torch.vtensor<[4],si64>) -> (!torch.vtensor<[2,4],f32>, !torch.vtensor<[1,4],i1>, !torch.vtensor<[1,4],si64>) {
  %zero = torch.constant.int 0
  %one = torch.constant.int 1
  %two = torch.constant.int 2
  %four = torch.constant.int 4
  %false = torch.constant.bool false
  %shape = torch.prim.ListConstruct %two, %four : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.expand %x, %shape, %false : !torch.vtensor<[1,4],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4],f32>
  %1 = torch.aten.unsqueeze %b, %zero : !torch.vtensor<[4],i1>, !torch.int -> !torch.vtensor<[1,4],i1>
  %2 = torch.aten.add.Scalar %i, %one, %one : !torch.vtensor<[4],si64>, !torch.int, !torch.int -> !torch.vtensor<[4],si64>
  %3 = torch.aten.unsqueeze %2, %zero : !torch.vtensor<[4],si64>, !torch.int -> !torch.vtensor<[1,4],si64>
  return %0, %1, %3 : !torch.vtensor<[2,4],f32>, !torch.vtensor<[1,4],i1>, !torch.vtensor<[1,4],si64>
}

// -----

// It refuses: transposing a square and reversing a row, which give the same shape but move the elements.
// CHECK-LABEL: func.func @refuses
// CHECK-NOT: elx.reshape
// CHECK: return
func.func @refuses(%x: !torch.vtensor<[4,4],f32>) -> (!torch.vtensor<[4,4],f32>, !torch.vtensor<[4,4],f32>) {
  %zero = torch.constant.int 0
  %one = torch.constant.int 1
  %axes = torch.prim.ListConstruct %one : (!torch.int) -> !torch.list<int>
  %0 = torch.aten.transpose.int %x, %zero, %one : !torch.vtensor<[4,4],f32>, !torch.int, !torch.int -> !torch.vtensor<[4,4],f32>
  %1 = torch.aten.flip %x, %axes : !torch.vtensor<[4,4],f32>, !torch.list<int> -> !torch.vtensor<[4,4],f32>
  return %0, %1 : !torch.vtensor<[4,4],f32>, !torch.vtensor<[4,4],f32>
}
