// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p elx-to-host | filecheck %s

"epu.program"() ({}) {sym_name = "program", processor = @processor, epu.parameters = [{address = 64 : i64, name = "w", type = tensor<64xf32>}]} : () -> ()

// It fires: gate and up run together; the bias is added after the read-back; the result lies in the caller's buffer.
// CHECK-LABEL: func.func @fires() attributes {host.arena_bytes = 768 : i64
// CHECK-SAME: host.arguments = [{kind = "input", name = "x", type = tensor<1x64xf32>}]
// CHECK-SAME: host.results = [{kind = "output", name = "y", type = tensor<1x64xf32>}]
// CHECK-NEXT: %[[X:.*]] = "host.address"() {index = 0 : i64, offset = 0 : i64, region = "argument"} : () -> !llvm.ptr
// CHECK-NEXT: "host.upload"(%[[X]]) {activation_bits = 11 : i64, address = 4160 : i64, columns = 64 : i64, tokens = 1 : i64}
// CHECK-NEXT: "host.launch"() {descriptor = 128 : i64, tokens = 1 : i64}
// CHECK-NEXT: "host.launch"() {descriptor = 192 : i64, tokens = 1 : i64}
// CHECK-NEXT: "host.wait"
// CHECK-NEXT: %[[G:.*]] = "host.address"() {offset = 0 : i64, region = "arena"}
// CHECK-NEXT: "host.read_back"(%[[G]]) {address = 8192 : i64, rows = 64 : i64, tokens = 1 : i64}
// CHECK-NEXT: %[[U:.*]] = "host.address"() {offset = 256 : i64, region = "arena"}
// CHECK-NEXT: "host.read_back"(%[[U]]) {address = 8448 : i64, rows = 64 : i64, tokens = 1 : i64}
// CHECK: %[[B:.*]] = "host.address"() {offset = 64 : i64, region = "memory"}
// CHECK-NEXT: "host.call"(%{{.*}}, %[[B]]) {callee = @elastix_add_bias, values = [unit, unit, 1, 64]}
// CHECK: "host.call"(%{{.*}}, %{{.*}}, %{{.*}}) {callee = @elastix_gated_activation, values = [unit, unit, unit, 64, 0 : i32]}
// CHECK: %[[Y:.*]] = "host.address"() {index = 0 : i64, offset = 0 : i64, region = "result"}
// CHECK-NEXT: "host.call"(%{{.*}}, %[[Y]]) {callee = @torch_0, values = [unit, unit]}
// CHECK-NEXT: return
// CHECK-NOT: private
func.func @fires(%x: tensor<1x64xf32> {elx.name = "x", elx.kind = "input"}, %g: tensor<64x64xf32> {elx.name = "g", elx.kind = "weight"}, %w: tensor<64xf32> {elx.name = "w", elx.kind = "weight"}) -> (tensor<1x64xf32> {elx.name = "y"}) {
  %q, %e = "elx.quantize"(%x) {activation_bits = 11, epu.x = 4160} : (tensor<1x64xf32>) -> (tensor<1x64xi16>, tensor<1xi32>)
  %0 = "elx.quantized_linear"(%q, %e, %g) {format = #elx.format<8, 64, "s8", "symmetric">, epu.descriptor = 128, epu.y = 8192} : (tensor<1x64xi16>, tensor<1xi32>, tensor<64x64xf32>) -> tensor<1x64xf32>
  %1 = "elx.quantized_linear"(%q, %e, %g, %w) {format = #elx.format<8, 64, "s8", "symmetric">, epu.descriptor = 192, epu.y = 8448} : (tensor<1x64xi16>, tensor<1xi32>, tensor<64x64xf32>, tensor<64xf32>) -> tensor<1x64xf32>
  %2 = "elx.gated_activation"(%0, %1) {kind = "silu"} : (tensor<1x64xf32>, tensor<1x64xf32>) -> tensor<1x64xf32>
  %3 = call @torch_0(%2) : (tensor<1x64xf32>) -> tensor<1x64xf32>
  return %3 : tensor<1x64xf32>
}
func.func private @torch_0(tensor<1x64xf32>) -> tensor<1x64xf32>

// -----

"epu.program"() ({}) {sym_name = "program", processor = @processor, epu.parameters = [{address = 64 : i64, name = "w", type = tensor<64xf32>}]} : () -> ()

// It fires: a cache is written through its argument; a reshape, and a transpose of axes of size 1, move nothing.
// CHECK-LABEL: func.func @caches() attributes {host.arena_bytes = 0 : i64
// CHECK-NEXT: %[[C:.*]] = "host.address"() {index = 0 : i64, offset = 0 : i64, region = "argument"}
// CHECK-NEXT: %[[N:.*]] = "host.address"() {index = 1 : i64, offset = 0 : i64, region = "argument"}
// CHECK-NEXT: %[[P:.*]] = "host.address"() {index = 2 : i64, offset = 0 : i64, region = "argument"}
// CHECK-NEXT: "host.call"(%[[C]], %[[N]], %[[P]]) {callee = @elastix_cache_update, values = [unit, unit, unit, 1, 2, 4, 1, 8]}
// CHECK-NEXT: return
func.func @caches(%c: tensor<1x2x4x8xf32> {elx.name = "c", elx.kind = "cache"}, %n: tensor<1x16xf32> {elx.name = "n", elx.kind = "input"}, %p: tensor<1xi64> {elx.name = "p", elx.kind = "input"}) -> (tensor<1x2x4x8xf32> {elx.writes = "c"}) {
  %0 = "elx.reshape"(%n) : (tensor<1x16xf32>) -> tensor<1x1x2x8xf32>
  %1 = "elx.transpose"(%0) {permutation = array<i64: 0, 2, 1, 3>} : (tensor<1x1x2x8xf32>) -> tensor<1x2x1x8xf32>
  %2 = "elx.cache_update"(%c, %1, %p) : (tensor<1x2x4x8xf32>, tensor<1x2x1x8xf32>, tensor<1xi64>) -> tensor<1x2x4x8xf32>
  return %2 : tensor<1x2x4x8xf32>
}

// -----

"epu.program"() ({}) {sym_name = "program", processor = @processor, epu.parameters = [{address = 64 : i64, name = "w", type = tensor<64xf32>}]} : () -> ()

// It fires: shapes and permutations are constants of the code; a transpose that moves data is a call.
// CHECK-LABEL: func.func @constants
// CHECK: %[[S:.*]] = "host.constant"() {value = dense<[2, 4]> : tensor<2xi64>}
// CHECK: %[[M:.*]] = "host.constant"() {value = dense<[1, 0]> : tensor<2xi64>}
// CHECK: "host.call"(%{{.*}}, %{{.*}}, %[[S]], %[[M]]) {callee = @elastix_transpose, values = [unit, unit, 2, unit, unit, 4]}
func.func @constants(%x: tensor<2x4xf32> {elx.name = "x", elx.kind = "input"}) -> tensor<4x2xf32> {
  %0 = "elx.transpose"(%x) {permutation = array<i64: 1, 0>} : (tensor<2x4xf32>) -> tensor<4x2xf32>
  return %0 : tensor<4x2xf32>
}

// -----

"epu.program"() ({}) {sym_name = "program", processor = @processor, epu.parameters = [{address = 64 : i64, name = "w", type = tensor<64xf32>}]} : () -> ()

// It leaves alone: nothing to compute; an input that is given back is copied.
// CHECK-LABEL: func.func @leaves_alone() attributes {host.arena_bytes = 0 : i64
// CHECK-NEXT: %[[X:.*]] = "host.address"() {index = 0 : i64, offset = 0 : i64, region = "argument"}
// CHECK-NEXT: %[[Y:.*]] = "host.address"() {index = 0 : i64, offset = 0 : i64, region = "result"}
// CHECK-NEXT: "host.call"(%[[X]], %[[Y]]) {callee = @elastix_copy, values = [unit, unit, 32]}
// CHECK-NEXT: return
func.func @leaves_alone(%x: tensor<2x4xf32> {elx.name = "x", elx.kind = "input"}) -> tensor<2x4xf32> {
  return %x : tensor<2x4xf32>
}

// -----

"epu.program"() ({}) {sym_name = "program", processor = @processor, epu.parameters = [{address = 64 : i64, name = "w", type = tensor<64xf32>}]} : () -> ()

// It refuses: an op that the runtime has no kernel for.
func.func @no_kernel(%x: tensor<2x4xf32> {elx.name = "x", elx.kind = "input"}, %w: tensor<3x4xf32> {elx.name = "w", elx.kind = "input"}) -> tensor<2x3xf32> {
  // expected-error@+1 {{'elx.linear' op the host has no kernel for it; wanted: an op that earlier passes lower}}
  %0 = "elx.linear"(%x, %w) : (tensor<2x4xf32>, tensor<3x4xf32>) -> tensor<2x3xf32>
  return %0 : tensor<2x3xf32>
}

// -----

"epu.program"() ({}) {sym_name = "program", processor = @processor, epu.parameters = [{address = 64 : i64, name = "w", type = tensor<64xf32>}]} : () -> ()

// It refuses: a launch without addresses.
func.func @no_address(%q: tensor<1x64xi16> {elx.name = "q", elx.kind = "input"}, %e: tensor<1xi32> {elx.name = "e", elx.kind = "input"}, %w: tensor<8x64xf32> {elx.name = "w", elx.kind = "weight"}) -> tensor<1x8xf32> {
  // expected-error@+1 {{'elx.quantized_linear' op it has no epu.descriptor; wanted: the addresses that elx-to-epu gives}}
  %0 = "elx.quantized_linear"(%q, %e, %w) {format = #elx.format<8, 64, "s8", "symmetric">} : (tensor<1x64xi16>, tensor<1xi32>, tensor<8x64xf32>) -> tensor<1x8xf32>
  return %0 : tensor<1x8xf32>
}
