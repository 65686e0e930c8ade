// RUN: elastix-opt %s --split-input-file -p fuse-linear | filecheck %s

// It fires: linear, with and without bias.
// CHECK-LABEL: func.func @fires
// CHECK: "elx.linear"({{.*}}) : (tensor<1x1x64xf32>, tensor<32x64xf32>, tensor<32xf32>) -> tensor<1x1x32xf32>
// CHECK: "elx.linear"({{.*}}) : (tensor<1x1x64xf32>, tensor<32x64xf32>) -> tensor<1x1x32xf32>
// CHECK-NOT: torch.aten
func.func @fires(%w: !torch.vtensor<[32,64],f32> {elx.name = "w", elx.kind = "weight"}, %b: !torch.vtensor<[32],f32> {elx.name = "b", elx.kind = "weight"}, %x: !torch.vtensor<[1,1,64],f32>) -> (!torch.vtensor<[1,1,32],f32>, !torch.vtensor<[1,1,32],f32>) {
  %none = torch.constant.none
  %0 = torch.aten.linear %x, %w, %b : !torch.vtensor<[1,1,64],f32>, !torch.vtensor<[32,64],f32>, !torch.vtensor<[32],f32> -> !torch.vtensor<[1,1,32],f32>
  %1 = torch.aten.linear %x, %w, %none : !torch.vtensor<[1,1,64],f32>, !torch.vtensor<[32,64],f32>, !torch.none -> !torch.vtensor<[1,1,32],f32>
  return %0, %1 : !torch.vtensor<[1,1,32],f32>, !torch.vtensor<[1,1,32],f32>
}

// -----

// It fires: a product with a K x N weight, which the store is asked for transposed, and the bias added after it.
// CHECK-LABEL: func.func @columns_first
// CHECK-SAME: %[[T:.*]]: !torch.vtensor<[32,64],f32> {elx.kind = "weight", elx.name = "w.T"}, %[[B:.*]]: !torch.vtensor<[32],f32> {elx.kind = "weight", elx.name = "b.flat"})
// CHECK: "elx.linear"({{.*}}) : (tensor<1x64xf32>, tensor<32x64xf32>, tensor<32xf32>) -> tensor<1x32xf32>
// CHECK: "elx.linear"({{.*}}) : (tensor<1x64xf32>, tensor<32x64xf32>, tensor<32xf32>) -> tensor<1x32xf32>
// CHECK-NOT: torch.aten
func.func @columns_first(%w: !torch.vtensor<[64,32],f32> {elx.name = "w", elx.kind = "weight"}, %b: !torch.vtensor<[1,32],f32> {elx.name = "b", elx.kind = "weight"}, %x: !torch.vtensor<[1,64],f32> {elx.name = "x", elx.kind = "input"}) -> (!torch.vtensor<[1,32],f32>, !torch.vtensor<[1,32],f32>) {
  %one = torch.constant.int 1
  %0 = torch.aten.matmul %x, %w : !torch.vtensor<[1,64],f32>, !torch.vtensor<[64,32],f32> -> !torch.vtensor<[1,32],f32>
  %1 = torch.aten.add.Tensor %0, %b, %one : !torch.vtensor<[1,32],f32>, !torch.vtensor<[1,32],f32>, !torch.int -> !torch.vtensor<[1,32],f32>
  %2 = torch.aten.addmm %b, %x, %w, %one, %one : !torch.vtensor<[1,32],f32>, !torch.vtensor<[1,64],f32>, !torch.vtensor<[64,32],f32>, !torch.int, !torch.int -> !torch.vtensor<[1,32],f32>
  return %1, %2 : !torch.vtensor<[1,32],f32>, !torch.vtensor<[1,32],f32>
}

// -----

// It fires: a product with a transposed weight.
// CHECK-LABEL: func.func @transposed
// CHECK: %[[W:.*]] = torch_c.to_builtin_tensor %arg0 : !torch.vtensor<[32,64],f32> -> tensor<32x64xf32>
// CHECK: "elx.linear"(%{{.*}}, %[[W]])
func.func @transposed(%w: !torch.vtensor<[32,64],f32> {elx.name = "w", elx.kind = "weight"}, %x: !torch.vtensor<[1,64],f32>) -> !torch.vtensor<[1,32],f32> {
  %t = torch.aten.t %w : !torch.vtensor<[32,64],f32> -> !torch.vtensor<[64,32],f32>
  %0 = torch.aten.mm %x, %t : !torch.vtensor<[1,64],f32>, !torch.vtensor<[64,32],f32> -> !torch.vtensor<[1,32],f32>
  return %0 : !torch.vtensor<[1,32],f32>
}

// -----

// It leaves alone: a product of two inputs, and one with a factor.
// CHECK-LABEL: func.func @leaves_alone
// CHECK: torch.aten.mm
// CHECK: torch.aten.addmm
// CHECK-NOT: elx.linear
func.func @leaves_alone(%w: !torch.vtensor<[64,32],f32> {elx.name = "w", elx.kind = "weight"}, %b: !torch.vtensor<[32],f32> {elx.name = "b", elx.kind = "weight"}, %x: !torch.vtensor<[1,64],f32> {elx.name = "x", elx.kind = "input"}, %y: !torch.vtensor<[64,32],f32> {elx.name = "y", elx.kind = "input"}) -> (!torch.vtensor<[1,32],f32>, !torch.vtensor<[1,32],f32>) {
  %one = torch.constant.int 1
  %two = torch.constant.int 2
  %0 = torch.aten.mm %x, %y : !torch.vtensor<[1,64],f32>, !torch.vtensor<[64,32],f32> -> !torch.vtensor<[1,32],f32>
  %1 = torch.aten.addmm %b, %x, %w, %two, %one : !torch.vtensor<[32],f32>, !torch.vtensor<[1,64],f32>, !torch.vtensor<[64,32],f32>, !torch.int, !torch.int -> !torch.vtensor<[1,32],f32>
  return %0, %1 : !torch.vtensor<[1,32],f32>, !torch.vtensor<[1,32],f32>
}

// -----

// It refuses: a square weight on the left, and one that is transposed twice, which the op would transpose once.
// CHECK-LABEL: func.func @refuses
// CHECK-NOT: elx.linear
// CHECK: return
func.func @refuses(%w: !torch.vtensor<[64,64],f32> {elx.name = "w", elx.kind = "weight"}, %x: !torch.vtensor<[64,64],f32>) -> (!torch.vtensor<[64,64],f32>, !torch.vtensor<[64,64],f32>) {
  %0 = torch.aten.mm %w, %x : !torch.vtensor<[64,64],f32>, !torch.vtensor<[64,64],f32> -> !torch.vtensor<[64,64],f32>
  %1 = torch.aten.t %w : !torch.vtensor<[64,64],f32> -> !torch.vtensor<[64,64],f32>
  %2 = torch.aten.t %1 : !torch.vtensor<[64,64],f32> -> !torch.vtensor<[64,64],f32>
  %3 = torch.aten.mm %x, %2 : !torch.vtensor<[64,64],f32>, !torch.vtensor<[64,64],f32> -> !torch.vtensor<[64,64],f32>
  return %0, %3 : !torch.vtensor<[64,64],f32>, !torch.vtensor<[64,64],f32>
}
