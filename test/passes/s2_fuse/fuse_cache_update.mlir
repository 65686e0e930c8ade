// RUN: elastix-opt %s --split-input-file -p fuse-cache-update | filecheck %s

// It fires: index_copy along the token axis.
// CHECK-LABEL: func.func @fires
// CHECK: "elx.cache_update"({{.*}}) : (tensor<1x2x8x4xf32>, tensor<1x2x3x4xf32>, tensor<3xi64>) -> tensor<1x2x8x4xf32>
// CHECK-NOT: torch.operator
func.func @fires(%cache: !torch.vtensor<[1,2,8,4],f32>, %new: !torch.vtensor<[1,2,3,4],f32>, %at: !torch.vtensor<[3],si64>) -> !torch.vtensor<[1,2,8,4],f32> {
  %axis = torch.constant.int 2
  %0 = torch.operator "torch.aten.index_copy"(%cache, %axis, %at, %new) : (!torch.vtensor<[1,2,8,4],f32>, !torch.int, !torch.vtensor<[3],si64>, !torch.vtensor<[1,2,3,4],f32>) -> !torch.vtensor<[1,2,8,4],f32>
  return %0 : !torch.vtensor<[1,2,8,4],f32>
}

// -----

// It fires: index_put, with positions that have a dimension too many.
// CHECK-LABEL: func.func @index_put
// CHECK: %[[P:.*]] = "elx.reshape"({{.*}}) : (tensor<1x3xi64>) -> tensor<3xi64>
// CHECK: "elx.cache_update"({{.*}}, %[[P]])
func.func @index_put(%cache: !torch.vtensor<[1,2,8,4],f32>, %new: !torch.vtensor<[1,2,3,4],f32>, %at: !torch.vtensor<[1,3],si64>) -> !torch.vtensor<[1,2,8,4],f32> {
  %none = torch.constant.none
  %false = torch.constant.bool false
  %three = torch.constant.int 3
  %shape = torch.prim.ListConstruct %three : (!torch.int) -> !torch.list<int>
  %0 = torch.aten.view %at, %shape : !torch.vtensor<[1,3],si64>, !torch.list<int> -> !torch.vtensor<[3],si64>
  %indices = torch.prim.ListConstruct %none, %none, %0 : (!torch.none, !torch.none, !torch.vtensor<[3],si64>) -> !torch.list<optional<vtensor>>
  %1 = torch.aten.index_put %cache, %indices, %new, %false : !torch.vtensor<[1,2,8,4],f32>, !torch.list<optional<vtensor>>, !torch.vtensor<[1,2,3,4],f32>, !torch.bool -> !torch.vtensor<[1,2,8,4],f32>
  return %1 : !torch.vtensor<[1,2,8,4],f32>
}

// -----

// It leaves alone: another axis.
// CHECK-LABEL: func.func @leaves_alone
// CHECK: torch.operator "torch.aten.index_copy"
// CHECK-NOT: elx.cache_update
func.func @leaves_alone(%cache: !torch.vtensor<[1,2,8,4],f32>, %new: !torch.vtensor<[1,1,8,4],f32>, %at: !torch.vtensor<[1],si64>) -> !torch.vtensor<[1,2,8,4],f32> {
  %axis = torch.constant.int 1
  %0 = torch.operator "torch.aten.index_copy"(%cache, %axis, %at, %new) : (!torch.vtensor<[1,2,8,4],f32>, !torch.int, !torch.vtensor<[1],si64>, !torch.vtensor<[1,1,8,4],f32>) -> !torch.vtensor<[1,2,8,4],f32>
  return %0 : !torch.vtensor<[1,2,8,4],f32>
}

// -----

// It refuses: values that are added to what is there.
// CHECK-LABEL: func.func @accumulates
// CHECK-NOT: elx.cache_update
// CHECK: return
func.func @accumulates(%cache: !torch.vtensor<[1,2,8,4],f32>, %rows: !torch.vtensor<[1,2,1,4],f32>, %at: !torch.vtensor<[1],si64>) -> !torch.vtensor<[1,2,8,4],f32> {
  %none = torch.constant.none
  %true = torch.constant.bool true
  %indices = torch.prim.ListConstruct %none, %none, %at : (!torch.none, !torch.none, !torch.vtensor<[1],si64>) -> !torch.list<optional<vtensor>>
  %0 = torch.aten.index_put %cache, %indices, %rows, %true : !torch.vtensor<[1,2,8,4],f32>, !torch.list<optional<vtensor>>, !torch.vtensor<[1,2,1,4],f32>, !torch.bool -> !torch.vtensor<[1,2,8,4],f32>
  return %0 : !torch.vtensor<[1,2,8,4],f32>
}
