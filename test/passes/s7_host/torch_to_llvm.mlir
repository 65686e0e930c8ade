// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p torch-to-llvm | filecheck %s

// It fires: every tensor is one pointer, results after arguments, and the functions stand beside their callers.
// CHECK: func.func private @beside()
// CHECK-NEXT: llvm.func @torch_0(%arg0: !llvm.ptr, %arg1: !llvm.ptr, %arg2: !llvm.ptr)
// CHECK: llvm.fadd
// CHECK: llvm.fcmp
// CHECK: llvm.return
func.func private @beside()
module @torch_functions {
  func.func @torch_0(%x: !torch.vtensor<[2,3],f32>) -> (!torch.vtensor<[2,3],f32>, !torch.vtensor<[2,3],i1>) {
    %one = torch.constant.int 1
    %0 = torch.aten.add.Tensor %x, %x, %one : !torch.vtensor<[2,3],f32>, !torch.vtensor<[2,3],f32>, !torch.int -> !torch.vtensor<[2,3],f32>
    %1 = torch.aten.gt.Tensor %0, %x : !torch.vtensor<[2,3],f32>, !torch.vtensor<[2,3],f32> -> !torch.vtensor<[2,3],i1>
    return %0, %1 : !torch.vtensor<[2,3],f32>, !torch.vtensor<[2,3],i1>
  }
}

// -----

// It leaves alone: modules of other names.
// CHECK: module @others
// CHECK: torch.aten.sin
func.func private @beside()
module @others {
  func.func @f(%x: !torch.vtensor<[2],f32>) -> !torch.vtensor<[2],f32> {
    %0 = torch.aten.sin %x : !torch.vtensor<[2],f32> -> !torch.vtensor<[2],f32>
    return %0 : !torch.vtensor<[2],f32>
  }
}

// -----

// It refuses: an op that torch-mlir does not lower, by the name that the model knows it by.
func.func private @beside()
module @torch_functions {
  func.func @torch_0(%x: !torch.vtensor<[2],f32>) -> !torch.vtensor<[2],f32> {
    // expected-error@+1 {{'torch.aten.special_bessel_j0' op it does not lower to host code; write it with other ops in the model}}
    %0 = torch.operator "torch.aten.special_bessel_j0"(%x) : (!torch.vtensor<[2],f32>) -> !torch.vtensor<[2],f32>
    return %0 : !torch.vtensor<[2],f32>
  }
}
