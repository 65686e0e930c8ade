// A failure leaves a file, whose first line is the command that repeats it.
// RUN: rm -rf %t && mkdir %t
// RUN: not elastix-opt %s -p canonicalize,partition --reproducers %t 2>&1 | filecheck %s
// RUN: not elastix-opt %t/elastix-partition-*.mlir --pass-pipeline='builtin.module(partition)' --reproducers %t 2>&1 | filecheck %s
// RUN: cat %t/elastix-partition-*.mlir | filecheck %s --check-prefix FILE

// CHECK: error: 'elx.quantized_linear' op activations of 12 bits; wanted: at most 11 bits
// CHECK-NEXT: note: pass partition: cannot treat an op; reproducer: {{.*}}elastix-partition-{{[0-9a-f]+}}.mlir
// FILE: // elastix-opt {{.*}}elastix-partition-{{.*}}.mlir --pass-pipeline='builtin.module(partition)'
// FILE-NEXT: module
"epu.processor"() {sym_name = "p", beat = 256 : i64, activation_bits = 11 : i64, lanes = 1 : i64, channels = 1 : i64,
    max_tiles = 64 : i64, max_burst = 64 : i64, fifo_beats = 256 : i64, crc = true} : () -> ()
func.func @step(%x: tensor<2x64xf32>, %w: tensor<32x64xf32>) -> tensor<2x32xf32> {
  %q, %e = "elx.quantize"(%x) {activation_bits = 12 : i64} : (tensor<2x64xf32>) -> (tensor<2x64xi16>, tensor<2xi32>)
  %0 = "elx.quantized_linear"(%q, %e, %w) {format = #elx.format<4, 32, "s8", "symmetric">}
      : (tensor<2x64xi16>, tensor<2xi32>, tensor<32x64xf32>) -> tensor<2x32xf32>
  return %0 : tensor<2x32xf32>
}
