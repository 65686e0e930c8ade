// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p elx-to-epu | filecheck %s

"epu.processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 2, channels = 1, max_tiles = 4, max_burst = 64, fifo_beats = 256, crc = true} : () -> ()

// It fires: one instruction a layer, a tied embedding sharing its layer's; what runs at one time has its own scratch.
// CHECK-LABEL: "epu.program"() ({
// CHECK-NEXT: "epu.linear"() {channel_stride = 4096 : i64, columns = 64 : i64, {{.*}}rows = 40 : i64, sym_name = "table", tokens = 3 : i64, weight = "table", weights = 0 : i64, x = 16448 : i64, y = 17024 : i64}
// CHECK-NEXT: "epu.linear"() {{.*}}rows = 41 : i64, {{.*}}sym_name = "up", tokens = 3 : i64, weight = "up.weight", weights = 4096 : i64, x = 16448 : i64, y = 17536 : i64}
// CHECK-NEXT: "epu.linear"() {{.*}}sym_name = "up.1", tokens = 3 : i64, weight = "up.weight", weights = 4096 : i64, x = 16448 : i64, y = 17024 : i64}
// CHECK: epu.memory = {patch = 16384 : i64, program_address = 12288 : i64, program_bytes = 192 : i64, scratch_address = 16384 : i64, size = 20480 : i64, weights_bytes = 12288 : i64}
// CHECK-SAME: epu.parameters = [{address = 8192 : i64, name = "bias", type = tensor<41xf32>}]
// CHECK-SAME: processor = @processor, sym_name = "program"
// CHECK: "elx.quantized_embedding"({{.*}}) {epu.descriptor = 12288 : i64,
// CHECK: "elx.quantize"({{.*}}) {activation_bits = 11 : i64, epu.x = 16448 : i64}
// CHECK: "elx.quantized_linear"({{.*}}) {epu.descriptor = 12288 : i64, epu.y = 17024 : i64,
// CHECK: "elx.quantized_linear"({{.*}}) {epu.descriptor = 12352 : i64, epu.y = 17536 : i64,
func.func @fires(%i: tensor<3xi64> {elx.name = "ids", elx.kind = "input"}, %t: tensor<40x64xf32> {elx.name = "table", elx.kind = "weight"}, %u: tensor<41x64xf32> {elx.name = "up.weight", elx.kind = "weight"}, %b: tensor<41xf32> {elx.name = "bias", elx.kind = "weight"}) -> (tensor<3x40xf32>, tensor<3x41xf32>, tensor<3x41xf32>) {
  %0 = "elx.quantized_embedding"(%i, %t) {format = #elx.format<8, 64, "s8", "symmetric">} : (tensor<3xi64>, tensor<40x64xf32>) -> tensor<3x64xf32>
  %q, %e = "elx.quantize"(%0) {activation_bits = 11} : (tensor<3x64xf32>) -> (tensor<3x64xi16>, tensor<3xi32>)
  %1 = "elx.quantized_linear"(%q, %e, %t) {format = #elx.format<8, 64, "s8", "symmetric">} : (tensor<3x64xi16>, tensor<3xi32>, tensor<40x64xf32>) -> tensor<3x40xf32>
  %2 = "elx.quantized_linear"(%q, %e, %u, %b) {format = #elx.format<8, 64, "s8", "symmetric">} : (tensor<3x64xi16>, tensor<3xi32>, tensor<41x64xf32>, tensor<41xf32>) -> tensor<3x41xf32>
  %3 = "elx.activation"(%0) {kind = "relu"} : (tensor<3x64xf32>) -> tensor<3x64xf32>
  %p, %f = "elx.quantize"(%3) {activation_bits = 11} : (tensor<3x64xf32>) -> (tensor<3x64xi16>, tensor<3xi32>)
  %4 = "elx.quantized_linear"(%p, %f, %u) {format = #elx.format<8, 64, "s8", "symmetric">} : (tensor<3x64xi16>, tensor<3xi32>, tensor<41x64xf32>) -> tensor<3x41xf32>
  return %1, %2, %4 : tensor<3x40xf32>, tensor<3x41xf32>, tensor<3x41xf32>
}

// -----

"epu.processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 2, channels = 1, max_tiles = 4, max_burst = 64, fifo_beats = 256, crc = true} : () -> ()

// It leaves alone: a step without quantized layers has an empty program, and its weights are host parameters.
// CHECK-LABEL: "epu.program"() ({
// CHECK-NOT: epu.linear
// CHECK: epu.memory = {patch = 4096 : i64, program_address = 4096 : i64, program_bytes = 0 : i64, {{.*}}weights_bytes = 4096 : i64}, epu.parameters = [{address = 0 : i64, name = "w", type = tensor<8xf32>}]
// CHECK: "elx.rms_norm"(%arg0, %arg1) {eps = 9.99999974E-6 : f32}
func.func @leaves_alone(%x: tensor<2x8xf32> {elx.name = "x", elx.kind = "input"}, %w: tensor<8xf32> {elx.name = "w", elx.kind = "weight"}, %unused: tensor<8xf32> {elx.name = "unused", elx.kind = "weight"}) -> tensor<2x8xf32> {
  %0 = "elx.rms_norm"(%x, %w) {eps = 1.0e-5 : f32} : (tensor<2x8xf32>, tensor<8xf32>) -> tensor<2x8xf32>
  return %0 : tensor<2x8xf32>
}

// -----

"epu.processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 2, channels = 1, max_tiles = 4, max_burst = 64, fifo_beats = 256, crc = true} : () -> ()

// It refuses: a weight that is an input, whose values nobody knows yet.
func.func @refuses(%x: tensor<1x64xf32> {elx.name = "x", elx.kind = "input"}, %w: tensor<8x64xf32> {elx.name = "w", elx.kind = "input"}) -> tensor<1x8xf32> {
  %q, %e = "elx.quantize"(%x) {activation_bits = 11} : (tensor<1x64xf32>) -> (tensor<1x64xi16>, tensor<1xi32>)
  // expected-error@+1 {{'elx.quantized_linear' op its weight cannot be packed: it is an argument of kind input; wanted: an argument of kind weight}}
  %0 = "elx.quantized_linear"(%q, %e, %w) {format = #elx.format<4, 32, "s8", "symmetric">} : (tensor<1x64xi16>, tensor<1xi32>, tensor<8x64xf32>) -> tensor<1x8xf32>
  return %0 : tensor<1x8xf32>
}

// -----

"epu.processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 2, channels = 1, max_tiles = 4, max_burst = 64, fifo_beats = 256, crc = true} : () -> ()

// It refuses: one weight in two formats.
func.func @two_formats(%x: tensor<1x64xf32> {elx.name = "x", elx.kind = "input"}, %w: tensor<8x64xf32> {elx.name = "w", elx.kind = "weight"}) -> (tensor<1x8xf32>, tensor<1x8xf32>) {
  %q, %e = "elx.quantize"(%x) {activation_bits = 11} : (tensor<1x64xf32>) -> (tensor<1x64xi16>, tensor<1xi32>)
  %0 = "elx.quantized_linear"(%q, %e, %w) {format = #elx.format<4, 32, "s8", "symmetric">} : (tensor<1x64xi16>, tensor<1xi32>, tensor<8x64xf32>) -> tensor<1x8xf32>
  // expected-error@+1 {{'elx.quantized_linear' op w in format 5b g32 s8 symmetric; wanted: 4b g32 s8 symmetric, as another op has it}}
  %1 = "elx.quantized_linear"(%q, %e, %w) {format = #elx.format<5, 32, "s8", "symmetric">} : (tensor<1x64xi16>, tensor<1xi32>, tensor<8x64xf32>) -> tensor<1x8xf32>
  return %0, %1 : tensor<1x8xf32>, tensor<1x8xf32>
}

// -----

"epu.processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 2, channels = 1, max_tiles = 4, max_burst = 64, fifo_beats = 256, crc = true} : () -> ()

// It fires: of two layers that run together neither's results lie where the other's activations are still read.
// CHECK-LABEL: "epu.program"() ({
// CHECK-NEXT: "epu.linear"() {{.*}}x = 8256 : i64, y = 8640 : i64
// CHECK-NEXT: "epu.linear"() {{.*}}x = 8448 : i64, y = 8768 : i64
// CHECK: func.func @together
func.func @together(%x: tensor<1x64xf32> {elx.name = "x", elx.kind = "input"}, %y: tensor<1x64xf32> {elx.name = "y", elx.kind = "input"}, %w: tensor<32x64xf32> {elx.name = "w", elx.kind = "weight"}) -> (tensor<1x32xf32>, tensor<1x32xf32>) {
  %q, %e = "elx.quantize"(%x) {activation_bits = 11} : (tensor<1x64xf32>) -> (tensor<1x64xi16>, tensor<1xi32>)
  %p, %f = "elx.quantize"(%y) {activation_bits = 11} : (tensor<1x64xf32>) -> (tensor<1x64xi16>, tensor<1xi32>)
  %0 = "elx.quantized_linear"(%q, %e, %w) {format = #elx.format<4, 32, "s8", "symmetric">} : (tensor<1x64xi16>, tensor<1xi32>, tensor<32x64xf32>) -> tensor<1x32xf32>
  %1 = "elx.quantized_linear"(%p, %f, %w) {format = #elx.format<4, 32, "s8", "symmetric">} : (tensor<1x64xi16>, tensor<1xi32>, tensor<32x64xf32>) -> tensor<1x32xf32>
  return %0, %1 : tensor<1x32xf32>, tensor<1x32xf32>
}
