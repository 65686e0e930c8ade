// A pipeline of MLIR's passes from a file, and from stdin through bytecode.
// RUN: elastix-opt %s --pass-pipeline='builtin.module(func.func(cse), canonicalize{max-iterations=2})' --emit-bytecode -o %t
// RUN: elastix-opt < %t | filecheck %s

// CHECK: arith.addi
// CHECK-NOT: arith.addi
func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32
  %1 = arith.addi %a, %a : i32
  %2 = arith.muli %0, %1 : i32
  return %2 : i32
}
