// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p partition | filecheck %s

"epu.processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 2, max_burst = 64, fifo_beats = 256, crc = true} : () -> ()

// It fires: a layer that fits goes to the processor, one with rows too long for it to the host, with the reason.
// CHECK-LABEL: func.func @fires
// CHECK: "elx.quantize"{{.*}}elx.reason = "the host quantizes activations as it uploads them", elx.side = "host"
// CHECK: "elx.quantized_linear"{{.*}}elx.reason = "4b g32 s8 symmetric, 2 tiles of the processor's 2", elx.side = "processor"
// CHECK: "elx.quantized_linear"{{.*}}elx.reason = "65 columns are 3 tiles, more than the processor's 2", elx.side = "host"
// CHECK: "elx.linear"{{.*}}elx.reason = "no weight format was chosen", elx.side = "host"
// CHECK: "elx.activation"{{.*}}elx.reason = "the processor multiplies matrices only", elx.side = "host"
// CHECK: torch.aten.sin {{.*}}elx.reason = "no elx op covers it", elx.side = "host"
func.func @fires(%x: tensor<1x64xf32>, %w: tensor<65x64xf32> {elx.name = "w", elx.kind = "weight"}, %v: tensor<8x65xf32> {elx.name = "v", elx.kind = "weight"}, %u: tensor<4x8xf32> {elx.name = "u", elx.kind = "weight"}) -> tensor<1x4xf32> {
  %q, %e = "elx.quantize"(%x) {activation_bits = 11} : (tensor<1x64xf32>) -> (tensor<1x64xi16>, tensor<1xi32>)
  %0 = "elx.quantized_linear"(%q, %e, %w) {format = #elx.format<4, 32, "s8", "symmetric">} : (tensor<1x64xi16>, tensor<1xi32>, tensor<65x64xf32>) -> tensor<1x65xf32>
  %p, %f = "elx.quantize"(%0) {activation_bits = 11} : (tensor<1x65xf32>) -> (tensor<1x65xi16>, tensor<1xi32>)
  %1 = "elx.quantized_linear"(%p, %f, %v) {format = #elx.format<4, 32, "s8", "symmetric">} : (tensor<1x65xi16>, tensor<1xi32>, tensor<8x65xf32>) -> tensor<1x8xf32>
  %2 = "elx.linear"(%1, %u) : (tensor<1x8xf32>, tensor<4x8xf32>) -> tensor<1x4xf32>
  %3 = "elx.activation"(%2) {kind = "relu"} : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %4 = torch_c.from_builtin_tensor %3 : tensor<1x4xf32> -> !torch.vtensor<[1,4],f32>
  %5 = torch.aten.sin %4 : !torch.vtensor<[1,4],f32> -> !torch.vtensor<[1,4],f32>
  %6 = torch_c.to_builtin_tensor %5 : !torch.vtensor<[1,4],f32> -> tensor<1x4xf32>
  return %6 : tensor<1x4xf32>
}

// -----

"epu.processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 2, max_burst = 64, fifo_beats = 256, crc = true} : () -> ()

// It leaves alone: what computes nothing.
// CHECK-LABEL: func.func @leaves_alone
// CHECK-NOT: elx.side
func.func @leaves_alone(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %c = arith.constant dense<1.0> : tensor<2xf32>
  %none = torch.constant.none
  %one = torch.constant.int 1
  %list = torch.prim.ListConstruct %one : (!torch.int) -> !torch.list<int>
  return %x, %c : tensor<2xf32>, tensor<2xf32>
}

// -----

"epu.processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 2, max_burst = 64, fifo_beats = 256, crc = true} : () -> ()

// It refuses: wider activations than the processor's.
func.func @refuses(%x: tensor<1x64xf32>, %w: tensor<8x64xf32> {elx.name = "w", elx.kind = "weight"}) -> tensor<1x8xf32> {
  %q, %e = "elx.quantize"(%x) {activation_bits = 12} : (tensor<1x64xf32>) -> (tensor<1x64xi16>, tensor<1xi32>)
  // expected-error@+1 {{'elx.quantized_linear' op activations of 12 bits; wanted: at most 11 bits, as the processor has; choose a width that it takes}}
  %0 = "elx.quantized_linear"(%q, %e, %w) {format = #elx.format<4, 32, "s8", "symmetric">} : (tensor<1x64xi16>, tensor<1xi32>, tensor<8x64xf32>) -> tensor<1x8xf32>
  return %0 : tensor<1x8xf32>
}

// -----

"epu.processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 2, max_burst = 64, fifo_beats = 256, crc = true} : () -> ()

// It refuses: random numbers, which would not follow the caller's seed.
func.func @refuses_random(%x: !torch.vtensor<[3],f32>) -> !torch.vtensor<[3],f32> {
  %none = torch.constant.none
  // expected-error@+1 {{'torch.aten.rand_like' op it draws random numbers; wanted: ops that follow from their inputs}}
  %0 = torch.aten.rand_like %x, %none, %none, %none, %none, %none : !torch.vtensor<[3],f32>, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none -> !torch.vtensor<[3],f32>
  return %0 : !torch.vtensor<[3],f32>
}
