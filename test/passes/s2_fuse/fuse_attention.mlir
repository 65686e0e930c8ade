// RUN: elastix-opt %s --split-input-file -p fuse-attention | filecheck %s

// It fires: one op with a mask that says key ≤ query, keys and values repeated for the queries that share them.
// CHECK-LABEL: func.func @fires
// CHECK: %[[P:.*]] = torch_c.to_builtin_tensor %arg3 : !torch.vtensor<[1],si64> -> tensor<1xi64>
// CHECK: "elx.attention"(%{{.*}}, %{{.*}}, %{{.*}}, %[[P]]) {causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 0>, scale = 5.000000e-01 : f32} : (tensor<1x4x1x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1xi64>) -> tensor<1x4x1x4xf32>
func.func @fires(%q: !torch.vtensor<[1,4,1,4],f32>, %k: !torch.vtensor<[1,2,8,4],f32>, %v: !torch.vtensor<[1,2,8,4],f32>, %positions: !torch.vtensor<[1],si64>) -> !torch.vtensor<[1,4,1,4],f32> {
  %none = torch.constant.none
  %false = torch.constant.bool false
  %zero = torch.constant.int 0
  %one = torch.constant.int 1
  %two = torch.constant.int 2
  %four = torch.constant.int 4
  %eight = torch.constant.int 8
  %nought = torch.constant.float 0.0
  %scale = torch.constant.float 0.5
  %0 = torch.aten.arange %eight, %none, %none, %none, %false : !torch.int, !torch.none, !torch.none, !torch.none, !torch.bool -> !torch.vtensor<[8],si64>
  %1 = torch.aten.unsqueeze %0, %zero : !torch.vtensor<[8],si64>, !torch.int -> !torch.vtensor<[1,8],si64>
  %2 = torch.aten.unsqueeze %positions, %one : !torch.vtensor<[1],si64>, !torch.int -> !torch.vtensor<[1,1],si64>
  %3 = torch.aten.le.Tensor %1, %2 : !torch.vtensor<[1,8],si64>, !torch.vtensor<[1,1],si64> -> !torch.vtensor<[1,8],i1>
  %4 = torch.aten.unsqueeze %3, %zero : !torch.vtensor<[1,8],i1>, !torch.int -> !torch.vtensor<[1,1,8],i1>
  %5 = torch.aten.unsqueeze %4, %zero : !torch.vtensor<[1,1,8],i1>, !torch.int -> !torch.vtensor<[1,1,1,8],i1>
  %many = torch.prim.ListConstruct %one, %two, %two, %eight, %four : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
  %flat = torch.prim.ListConstruct %one, %four, %eight, %four : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
  %6 = torch.aten.unsqueeze %k, %two : !torch.vtensor<[1,2,8,4],f32>, !torch.int -> !torch.vtensor<[1,2,1,8,4],f32>
  %7 = torch.aten.expand %6, %many, %false : !torch.vtensor<[1,2,1,8,4],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[1,2,2,8,4],f32>
  %8 = torch.aten._unsafe_view %7, %flat : !torch.vtensor<[1,2,2,8,4],f32>, !torch.list<int> -> !torch.vtensor<[1,4,8,4],f32>
  %9 = torch.aten.unsqueeze %v, %two : !torch.vtensor<[1,2,8,4],f32>, !torch.int -> !torch.vtensor<[1,2,1,8,4],f32>
  %10 = torch.aten.expand %9, %many, %false : !torch.vtensor<[1,2,1,8,4],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[1,2,2,8,4],f32>
  %11 = torch.aten.view %10, %flat : !torch.vtensor<[1,2,2,8,4],f32>, !torch.list<int> -> !torch.vtensor<[1,4,8,4],f32>
  %12 = torch.aten.scaled_dot_product_attention %q, %8, %11, %5, %nought, %false, %scale, %false : !torch.vtensor<[1,4,1,4],f32>, !torch.vtensor<[1,4,8,4],f32>, !torch.vtensor<[1,4,8,4],f32>, !torch.vtensor<[1,1,1,8],i1>, !torch.float, !torch.bool, !torch.float, !torch.bool -> !torch.vtensor<[1,4,1,4],f32>
  return %12 : !torch.vtensor<[1,4,1,4],f32>
}

// -----

// It fires: products and a softmax, with an additive mask that is an operand of its own.
// CHECK-LABEL: func.func @in_parts
// CHECK: %[[K:.*]] = torch_c.to_builtin_tensor %arg1
// CHECK: "elx.attention"(%{{.*}}, %[[K]], %{{.*}}, %{{.*}}) {causal = false, operandSegmentSizes = array<i32: 1, 1, 1, 0, 1>, scale = 2.500000e-01 : f32} : (tensor<1x2x3x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x1x3x8xf32>) -> tensor<1x2x3x4xf32>
func.func @in_parts(%q: !torch.vtensor<[1,2,3,4],f32>, %k: !torch.vtensor<[1,2,8,4],f32>, %v: !torch.vtensor<[1,2,8,4],f32>, %mask: !torch.vtensor<[1,1,3,8],f32>) -> !torch.vtensor<[1,2,3,4],f32> {
  %none = torch.constant.none
  %one = torch.constant.int 1
  %two = torch.constant.int 2
  %three = torch.constant.int 3
  %last = torch.constant.int -1
  %scale = torch.constant.float 4.0
  %0 = torch.aten.transpose.int %k, %two, %three : !torch.vtensor<[1,2,8,4],f32>, !torch.int, !torch.int -> !torch.vtensor<[1,2,4,8],f32>
  %1 = torch.aten.matmul %q, %0 : !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,2,4,8],f32> -> !torch.vtensor<[1,2,3,8],f32>
  %2 = torch.aten.div.Scalar %1, %scale : !torch.vtensor<[1,2,3,8],f32>, !torch.float -> !torch.vtensor<[1,2,3,8],f32>
  %3 = torch.aten.add.Tensor %2, %mask, %one : !torch.vtensor<[1,2,3,8],f32>, !torch.vtensor<[1,1,3,8],f32>, !torch.int -> !torch.vtensor<[1,2,3,8],f32>
  %4 = torch.aten.softmax.int %3, %last, %none : !torch.vtensor<[1,2,3,8],f32>, !torch.int, !torch.none -> !torch.vtensor<[1,2,3,8],f32>
  %5 = torch.aten.matmul %4, %v : !torch.vtensor<[1,2,3,8],f32>, !torch.vtensor<[1,2,8,4],f32> -> !torch.vtensor<[1,2,3,4],f32>
  return %5 : !torch.vtensor<[1,2,3,4],f32>
}

// -----

// It fires: as many queries as keys, causal by flag; and a bool mask that is not causal, which becomes additive, once for all
// who read it.
// CHECK-LABEL: func.func @other_masks
// CHECK: torch.aten.where.Scalar %arg1
// CHECK-NOT: torch.aten.where.Scalar
// CHECK: "elx.attention"({{.*}}) {causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>, scale = 5.000000e-01 : f32}
// CHECK: "elx.attention"({{.*}}) {causal = false, operandSegmentSizes = array<i32: 1, 1, 1, 0, 1>
// CHECK: "elx.attention"({{.*}}) {causal = false, operandSegmentSizes = array<i32: 1, 1, 1, 0, 1>
func.func @other_masks(%q: !torch.vtensor<[1,2,3,4],f32>, %mask: !torch.vtensor<[1,1,3,3],i1>) -> !torch.vtensor<[1,2,3,4],f32> {
  %none = torch.constant.none
  %true = torch.constant.bool true
  %false = torch.constant.bool false
  %nought = torch.constant.float 0.0
  %0 = torch.aten.scaled_dot_product_attention %q, %q, %q, %none, %nought, %true, %none, %false : !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,2,3,4],f32>, !torch.none, !torch.float, !torch.bool, !torch.none, !torch.bool -> !torch.vtensor<[1,2,3,4],f32>
  %1 = torch.aten.scaled_dot_product_attention %0, %q, %q, %mask, %nought, %false, %none, %false : !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,1,3,3],i1>, !torch.float, !torch.bool, !torch.none, !torch.bool -> !torch.vtensor<[1,2,3,4],f32>
  %2 = torch.aten.scaled_dot_product_attention %1, %q, %q, %mask, %nought, %false, %none, %false : !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,1,3,3],i1>, !torch.float, !torch.bool, !torch.none, !torch.bool -> !torch.vtensor<[1,2,3,4],f32>
  return %2 : !torch.vtensor<[1,2,3,4],f32>
}

// -----

// It leaves alone: causal by flag with fewer queries than keys (torch counts from the first key), a mask of each head
// its own, dropout that is on, and another comparison than ≤.
// CHECK-LABEL: func.func @leaves_alone
// CHECK-NOT: elx.attention
// CHECK: return
func.func @leaves_alone(%q: !torch.vtensor<[1,2,3,4],f32>, %k: !torch.vtensor<[1,2,8,4],f32>, %mask: !torch.vtensor<[1,2,3,8],f32>) -> (!torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,2,3,4],f32>) {
  %none = torch.constant.none
  %true = torch.constant.bool true
  %false = torch.constant.bool false
  %nought = torch.constant.float 0.0
  %tenth = torch.constant.float 0.1
  %0 = torch.aten.scaled_dot_product_attention %q, %k, %k, %none, %nought, %true, %none, %false : !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,2,8,4],f32>, !torch.vtensor<[1,2,8,4],f32>, !torch.none, !torch.float, !torch.bool, !torch.none, !torch.bool -> !torch.vtensor<[1,2,3,4],f32>
  %1 = torch.aten.scaled_dot_product_attention %q, %k, %k, %mask, %nought, %false, %none, %false : !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,2,8,4],f32>, !torch.vtensor<[1,2,8,4],f32>, !torch.vtensor<[1,2,3,8],f32>, !torch.float, !torch.bool, !torch.none, !torch.bool -> !torch.vtensor<[1,2,3,4],f32>
  %2 = torch.aten.scaled_dot_product_attention %q, %k, %k, %none, %tenth, %false, %none, %false : !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,2,8,4],f32>, !torch.vtensor<[1,2,8,4],f32>, !torch.none, !torch.float, !torch.bool, !torch.none, !torch.bool -> !torch.vtensor<[1,2,3,4],f32>
  return %0, %1, %2 : !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,2,3,4],f32>
}

// -----

// A mask of key < query is not causal as elx means it: it stays a mask.
// CHECK-LABEL: func.func @strictly_less
// CHECK: "elx.attention"({{.*}}) {causal = false
func.func @strictly_less(%q: !torch.vtensor<[1,2,1,4],f32>, %k: !torch.vtensor<[1,2,8,4],f32>, %positions: !torch.vtensor<[1,1],si64>) -> !torch.vtensor<[1,2,1,4],f32> {
  %none = torch.constant.none
  %false = torch.constant.bool false
  %eight = torch.constant.int 8
  %nought = torch.constant.float 0.0
  %0 = torch.aten.arange %eight, %none, %none, %none, %false : !torch.int, !torch.none, !torch.none, !torch.none, !torch.bool -> !torch.vtensor<[8],si64>
  %1 = torch.aten.lt.Tensor %0, %positions : !torch.vtensor<[8],si64>, !torch.vtensor<[1,1],si64> -> !torch.vtensor<[1,8],i1>
  %2 = torch.aten.scaled_dot_product_attention %q, %k, %k, %1, %nought, %false, %none, %false : !torch.vtensor<[1,2,1,4],f32>, !torch.vtensor<[1,2,8,4],f32>, !torch.vtensor<[1,2,8,4],f32>, !torch.vtensor<[1,8],i1>, !torch.float, !torch.bool, !torch.none, !torch.bool -> !torch.vtensor<[1,2,1,4],f32>
  return %2 : !torch.vtensor<[1,2,1,4],f32>
}

// -----

// It refuses: a softmax over the queries instead of the keys, of as many queries as keys.
// CHECK-LABEL: func.func @over_queries
// CHECK-NOT: elx.attention
// CHECK: return
func.func @over_queries(%q: !torch.vtensor<[1,2,4,4],f32>, %k: !torch.vtensor<[1,2,4,4],f32>, %v: !torch.vtensor<[1,2,4,4],f32>) -> !torch.vtensor<[1,2,4,4],f32> {
  %none = torch.constant.none
  %two = torch.constant.int 2
  %three = torch.constant.int 3
  %scale = torch.constant.float 0.5
  %0 = torch.aten.transpose.int %k, %two, %three : !torch.vtensor<[1,2,4,4],f32>, !torch.int, !torch.int -> !torch.vtensor<[1,2,4,4],f32>
  %1 = torch.aten.matmul %q, %0 : !torch.vtensor<[1,2,4,4],f32>, !torch.vtensor<[1,2,4,4],f32> -> !torch.vtensor<[1,2,4,4],f32>
  %2 = torch.aten.mul.Scalar %1, %scale : !torch.vtensor<[1,2,4,4],f32>, !torch.float -> !torch.vtensor<[1,2,4,4],f32>
  %3 = torch.aten.softmax.int %2, %two, %none : !torch.vtensor<[1,2,4,4],f32>, !torch.int, !torch.none -> !torch.vtensor<[1,2,4,4],f32>
  %4 = torch.aten.matmul %3, %v : !torch.vtensor<[1,2,4,4],f32>, !torch.vtensor<[1,2,4,4],f32> -> !torch.vtensor<[1,2,4,4],f32>
  return %4 : !torch.vtensor<[1,2,4,4],f32>
}
