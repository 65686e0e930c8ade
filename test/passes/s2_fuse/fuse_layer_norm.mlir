// RUN: elastix-opt %s --split-input-file -p fuse-layer-norm | filecheck %s

// It fires.
// CHECK-LABEL: func.func @fires
// CHECK: "elx.layer_norm"({{.*}}) {eps = 9.99999974E-6 : f32} : (tensor<2x64xf32>, tensor<64xf32>, tensor<64xf32>) -> tensor<2x64xf32>
// CHECK-NOT: torch.aten
func.func @fires(%w: !torch.vtensor<[64],f32> {elx.name = "w", elx.kind = "weight"}, %b: !torch.vtensor<[64],f32> {elx.name = "b", elx.kind = "weight"}, %x: !torch.vtensor<[2,64],f32>) -> !torch.vtensor<[2,64],f32> {
  %k = torch.constant.int 64
  %eps = torch.constant.float 1.0e-05
  %false = torch.constant.bool false
  %sizes = torch.prim.ListConstruct %k : (!torch.int) -> !torch.list<int>
  %0 = torch.aten.layer_norm %x, %sizes, %w, %b, %eps, %false : !torch.vtensor<[2,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,64],f32>
  return %0 : !torch.vtensor<[2,64],f32>
}

// -----

// It refuses: a norm over two dimensions; the op takes the mean of each row.
// CHECK-LABEL: func.func @two_dimensions
// CHECK-NOT: elx.layer_norm
// CHECK: torch.aten.layer_norm
func.func @two_dimensions(%w: !torch.vtensor<[2,64],f32> {elx.name = "w", elx.kind = "weight"}, %x: !torch.vtensor<[3,2,64],f32>) -> !torch.vtensor<[3,2,64],f32> {
  %two = torch.constant.int 2
  %k = torch.constant.int 64
  %eps = torch.constant.float 1.0e-05
  %false = torch.constant.bool false
  %sizes = torch.prim.ListConstruct %two, %k : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.layer_norm %x, %sizes, %w, %w, %eps, %false : !torch.vtensor<[3,2,64],f32>, !torch.list<int>, !torch.vtensor<[2,64],f32>, !torch.vtensor<[2,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[3,2,64],f32>
  return %0 : !torch.vtensor<[3,2,64],f32>
}

// -----

// It leaves alone: a norm without a bias, or with a weight that is an input.
// CHECK-LABEL: func.func @no_bias
// CHECK: torch.aten.layer_norm
// CHECK: torch.aten.layer_norm
func.func @no_bias(%w: !torch.vtensor<[64],f32> {elx.name = "w", elx.kind = "weight"}, %y: !torch.vtensor<[64],f32> {elx.name = "y", elx.kind = "input"}, %x: !torch.vtensor<[2,64],f32>) -> (!torch.vtensor<[2,64],f32>, !torch.vtensor<[2,64],f32>) {
  %k = torch.constant.int 64
  %none = torch.constant.none
  %eps = torch.constant.float 1.0e-05
  %false = torch.constant.bool false
  %sizes = torch.prim.ListConstruct %k : (!torch.int) -> !torch.list<int>
  %0 = torch.aten.layer_norm %x, %sizes, %w, %none, %eps, %false : !torch.vtensor<[2,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.none, !torch.float, !torch.bool -> !torch.vtensor<[2,64],f32>
  %1 = torch.aten.layer_norm %x, %sizes, %y, %w, %eps, %false : !torch.vtensor<[2,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,64],f32>
  return %0, %1 : !torch.vtensor<[2,64],f32>, !torch.vtensor<[2,64],f32>
}
