// RUN: elastix-opt %s --split-input-file -p legalize-bitwise | filecheck %s

// It fires: the operators of bools.
// CHECK-LABEL: func.func @fires
// CHECK: torch.aten.bitwise_and.Tensor %arg0, %arg1
// CHECK: torch.aten.bitwise_or.Tensor
// CHECK-NOT: __
func.func @fires(%a: !torch.vtensor<[2,4],i1>, %b: !torch.vtensor<[4],i1>) -> !torch.vtensor<[2,4],i1> {
  %0 = torch.aten.__and__.Tensor %a, %b : !torch.vtensor<[2,4],i1>, !torch.vtensor<[4],i1> -> !torch.vtensor<[2,4],i1>
  %1 = torch.aten.__or__.Tensor %0, %a : !torch.vtensor<[2,4],i1>, !torch.vtensor<[2,4],i1> -> !torch.vtensor<[2,4],i1>
  return %1 : !torch.vtensor<[2,4],i1>
}

// -----

// It fires: integers.
// CHECK-LABEL: func.func @integers
// CHECK: torch.aten.bitwise_and.Tensor %arg0, %arg0
func.func @integers(%a: !torch.vtensor<[2],si64>) -> !torch.vtensor<[2],si64> {
  %0 = torch.aten.__and__.Tensor %a, %a : !torch.vtensor<[2],si64>, !torch.vtensor<[2],si64> -> !torch.vtensor<[2],si64>
  return %0 : !torch.vtensor<[2],si64>
}

// -----

// It leaves alone: what is lowered as it is.
// CHECK-LABEL: func.func @leaves_alone
// CHECK: torch.aten.logical_and
func.func @leaves_alone(%a: !torch.vtensor<[2],i1>) -> !torch.vtensor<[2],i1> {
  %0 = torch.aten.logical_and %a, %a : !torch.vtensor<[2],i1>, !torch.vtensor<[2],i1> -> !torch.vtensor<[2],i1>
  return %0 : !torch.vtensor<[2],i1>
}

// -----

// It refuses: `and` of integers as truths; 1 and 2 are both true, and 1 & 2 is 0.
// CHECK-LABEL: func.func @truths
// CHECK-NOT: torch.aten.bitwise_and
// CHECK: torch.aten.logical_and %arg0, %arg1
// CHECK-NOT: torch.aten.bitwise_and
// CHECK: return
func.func @truths(%a: !torch.vtensor<[2],si64>, %b: !torch.vtensor<[2],si64>) -> !torch.vtensor<[2],i1> {
  %0 = torch.aten.logical_and %a, %b : !torch.vtensor<[2],si64>, !torch.vtensor<[2],si64> -> !torch.vtensor<[2],i1>
  return %0 : !torch.vtensor<[2],i1>
}
