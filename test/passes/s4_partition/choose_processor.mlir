// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p 'choose-processor{beat=128 lanes=2}' | filecheck %s
// RUN: echo 'module {}' | not elastix-opt -p 'choose-processor{fifo-beats=100}' 2>&1 | filecheck %s --check-prefix=REFUSES

// It fires: the buffer holds the longest row, 70 columns in three tiles; A is the module's.
// CHECK: module attributes {elx.activation_bits = 10 : i64}
// CHECK-NEXT: "epu.processor"() {activation_bits = 10 : i64, beat = 128 : i64, channels = 1 : i64, crc = true, fifo_beats = 256 : i64, lanes = 2 : i64, max_burst = 64 : i64, max_tiles = 3 : i64, sym_name = "processor"}
// CHECK: func.func @fires
module attributes {elx.activation_bits = 10 : i64} {
  func.func @fires(%x: tensor<1x70xf32>, %w: tensor<8x70xf32> {elx.name = "w", elx.kind = "weight"}) -> tensor<1x8xf32> {
    %q, %e = "elx.quantize"(%x) {activation_bits = 10 : i64} : (tensor<1x70xf32>) -> (tensor<1x70xi16>, tensor<1xi32>)
    %y = "elx.quantized_linear"(%q, %e, %w) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x70xi16>, tensor<1xi32>, tensor<8x70xf32>) -> tensor<1x8xf32>
    return %y : tensor<1x8xf32>
  }
}

// -----

// It leaves alone: a module that names its processor keeps it.
// CHECK: "epu.processor"() {{.*}}beat = 64 : i64{{.*}}max_tiles = 7 : i64
// CHECK-NOT: epu.processor
"epu.processor"() {sym_name = "mine", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 7, max_burst = 16, fifo_beats = 64, crc = true} : () -> ()

// It refuses: a FIFO that no processor can have.
// REFUSES: fifo_beats = 100; wanted: a power of two, at least max_burst = 64
