// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p host-to-llvm | filecheck %s

// It fires: every op is a call of the C ABI. Pointers are loaded once; an offset of 0 is the base itself.
// CHECK-LABEL: llvm.func @fires(%arg0: !llvm.ptr, %arg1: !llvm.ptr, %arg2: !llvm.ptr, %arg3: !llvm.ptr, %arg4: !llvm.ptr) {
// CHECK: %[[EIGHT:.*]] = llvm.mlir.constant(8 : i64) : i64
// CHECK: %[[SLOT:.*]] = llvm.getelementptr %arg3[%[[EIGHT]]] : (!llvm.ptr, i64) -> !llvm.ptr, i8
// CHECK: %[[X:.*]] = llvm.load %[[SLOT]] : !llvm.ptr -> !llvm.ptr
// CHECK-NOT: llvm.load
// CHECK: llvm.call @elastix_quantize(%arg0, %[[X]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) : (!llvm.ptr, !llvm.ptr, i64, i64, i64, i64) -> ()
// CHECK: %[[DESCRIPTOR:.*]] = llvm.mlir.constant(8589934592 : i64) : i64
// CHECK: llvm.call @elastix_launch(%arg0, %[[DESCRIPTOR]], %{{.*}}) : (!llvm.ptr, i64, i64) -> ()
// CHECK: llvm.call @elastix_wait(%arg0) : (!llvm.ptr) -> ()
// CHECK: llvm.call @elastix_read_back(%arg0, %{{.*}}, %arg2, %{{.*}}, %{{.*}}) : (!llvm.ptr, i64, !llvm.ptr, i64, i64) -> ()
// CHECK: %[[FAR:.*]] = llvm.getelementptr %arg1[%{{.*}}] : (!llvm.ptr, i64) -> !llvm.ptr, i8
// CHECK: %[[EPS:.*]] = llvm.mlir.constant(925353388 : i32) : i32
// CHECK: llvm.call @elastix_rms_norm(%[[X]], %[[FAR]], %arg2, %{{.*}}, %{{.*}}, %[[EPS]]) : (!llvm.ptr, !llvm.ptr, !llvm.ptr, i64, i64, i32) -> ()
// CHECK: %[[C:.*]] = llvm.mlir.addressof @constant_0 : !llvm.ptr
// CHECK: llvm.call @torch_0(%[[C]], %{{.*}}) : (!llvm.ptr, !llvm.ptr) -> ()
// CHECK: llvm.call @elastix_embedding(%arg0, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) : (!llvm.ptr, i64, !llvm.ptr, !llvm.ptr, i64, i64) -> ()
// CHECK: llvm.return
// CHECK: llvm.func @elastix_quantize(!llvm.ptr, !llvm.ptr, i64, i64, i64, i64)
// CHECK: llvm.mlir.global internal constant @constant_0(dense<[1, 2, 3, 4]> : tensor<4xi64>) {{.*}}alignment = 64 : i64{{.*}} : !llvm.array<4 x i64>
llvm.func @torch_0(%x: !llvm.ptr, %y: !llvm.ptr) { llvm.return }
func.func @fires() {
  %x = "host.address"() {region = "argument", index = 1, offset = 0} : () -> !llvm.ptr
  "host.upload"(%x) {tokens = 1, columns = 64, activation_bits = 11, address = 128} : (!llvm.ptr) -> ()
  "host.launch"() {descriptor = 8589934592, tokens = 1} : () -> ()
  "host.wait"() : () -> ()
  %y = "host.address"() {region = "arena", offset = 0} : () -> !llvm.ptr
  "host.read_back"(%y) {tokens = 1, rows = 64, address = 192} : (!llvm.ptr) -> ()
  %z = "host.address"() {region = "argument", index = 1, offset = 0} : () -> !llvm.ptr
  %w = "host.address"() {region = "memory", offset = 8589934592} : () -> !llvm.ptr
  "host.call"(%z, %w, %y) {callee = @elastix_rms_norm, values = [unit, unit, unit, 1, 64, 925353388 : i32]} : (!llvm.ptr, !llvm.ptr, !llvm.ptr) -> ()
  %c = "host.constant"() {value = dense<[[1, 2], [3, 4]]> : tensor<2x2xi64>} : () -> !llvm.ptr
  %r = "host.address"() {region = "result", index = 0, offset = 64} : () -> !llvm.ptr
  "host.call"(%c, %r) {callee = @torch_0, values = [unit, unit]} : (!llvm.ptr, !llvm.ptr) -> ()
  "host.call"(%c, %y) {callee = @elastix_embedding, values = [128, unit, unit, 4, 64]} : (!llvm.ptr, !llvm.ptr) -> ()
  return
}

// -----

// It leaves alone: what is beside the host function.
// CHECK: llvm.func @torch_1
// CHECK: "epu.program"
llvm.func @torch_1(%x: !llvm.ptr) { llvm.return }
"epu.program"() ({}) {sym_name = "program", processor = @processor} : () -> ()
func.func @leaves_alone() { return }

// -----

// It refuses: an op that is not the host's.
func.func @refuses() {
  // expected-error@+1 {{'arith.constant' op it is no host op; wanted: what elx-to-host makes}}
  %0 = arith.constant 1 : i64
  return
}
