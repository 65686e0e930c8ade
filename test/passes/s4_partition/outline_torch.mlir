// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p outline-torch | filecheck %s

// It fires: connected torch ops are one function; an elx op between them makes two; groups that are alike share one.
// CHECK-LABEL: func.func @fires
// CHECK-NEXT: %[[A:.*]] = call @torch_0(%arg0) : (tensor<2xf32>) -> tensor<2xf32>
// CHECK-NEXT: %[[B:.*]] = "elx.activation"(%[[A]])
// CHECK-NEXT: %[[C:.*]] = call @torch_0(%[[B]]) : (tensor<2xf32>) -> tensor<2xf32>
// CHECK-NEXT: %[[D:.*]] = "elx.residual"(%[[C]], %[[A]])
// CHECK-NEXT: %[[E:.*]]:2 = call @torch_1(%[[D]], %[[B]]) : (tensor<2xf32>, tensor<2xf32>) -> (tensor<2xf32>, tensor<2xi1>)
// CHECK-NEXT: return %[[E]]#0, %[[E]]#1
// CHECK: module @torch_functions
// CHECK: func.func @torch_0(%arg0: !torch.vtensor<[2],f32>) -> !torch.vtensor<[2],f32>
// CHECK-NEXT: torch.aten.sin
// CHECK-NEXT: torch.aten.cos
// CHECK-NEXT: return
// CHECK: func.func @torch_1(%arg0: !torch.vtensor<[2],f32>, %arg1: !torch.vtensor<[2],f32>) -> (!torch.vtensor<[2],f32>, !torch.vtensor<[2],i1>)
// CHECK: torch.aten.add.Tensor %arg0, %arg1, %int1
// CHECK: func.func private @torch_0(tensor<2xf32>) -> tensor<2xf32>
// CHECK: func.func private @torch_1(tensor<2xf32>, tensor<2xf32>) -> (tensor<2xf32>, tensor<2xi1>)
func.func @fires(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xi1>) {
  %one = torch.constant.int 1
  %0 = torch_c.from_builtin_tensor %x : tensor<2xf32> -> !torch.vtensor<[2],f32>
  %1 = torch.aten.sin %0 : !torch.vtensor<[2],f32> -> !torch.vtensor<[2],f32>
  %2 = torch.aten.cos %1 : !torch.vtensor<[2],f32> -> !torch.vtensor<[2],f32>
  %3 = torch_c.to_builtin_tensor %2 : !torch.vtensor<[2],f32> -> tensor<2xf32>
  %4 = "elx.activation"(%3) {kind = "relu"} : (tensor<2xf32>) -> tensor<2xf32>
  %5 = torch_c.from_builtin_tensor %4 : tensor<2xf32> -> !torch.vtensor<[2],f32>
  %6 = torch.aten.sin %5 : !torch.vtensor<[2],f32> -> !torch.vtensor<[2],f32>
  %7 = torch.aten.cos %6 : !torch.vtensor<[2],f32> -> !torch.vtensor<[2],f32>
  %8 = torch_c.to_builtin_tensor %7 : !torch.vtensor<[2],f32> -> tensor<2xf32>
  %9 = "elx.residual"(%8, %3) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %10 = torch_c.from_builtin_tensor %9 : tensor<2xf32> -> !torch.vtensor<[2],f32>
  %11 = torch.aten.add.Tensor %10, %5, %one : !torch.vtensor<[2],f32>, !torch.vtensor<[2],f32>, !torch.int -> !torch.vtensor<[2],f32>
  %12 = torch.aten.gt.Tensor %11, %10 : !torch.vtensor<[2],f32>, !torch.vtensor<[2],f32> -> !torch.vtensor<[2],i1>
  %13 = torch_c.to_builtin_tensor %11 : !torch.vtensor<[2],f32> -> tensor<2xf32>
  %14 = torch_c.to_builtin_tensor %12 : !torch.vtensor<[2],i1> -> tensor<2xi1>
  return %13, %14 : tensor<2xf32>, tensor<2xi1>
}

// -----

// It fires: a list of tensors goes with the op that reads it, and an op that was written before what it waits for moves.
// CHECK-LABEL: func.func @lists
// CHECK-NEXT: %[[A:.*]] = "elx.activation"(%arg0)
// CHECK-NEXT: %[[B:.*]] = call @torch_0(%arg0, %[[A]])
// CHECK-NEXT: return %[[B]]
// CHECK: torch.prim.ListConstruct
// CHECK: torch.aten.cat
func.func @lists(%x: tensor<2xf32>) -> tensor<4xf32> {
  %zero = torch.constant.int 0
  %0 = torch_c.from_builtin_tensor %x : tensor<2xf32> -> !torch.vtensor<[2],f32>
  %1 = torch.aten.sin %0 : !torch.vtensor<[2],f32> -> !torch.vtensor<[2],f32>
  %2 = "elx.activation"(%x) {kind = "relu"} : (tensor<2xf32>) -> tensor<2xf32>
  %3 = torch_c.from_builtin_tensor %2 : tensor<2xf32> -> !torch.vtensor<[2],f32>
  %4 = torch.prim.ListConstruct %1, %3 : (!torch.vtensor<[2],f32>, !torch.vtensor<[2],f32>) -> !torch.list<vtensor>
  %5 = torch.aten.cat %4, %zero : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[4],f32>
  %6 = torch_c.to_builtin_tensor %5 : !torch.vtensor<[4],f32> -> tensor<4xf32>
  return %6 : tensor<4xf32>
}

// -----

// It leaves alone: a function without torch ops; conversions there and back vanish.
// CHECK-LABEL: func.func @leaves_alone
// CHECK-NEXT: "elx.activation"(%arg0)
// CHECK-NOT: module
func.func @leaves_alone(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = torch_c.from_builtin_tensor %x : tensor<2xf32> -> !torch.vtensor<[2],f32>
  %1 = torch_c.to_builtin_tensor %0 : !torch.vtensor<[2],f32> -> tensor<2xf32>
  %2 = "elx.activation"(%1) {kind = "relu"} : (tensor<2xf32>) -> tensor<2xf32>
  return %2 : tensor<2xf32>
}

// -----

// It refuses: a tensor whose shape is not known where functions meet.
func.func @refuses(%x: tensor<2xf32>) -> tensor<?x1xi64> {
  %0 = torch_c.from_builtin_tensor %x : tensor<2xf32> -> !torch.vtensor<[2],f32>
  // expected-error@+1 {{'torch.aten.nonzero' op it makes !torch.vtensor<[?,1],si64>; wanted: a tensor of fixed shape; give concrete example inputs}}
  %1 = torch.aten.nonzero %0 : !torch.vtensor<[2],f32> -> !torch.vtensor<[?,1],si64>
  %2 = torch_c.to_builtin_tensor %1 : !torch.vtensor<[?,1],si64> -> tensor<?x1xi64>
  return %2 : tensor<?x1xi64>
}
