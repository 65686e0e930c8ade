// `--show-every-pass` shows what each pass changed, and nothing for one that changed nothing.
// RUN: elastix-opt %s -p canonicalize,cse --show-every-pass -o %t.mlir 2>&1 | filecheck %s

// CHECK: // at the start
// CHECK: %1: i32 = arith.addi
// CHECK-NOT: // after canonicalize
// CHECK: // after cse (
// CHECK: function f(
// CHECK: %0: i32 = arith.addi(argument0, argument0)
// CHECK-NEXT: %1: i32 = arith.muli(%0, %0)
func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32
  %1 = arith.addi %a, %a : i32
  %2 = arith.muli %0, %1 : i32
  return %2 : i32
}
