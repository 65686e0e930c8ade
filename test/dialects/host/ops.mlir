// RUN: elastix-opt %s | elastix-opt | filecheck %s

// CHECK-LABEL: func.func @step
func.func @step() {
  // CHECK: %0 = "host.address"() {index = 1 : i64, offset = 64 : i64, region = "argument"} : () -> !llvm.ptr
  // CHECK: %1 = "host.address"() {offset = 0 : i64, region = "arena"} : () -> !llvm.ptr
  %x = "host.address"() {region = "argument", index = 1 : i64, offset = 64 : i64} : () -> !llvm.ptr
  %y = "host.address"() {region = "arena", offset = 0 : i64} : () -> !llvm.ptr
  // CHECK: "host.upload"(%0) {activation_bits = 11 : i64, address = 128 : i64, columns = 64 : i64, tokens = 1 : i64} : (!llvm.ptr) -> ()
  // CHECK: "host.launch"() {descriptor = 4096 : i64, tokens = 1 : i64} : () -> ()
  // CHECK: "host.wait"() : () -> ()
  // CHECK: "host.read_back"(%1) {address = 192 : i64, rows = 64 : i64, tokens = 1 : i64} : (!llvm.ptr) -> ()
  "host.upload"(%x) {tokens = 1 : i64, columns = 64 : i64, activation_bits = 11 : i64, address = 128 : i64} : (!llvm.ptr) -> ()
  "host.launch"() {descriptor = 4096 : i64, tokens = 1 : i64} : () -> ()
  "host.wait"() : () -> ()
  "host.read_back"(%y) {tokens = 1 : i64, rows = 64 : i64, address = 192 : i64} : (!llvm.ptr) -> ()
  // CHECK: "host.call"(%1, %1) {callee = @elastix_residual, values = [unit, unit, 64, 3 : i32]} : (!llvm.ptr, !llvm.ptr) -> ()
  "host.call"(%y, %y) {callee = @elastix_residual, values = [unit, unit, 64, 3 : i32]} : (!llvm.ptr, !llvm.ptr) -> ()
  // CHECK: "host.constant"() {value = dense<[1, 0]> : tensor<2xi64>} : () -> !llvm.ptr
  %permutation = "host.constant"() {value = dense<[1, 0]> : tensor<2xi64>} : () -> !llvm.ptr
  return
}
