// RUN: elastix-opt %s --split-input-file -p fuse-linear,split-linear | filecheck %s

// It fires: one product cut in two, through a reshape; the store is asked for the rows.
// CHECK-LABEL: func.func @fires
// CHECK-SAME: elx.name = "w[0:32]"}
// CHECK-SAME: elx.name = "b[0:32]"}
// CHECK-SAME: elx.name = "w[32:64]"}
// CHECK-SAME: elx.name = "b[32:64]"}
// CHECK: %[[A:.*]] = "elx.linear"({{.*}}) : (tensor<1x64xf32>, tensor<32x64xf32>, tensor<32xf32>) -> tensor<1x32xf32>
// CHECK: "elx.reshape"(%[[A]]) : (tensor<1x32xf32>) -> tensor<1x1x32xf32>
// CHECK: %[[B:.*]] = "elx.linear"({{.*}}) : (tensor<1x64xf32>, tensor<32x64xf32>, tensor<32xf32>) -> tensor<1x32xf32>
// CHECK: "elx.reshape"(%[[B]]) : (tensor<1x32xf32>) -> tensor<1x1x32xf32>
func.func @fires(%w: !torch.vtensor<[64,64],f32> {elx.name = "w", elx.kind = "weight"}, %b: !torch.vtensor<[64],f32> {elx.name = "b", elx.kind = "weight"}, %x: !torch.vtensor<[1,64],f32> {elx.name = "x", elx.kind = "input"}) -> (!torch.vtensor<[1,1,32],f32>, !torch.vtensor<[1,1,32],f32>) {
  %one = torch.constant.int 1
  %two = torch.constant.int 2
  %half = torch.constant.int 32
  %all = torch.constant.int 64
  %shape = torch.prim.ListConstruct %one, %one, %all : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.linear %x, %w, %b : !torch.vtensor<[1,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[1,64],f32>
  %1 = torch.aten.view %0, %shape : !torch.vtensor<[1,64],f32>, !torch.list<int> -> !torch.vtensor<[1,1,64],f32>
  %2 = torch.aten.split.Tensor %1, %half, %two : !torch.vtensor<[1,1,64],f32>, !torch.int, !torch.int -> !torch.list<vtensor>
  %3:2 = torch.prim.ListUnpack %2 : !torch.list<vtensor> -> !torch.vtensor<[1,1,32],f32>, !torch.vtensor<[1,1,32],f32>
  return %3#0, %3#1 : !torch.vtensor<[1,1,32],f32>, !torch.vtensor<[1,1,32],f32>
}

// -----

// It fires: a slice of the columns.
// CHECK-LABEL: func.func @slice
// CHECK-SAME: elx.name = "w[8:24]"}
// CHECK: "elx.linear"({{.*}}) : (tensor<1x64xf32>, tensor<16x64xf32>) -> tensor<1x16xf32>
func.func @slice(%w: !torch.vtensor<[64,64],f32> {elx.name = "w", elx.kind = "weight"}, %x: !torch.vtensor<[1,64],f32> {elx.name = "x", elx.kind = "input"}) -> !torch.vtensor<[1,16],f32> {
  %none = torch.constant.none
  %one = torch.constant.int 1
  %first = torch.constant.int 8
  %last = torch.constant.int 24
  %0 = torch.aten.linear %x, %w, %none : !torch.vtensor<[1,64],f32>, !torch.vtensor<[64,64],f32>, !torch.none -> !torch.vtensor<[1,64],f32>
  %1 = torch.aten.slice.Tensor %0, %one, %first, %last, %one : !torch.vtensor<[1,64],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,16],f32>
  return %1 : !torch.vtensor<[1,16],f32>
}

// -----

// It leaves alone: a split of the rows of x, and a slice of something else.
// CHECK-LABEL: func.func @leaves_alone
// CHECK: torch.aten.split.Tensor
// CHECK: torch.aten.slice.Tensor
func.func @leaves_alone(%w: !torch.vtensor<[64,64],f32> {elx.name = "w", elx.kind = "weight"}, %x: !torch.vtensor<[2,64],f32> {elx.name = "x", elx.kind = "input"}) -> (!torch.vtensor<[1,64],f32>, !torch.vtensor<[1,64],f32>, !torch.vtensor<[2,32],f32>) {
  %none = torch.constant.none
  %zero = torch.constant.int 0
  %one = torch.constant.int 1
  %half = torch.constant.int 32
  %0 = torch.aten.linear %x, %w, %none : !torch.vtensor<[2,64],f32>, !torch.vtensor<[64,64],f32>, !torch.none -> !torch.vtensor<[2,64],f32>
  %1 = torch.aten.split.Tensor %0, %one, %zero : !torch.vtensor<[2,64],f32>, !torch.int, !torch.int -> !torch.list<vtensor>
  %2:2 = torch.prim.ListUnpack %1 : !torch.list<vtensor> -> !torch.vtensor<[1,64],f32>, !torch.vtensor<[1,64],f32>
  %4 = torch.aten.slice.Tensor %x, %one, %zero, %half, %one : !torch.vtensor<[2,64],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,32],f32>
  return %2#0, %2#1, %4 : !torch.vtensor<[1,64],f32>, !torch.vtensor<[1,64],f32>, !torch.vtensor<[2,32],f32>
}

// -----

// It refuses: every second column, which no rows in a row of the weight give.
// CHECK-LABEL: func.func @every_second
// CHECK-SAME: %arg0: !torch.vtensor<[64,64],f32> {{.*}}, %arg1: !torch.vtensor<[2,64],f32> {{{.*}}}) ->
// CHECK: "elx.linear"({{.*}}) : (tensor<2x64xf32>, tensor<64x64xf32>) -> tensor<2x64xf32>
// CHECK-NOT: elx.linear
// CHECK: torch.aten.slice.Tensor
// CHECK-NOT: elx.linear
// CHECK: return
func.func @every_second(%w: !torch.vtensor<[64,64],f32> {elx.name = "w", elx.kind = "weight"}, %x: !torch.vtensor<[2,64],f32> {elx.name = "x", elx.kind = "input"}) -> !torch.vtensor<[2,32],f32> {
  %none = torch.constant.none
  %zero = torch.constant.int 0
  %one = torch.constant.int 1
  %two = torch.constant.int 2
  %all = torch.constant.int 64
  %0 = torch.aten.linear %x, %w, %none : !torch.vtensor<[2,64],f32>, !torch.vtensor<[64,64],f32>, !torch.none -> !torch.vtensor<[2,64],f32>
  %1 = torch.aten.slice.Tensor %0, %one, %zero, %all, %two : !torch.vtensor<[2,64],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,32],f32>
  return %1 : !torch.vtensor<[2,32],f32>
}
