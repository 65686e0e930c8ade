// RUN: elastix-opt %s --split-input-file -p fuse-embedding | filecheck %s

// It fires.
// CHECK-LABEL: func.func @fires
// CHECK: %[[T:.*]] = torch_c.to_builtin_tensor %arg0
// CHECK: "elx.embedding"(%{{.*}}, %[[T]]) : (tensor<1x5xi64>, tensor<100x64xf32>) -> tensor<1x5x64xf32>
// CHECK-NOT: torch.aten
func.func @fires(%table: !torch.vtensor<[100,64],f32> {elx.name = "w", elx.kind = "weight"}, %ids: !torch.vtensor<[1,5],si64>) -> !torch.vtensor<[1,5,64],f32> {
  %minus = torch.constant.int -1
  %false = torch.constant.bool false
  %0 = torch.aten.embedding %table, %ids, %minus, %false, %false : !torch.vtensor<[100,64],f32>, !torch.vtensor<[1,5],si64>, !torch.int, !torch.bool, !torch.bool -> !torch.vtensor<[1,5,64],f32>
  return %0 : !torch.vtensor<[1,5,64],f32>
}

// -----

// It leaves alone: a table that is an input.
// CHECK-LABEL: func.func @table_is_an_input
// CHECK: torch.aten.embedding
func.func @table_is_an_input(%table: !torch.vtensor<[100,64],f32> {elx.name = "x", elx.kind = "input"}, %ids: !torch.vtensor<[1,5],si64>) -> !torch.vtensor<[1,5,64],f32> {
  %minus = torch.constant.int -1
  %false = torch.constant.bool false
  %0 = torch.aten.embedding %table, %ids, %minus, %false, %false : !torch.vtensor<[100,64],f32>, !torch.vtensor<[1,5],si64>, !torch.int, !torch.bool, !torch.bool -> !torch.vtensor<[1,5,64],f32>
  return %0 : !torch.vtensor<[1,5,64],f32>
}

// -----

// It leaves alone: ids of 32 bits.
// CHECK-LABEL: func.func @narrow_ids
// CHECK: torch.aten.embedding
func.func @narrow_ids(%table: !torch.vtensor<[100,64],f32> {elx.name = "w", elx.kind = "weight"}, %ids: !torch.vtensor<[1,5],si32>) -> !torch.vtensor<[1,5,64],f32> {
  %minus = torch.constant.int -1
  %false = torch.constant.bool false
  %0 = torch.aten.embedding %table, %ids, %minus, %false, %false : !torch.vtensor<[100,64],f32>, !torch.vtensor<[1,5],si32>, !torch.int, !torch.bool, !torch.bool -> !torch.vtensor<[1,5,64],f32>
  return %0 : !torch.vtensor<[1,5,64],f32>
}

// -----

// It refuses: the rows of the transposed table, which are the columns of the stored one.
// CHECK-LABEL: func.func @columns
// CHECK-NOT: elx.embedding
// CHECK: return
func.func @columns(%table: !torch.vtensor<[64,64],f32> {elx.name = "w", elx.kind = "weight"}, %ids: !torch.vtensor<[1,5],si64>) -> !torch.vtensor<[1,5,64],f32> {
  %minus = torch.constant.int -1
  %false = torch.constant.bool false
  %0 = torch.aten.t %table : !torch.vtensor<[64,64],f32> -> !torch.vtensor<[64,64],f32>
  %1 = torch.aten.embedding %0, %ids, %minus, %false, %false : !torch.vtensor<[64,64],f32>, !torch.vtensor<[1,5],si64>, !torch.int, !torch.bool, !torch.bool -> !torch.vtensor<[1,5,64],f32>
  return %1 : !torch.vtensor<[1,5,64],f32>
}
