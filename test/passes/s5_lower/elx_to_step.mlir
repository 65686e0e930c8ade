// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p elx-to-step | filecheck %s

// It fires: keys, values and caches come before queries; the softmax of a group is a pass a query; biases, sums and
// the arg max go with the results of a LINEAR; what a pass needs is loaded where it is first used.
// CHECK: "epu.step_processor"
// CHECK-NEXT: "epu.step_program"() ({
// CHECK: opcode = "embed"
// CHECK: opcode = "vector"{{.*}}maximum = "MAGNITUDE"
// CHECK: buffers = {to = [@[[NORM:norm.weight.[0-9]+]], 0]}, opcode = "load"{{.*}}target = "CONSTANT"
// CHECK: operation = "SQUARES"
// CHECK: c = [@[[NORM]], 0]{{.*}}operation = "NORMALIZE"
// CHECK: operation = "QUANTIZE", target = "ACTIVATIONS"
// CHECK: buffers = {to = [@[[ROPE:rope.0.[0-9]+]], 0]}, opcode = "load"{{.*}}stride = 128
// CHECK: buffers = {to = [@[[KEY:k.[0-9]+]], 0]}, opcode = "linear"{{.*}}weights = 8192
// CHECK: "epu.instruction"() {buffers = {from = [@[[BIAS:v.bias.[0-9]+]], 0], to = [@v.{{.*}}, 0]}, opcode = "linear"{{.*}}operation = "ADD_CONSTANT"
// CHECK: buffers = {to = [@[[QUERY:q.[0-9]+]], 0]}, opcode = "linear"
// CHECK: a = [@[[KEY]], 0], c = [@[[ROPE]], 0], d = [@[[ROPE]], 8]{{.*}}operation = "ROTATE", period = 8
// CHECK: operation = "QUANTIZE", rows = 28672 : i64, scales = 256 : i64, target = "KEY"
// CHECK: operation = "QUANTIZE"{{.*}}target = "VALUE"
// CHECK: a = [@[[QUERY]], 0], c = [@[[ROPE]], 16], d = [@[[ROPE]], 24]{{.*}}operation = "ROTATE"
// CHECK: operation = "QUANTIZE", target = "QUERY"
// CHECK: opcode = "scores"
// CHECK: operation = "EXPONENTIAL"
// CHECK: maximum = "MAGNITUDE_KEEP", operation = "EXPONENTIAL"
// CHECK: target = "PROBABILITY"
// CHECK: head = 1 : i64, operation = "QUANTIZE", target = "PROBABILITY"
// CHECK: opcode = "values"
// CHECK: operation = "SCALE_BY"
// CHECK: operation = "SCALE_BY"
// CHECK: target = "ACTIVATIONS"
// CHECK: from = [@embedding.{{.*}}opcode = "linear"{{.*}}operation = "ADD"
// CHECK: target = "ACTIVATIONS"
// CHECK: buffers = {}, opcode = "linear"{{.*}}arg_max = 1{{.*}}target = "MEMORY"{{.*}}to = 32768
// CHECK-NEXT: "epu.instruction"() {{.*}}opcode = "end"
// CHECK-NEXT: }) {processor = @processor, sym_name = "program"}
// CHECK-NOT: func.func
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()
func.func @step(%ids: tensor<1x1xi64> {elx.name = "ids", elx.kind = "input"}, %positions: tensor<1xi64> {elx.name = "positions", elx.kind = "input"},
    %table: tensor<64x16xf32> {elx.name = "embed.weight", elx.kind = "weight"},
    %norm: tensor<16xf32> {elx.name = "norm.weight", elx.kind = "weight"},
    %wq: tensor<16x16xf32> {elx.name = "q.weight", elx.kind = "weight"},
    %wk: tensor<8x16xf32> {elx.name = "k.weight", elx.kind = "weight"},
    %wv: tensor<8x16xf32> {elx.name = "v.weight", elx.kind = "weight"},
    %bv: tensor<8xf32> {elx.name = "v.bias", elx.kind = "weight"},
    %wo: tensor<16x16xf32> {elx.name = "o.weight", elx.kind = "weight"},
    %freq: tensor<4xf32> {elx.name = "inv_freq", elx.kind = "buffer"},
    %k: tensor<1x1x32x8xi8> {elx.name = "k", elx.kind = "cache"}, %v: tensor<1x1x32x8xi8> {elx.name = "v", elx.kind = "cache"},
    %ks: tensor<1x1x32xbf16> {elx.name = "k.scale", elx.kind = "cache"}, %vs: tensor<1x1x32xbf16> {elx.name = "v.scale", elx.kind = "cache"})
    -> (tensor<1x1x32x8xi8> {elx.writes = "k"}, tensor<1x1x32x8xi8> {elx.writes = "v"}, tensor<1x1x32xbf16> {elx.writes = "k.scale"}, tensor<1x1x32xbf16> {elx.writes = "v.scale"}, tensor<1x1x64xf32> {elx.name = "logits"}) {
  %x = "elx.quantized_embedding"(%ids, %table) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1xi64>, tensor<64x16xf32>) -> tensor<1x1x16xf32>
  %n = "elx.rms_norm"(%x, %norm) {eps = 1.0e-5 : f32} : (tensor<1x1x16xf32>, tensor<16xf32>) -> tensor<1x1x16xf32>
  %a, %e = "elx.quantize"(%n) {activation_bits = 11} : (tensor<1x1x16xf32>) -> (tensor<1x1x16xi16>, tensor<1x1xi32>)
  %q = "elx.quantized_linear"(%a, %e, %wq) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<16x16xf32>) -> tensor<1x1x16xf32>
  %kn = "elx.quantized_linear"(%a, %e, %wk) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<8x16xf32>) -> tensor<1x1x8xf32>
  %vn = "elx.quantized_linear"(%a, %e, %wv, %bv) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<8x16xf32>, tensor<8xf32>) -> tensor<1x1x8xf32>
  %qh = "elx.reshape"(%q) : (tensor<1x1x16xf32>) -> tensor<1x2x1x8xf32>
  %kh = "elx.reshape"(%kn) : (tensor<1x1x8xf32>) -> tensor<1x1x1x8xf32>
  %vh = "elx.reshape"(%vn) : (tensor<1x1x8xf32>) -> tensor<1x1x1x8xf32>
  %qr = "elx.rope"(%qh, %positions, %freq) {scaling = 1.0 : f32} : (tensor<1x2x1x8xf32>, tensor<1xi64>, tensor<4xf32>) -> tensor<1x2x1x8xf32>
  %kr = "elx.rope"(%kh, %positions, %freq) {scaling = 1.0 : f32} : (tensor<1x1x1x8xf32>, tensor<1xi64>, tensor<4xf32>) -> tensor<1x1x1x8xf32>
  %k2, %ks2 = "elx.quantized_cache_update"(%k, %ks, %kr, %positions) : (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x1x8xf32>, tensor<1xi64>) -> (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>)
  %v2, %vs2 = "elx.quantized_cache_update"(%v, %vs, %vh, %positions) : (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x1x8xf32>, tensor<1xi64>) -> (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>)
  %o = "elx.quantized_attention"(%qr, %k2, %v2, %ks2, %vs2, %positions) {scale = 0.25 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0>} : (tensor<1x2x1x8xf32>, tensor<1x1x32x8xi8>, tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x32xbf16>, tensor<1xi64>) -> tensor<1x2x1x8xf32>
  %or = "elx.reshape"(%o) : (tensor<1x2x1x8xf32>) -> tensor<1x1x16xf32>
  %b, %f = "elx.quantize"(%or) {activation_bits = 11} : (tensor<1x1x16xf32>) -> (tensor<1x1x16xi16>, tensor<1x1xi32>)
  %p = "elx.quantized_linear"(%b, %f, %wo) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<16x16xf32>) -> tensor<1x1x16xf32>
  %y = "elx.residual"(%x, %p) : (tensor<1x1x16xf32>, tensor<1x1x16xf32>) -> tensor<1x1x16xf32>
  %c, %g = "elx.quantize"(%y) {activation_bits = 11} : (tensor<1x1x16xf32>) -> (tensor<1x1x16xi16>, tensor<1x1xi32>)
  %l = "elx.quantized_linear"(%c, %g, %table) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<64x16xf32>) -> tensor<1x1x64xf32>
  return %k2, %v2, %ks2, %vs2, %l : tensor<1x1x32x8xi8>, tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x32xbf16>, tensor<1x1x64xf32>
}

// -----

// It fires: where softmax takes longer than the rows of the caches, the weights of queries, keys and values come head by
// head, those of the second before the scores of the first; sums of values wait for one more head.
// CHECK: "epu.step_program"() ({
// CHECK: target = "ACTIVATIONS"
// CHECK: to = [@[[K:k.[0-9]+]], 0]}, opcode = "linear"{{.*}}rows = 8 : i64
// CHECK: to = [@[[V:v.[0-9]+]], 0]}, opcode = "linear"{{.*}}rows = 8 : i64
// CHECK: to = [@[[Q:q.[0-9]+]], 0]}, opcode = "linear"{{.*}}rows = 64 : i64
// CHECK: target = "KEY"
// CHECK: target = "VALUE"
// CHECK: to = [@[[K]], 8]}, opcode = "linear"{{.*}}rows = 8 : i64
// CHECK: to = [@[[V]], 8]}, opcode = "linear"{{.*}}rows = 8 : i64
// CHECK: to = [@[[Q]], 64]}, opcode = "linear"{{.*}}rows = 64 : i64
// CHECK: opcode = "scores"
// CHECK: head = 1 : i64{{.*}}target = "KEY"
// CHECK: head = 1 : i64{{.*}}target = "VALUE"
// CHECK: opcode = "scores"{{.*}}head = 1 : i64
// CHECK: operation = "EXPONENTIAL"
// CHECK: opcode = "values"
// CHECK: opcode = "values"{{.*}}head = 1 : i64
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 4, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 2, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 2, group = 8, attention_lanes = 8, attention_channels = 1, activations = [], features = ["embed", "attention", "arg_max"]} : () -> ()
func.func @step(%ids: tensor<1x1xi64> {elx.name = "ids", elx.kind = "input"}, %positions: tensor<1xi64> {elx.name = "positions", elx.kind = "input"},
    %table: tensor<64x64xf32> {elx.name = "embed.weight", elx.kind = "weight"},
    %wq: tensor<128x64xf32> {elx.name = "q.weight", elx.kind = "weight"},
    %wk: tensor<16x64xf32> {elx.name = "k.weight", elx.kind = "weight"},
    %wv: tensor<16x64xf32> {elx.name = "v.weight", elx.kind = "weight"},
    %head: tensor<64x128xf32> {elx.name = "head.weight", elx.kind = "weight"},
    %k: tensor<1x2x32x8xi8> {elx.name = "k", elx.kind = "cache"}, %v: tensor<1x2x32x8xi8> {elx.name = "v", elx.kind = "cache"},
    %ks: tensor<1x2x32xbf16> {elx.name = "k.scale", elx.kind = "cache"}, %vs: tensor<1x2x32xbf16> {elx.name = "v.scale", elx.kind = "cache"})
    -> (tensor<1x2x32x8xi8> {elx.writes = "k"}, tensor<1x2x32x8xi8> {elx.writes = "v"}, tensor<1x2x32xbf16> {elx.writes = "k.scale"}, tensor<1x2x32xbf16> {elx.writes = "v.scale"}, tensor<1x1x64xf32> {elx.name = "logits"}) {
  %x = "elx.quantized_embedding"(%ids, %table) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1xi64>, tensor<64x64xf32>) -> tensor<1x1x64xf32>
  %a, %e = "elx.quantize"(%x) {activation_bits = 11} : (tensor<1x1x64xf32>) -> (tensor<1x1x64xi16>, tensor<1x1xi32>)
  %q = "elx.quantized_linear"(%a, %e, %wq) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x64xi16>, tensor<1x1xi32>, tensor<128x64xf32>) -> tensor<1x1x128xf32>
  %kn = "elx.quantized_linear"(%a, %e, %wk) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x64xi16>, tensor<1x1xi32>, tensor<16x64xf32>) -> tensor<1x1x16xf32>
  %vn = "elx.quantized_linear"(%a, %e, %wv) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x64xi16>, tensor<1x1xi32>, tensor<16x64xf32>) -> tensor<1x1x16xf32>
  %qh = "elx.reshape"(%q) : (tensor<1x1x128xf32>) -> tensor<1x16x1x8xf32>
  %kh = "elx.reshape"(%kn) : (tensor<1x1x16xf32>) -> tensor<1x2x1x8xf32>
  %vh = "elx.reshape"(%vn) : (tensor<1x1x16xf32>) -> tensor<1x2x1x8xf32>
  %k2, %ks2 = "elx.quantized_cache_update"(%k, %ks, %kh, %positions) : (tensor<1x2x32x8xi8>, tensor<1x2x32xbf16>, tensor<1x2x1x8xf32>, tensor<1xi64>) -> (tensor<1x2x32x8xi8>, tensor<1x2x32xbf16>)
  %v2, %vs2 = "elx.quantized_cache_update"(%v, %vs, %vh, %positions) : (tensor<1x2x32x8xi8>, tensor<1x2x32xbf16>, tensor<1x2x1x8xf32>, tensor<1xi64>) -> (tensor<1x2x32x8xi8>, tensor<1x2x32xbf16>)
  %o = "elx.quantized_attention"(%qh, %k2, %v2, %ks2, %vs2, %positions) {scale = 0.25 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0>} : (tensor<1x16x1x8xf32>, tensor<1x2x32x8xi8>, tensor<1x2x32x8xi8>, tensor<1x2x32xbf16>, tensor<1x2x32xbf16>, tensor<1xi64>) -> tensor<1x16x1x8xf32>
  %or = "elx.reshape"(%o) : (tensor<1x16x1x8xf32>) -> tensor<1x1x128xf32>
  %b, %f = "elx.quantize"(%or) {activation_bits = 11} : (tensor<1x1x128xf32>) -> (tensor<1x1x128xi16>, tensor<1x1xi32>)
  %l = "elx.quantized_linear"(%b, %f, %head) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x128xi16>, tensor<1x1xi32>, tensor<64x128xf32>) -> tensor<1x1x64xf32>
  return %k2, %v2, %ks2, %vs2, %l : tensor<1x2x32x8xi8>, tensor<1x2x32x8xi8>, tensor<1x2x32xbf16>, tensor<1x2x32xbf16>, tensor<1x1x64xf32>
}

// -----

// It fires: two tokens that share a pass over the weights have instructions of their own for all else.
// CHECK: "epu.step_program"() ({
// CHECK: to = [@embedding.{{[0-9]+}}, 0]}, opcode = "embed"
// CHECK: to = [@embedding.{{[0-9]+}}, 32]}, opcode = "embed", {{.*}}lane = 1
// CHECK-COUNT-4: opcode = "linear"{{.*}}lane_stride = 32
// CHECK: opcode = "linear"{{.*}}lane_stride = 256
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 2, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()
func.func @lanes(%ids: tensor<1x1xi64> {elx.name = "ids", elx.kind = "input"}, %positions: tensor<1xi64> {elx.name = "positions", elx.kind = "input"},
    %table: tensor<64x16xf32> {elx.name = "embed.weight", elx.kind = "weight"},
    %norm: tensor<16xf32> {elx.name = "norm.weight", elx.kind = "weight"},
    %wq: tensor<16x16xf32> {elx.name = "q.weight", elx.kind = "weight"},
    %wk: tensor<8x16xf32> {elx.name = "k.weight", elx.kind = "weight"},
    %wv: tensor<8x16xf32> {elx.name = "v.weight", elx.kind = "weight"},
    %bv: tensor<8xf32> {elx.name = "v.bias", elx.kind = "weight"},
    %wo: tensor<16x16xf32> {elx.name = "o.weight", elx.kind = "weight"},
    %freq: tensor<4xf32> {elx.name = "inv_freq", elx.kind = "buffer"},
    %k: tensor<1x1x32x8xi8> {elx.name = "k", elx.kind = "cache"}, %v: tensor<1x1x32x8xi8> {elx.name = "v", elx.kind = "cache"},
    %ks: tensor<1x1x32xbf16> {elx.name = "k.scale", elx.kind = "cache"}, %vs: tensor<1x1x32xbf16> {elx.name = "v.scale", elx.kind = "cache"})
    -> (tensor<1x1x32x8xi8> {elx.writes = "k"}, tensor<1x1x32x8xi8> {elx.writes = "v"}, tensor<1x1x32xbf16> {elx.writes = "k.scale"}, tensor<1x1x32xbf16> {elx.writes = "v.scale"}, tensor<1x1x64xf32> {elx.name = "logits"}) {
  %x = "elx.quantized_embedding"(%ids, %table) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1xi64>, tensor<64x16xf32>) -> tensor<1x1x16xf32>
  %n = "elx.rms_norm"(%x, %norm) {eps = 1.0e-5 : f32} : (tensor<1x1x16xf32>, tensor<16xf32>) -> tensor<1x1x16xf32>
  %a, %e = "elx.quantize"(%n) {activation_bits = 11} : (tensor<1x1x16xf32>) -> (tensor<1x1x16xi16>, tensor<1x1xi32>)
  %q = "elx.quantized_linear"(%a, %e, %wq) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<16x16xf32>) -> tensor<1x1x16xf32>
  %kn = "elx.quantized_linear"(%a, %e, %wk) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<8x16xf32>) -> tensor<1x1x8xf32>
  %vn = "elx.quantized_linear"(%a, %e, %wv, %bv) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<8x16xf32>, tensor<8xf32>) -> tensor<1x1x8xf32>
  %qh = "elx.reshape"(%q) : (tensor<1x1x16xf32>) -> tensor<1x2x1x8xf32>
  %kh = "elx.reshape"(%kn) : (tensor<1x1x8xf32>) -> tensor<1x1x1x8xf32>
  %vh = "elx.reshape"(%vn) : (tensor<1x1x8xf32>) -> tensor<1x1x1x8xf32>
  %qr = "elx.rope"(%qh, %positions, %freq) {scaling = 1.0 : f32} : (tensor<1x2x1x8xf32>, tensor<1xi64>, tensor<4xf32>) -> tensor<1x2x1x8xf32>
  %kr = "elx.rope"(%kh, %positions, %freq) {scaling = 1.0 : f32} : (tensor<1x1x1x8xf32>, tensor<1xi64>, tensor<4xf32>) -> tensor<1x1x1x8xf32>
  %k2, %ks2 = "elx.quantized_cache_update"(%k, %ks, %kr, %positions) : (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x1x8xf32>, tensor<1xi64>) -> (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>)
  %v2, %vs2 = "elx.quantized_cache_update"(%v, %vs, %vh, %positions) : (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x1x8xf32>, tensor<1xi64>) -> (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>)
  %o = "elx.quantized_attention"(%qr, %k2, %v2, %ks2, %vs2, %positions) {scale = 0.25 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0>} : (tensor<1x2x1x8xf32>, tensor<1x1x32x8xi8>, tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x32xbf16>, tensor<1xi64>) -> tensor<1x2x1x8xf32>
  %or = "elx.reshape"(%o) : (tensor<1x2x1x8xf32>) -> tensor<1x1x16xf32>
  %b, %f = "elx.quantize"(%or) {activation_bits = 11} : (tensor<1x1x16xf32>) -> (tensor<1x1x16xi16>, tensor<1x1xi32>)
  %p = "elx.quantized_linear"(%b, %f, %wo) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<16x16xf32>) -> tensor<1x1x16xf32>
  %y = "elx.residual"(%x, %p) : (tensor<1x1x16xf32>, tensor<1x1x16xf32>) -> tensor<1x1x16xf32>
  %c, %g = "elx.quantize"(%y) {activation_bits = 11} : (tensor<1x1x16xf32>) -> (tensor<1x1x16xi16>, tensor<1x1xi32>)
  %l = "elx.quantized_linear"(%c, %g, %table) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<64x16xf32>) -> tensor<1x1x64xf32>
  return %k2, %v2, %ks2, %vs2, %l : tensor<1x1x32x8xi8>, tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x32xbf16>, tensor<1x1x64xf32>
}

// -----

// It leaves alone: a module without a step processor.
// CHECK-LABEL: func.func @leaves_alone
// CHECK-NEXT: return
func.func @leaves_alone() {
  return
}

// -----

// It refuses: attention that looks anywhere but back.
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()
func.func @masked(%ids: tensor<1x1xi64> {elx.name = "ids", elx.kind = "input"}, %positions: tensor<1xi64> {elx.name = "positions", elx.kind = "input"}, %mask: tensor<1x1x1x32xf32> {elx.name = "mask", elx.kind = "input"},
    %table: tensor<64x16xf32> {elx.name = "embed.weight", elx.kind = "weight"},
    %norm: tensor<16xf32> {elx.name = "norm.weight", elx.kind = "weight"},
    %wq: tensor<16x16xf32> {elx.name = "q.weight", elx.kind = "weight"},
    %wk: tensor<8x16xf32> {elx.name = "k.weight", elx.kind = "weight"},
    %wv: tensor<8x16xf32> {elx.name = "v.weight", elx.kind = "weight"},
    %bv: tensor<8xf32> {elx.name = "v.bias", elx.kind = "weight"},
    %wo: tensor<16x16xf32> {elx.name = "o.weight", elx.kind = "weight"},
    %freq: tensor<4xf32> {elx.name = "inv_freq", elx.kind = "buffer"},
    %k: tensor<1x1x32x8xi8> {elx.name = "k", elx.kind = "cache"}, %v: tensor<1x1x32x8xi8> {elx.name = "v", elx.kind = "cache"},
    %ks: tensor<1x1x32xbf16> {elx.name = "k.scale", elx.kind = "cache"}, %vs: tensor<1x1x32xbf16> {elx.name = "v.scale", elx.kind = "cache"})
    -> (tensor<1x1x32x8xi8> {elx.writes = "k"}, tensor<1x1x32x8xi8> {elx.writes = "v"}, tensor<1x1x32xbf16> {elx.writes = "k.scale"}, tensor<1x1x32xbf16> {elx.writes = "v.scale"}, tensor<1x1x64xf32> {elx.name = "logits"}) {
  %x = "elx.quantized_embedding"(%ids, %table) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1xi64>, tensor<64x16xf32>) -> tensor<1x1x16xf32>
  %n = "elx.rms_norm"(%x, %norm) {eps = 1.0e-5 : f32} : (tensor<1x1x16xf32>, tensor<16xf32>) -> tensor<1x1x16xf32>
  %a, %e = "elx.quantize"(%n) {activation_bits = 11} : (tensor<1x1x16xf32>) -> (tensor<1x1x16xi16>, tensor<1x1xi32>)
  %q = "elx.quantized_linear"(%a, %e, %wq) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<16x16xf32>) -> tensor<1x1x16xf32>
  %kn = "elx.quantized_linear"(%a, %e, %wk) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<8x16xf32>) -> tensor<1x1x8xf32>
  %vn = "elx.quantized_linear"(%a, %e, %wv, %bv) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<8x16xf32>, tensor<8xf32>) -> tensor<1x1x8xf32>
  %qh = "elx.reshape"(%q) : (tensor<1x1x16xf32>) -> tensor<1x2x1x8xf32>
  %kh = "elx.reshape"(%kn) : (tensor<1x1x8xf32>) -> tensor<1x1x1x8xf32>
  %vh = "elx.reshape"(%vn) : (tensor<1x1x8xf32>) -> tensor<1x1x1x8xf32>
  %qr = "elx.rope"(%qh, %positions, %freq) {scaling = 1.0 : f32} : (tensor<1x2x1x8xf32>, tensor<1xi64>, tensor<4xf32>) -> tensor<1x2x1x8xf32>
  %kr = "elx.rope"(%kh, %positions, %freq) {scaling = 1.0 : f32} : (tensor<1x1x1x8xf32>, tensor<1xi64>, tensor<4xf32>) -> tensor<1x1x1x8xf32>
  %k2, %ks2 = "elx.quantized_cache_update"(%k, %ks, %kr, %positions) : (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x1x8xf32>, tensor<1xi64>) -> (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>)
  %v2, %vs2 = "elx.quantized_cache_update"(%v, %vs, %vh, %positions) : (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x1x8xf32>, tensor<1xi64>) -> (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>)
  // expected-error@+1 {{'elx.quantized_attention' op attention with a mask; wanted: causal attention; compile without --whole-step: the host computes it then, and report.md says what each crossing costs}}
  %o = "elx.quantized_attention"(%qr, %k2, %v2, %ks2, %vs2, %positions, %mask) {scale = 0.25 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1>} : (tensor<1x2x1x8xf32>, tensor<1x1x32x8xi8>, tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x32xbf16>, tensor<1xi64>, tensor<1x1x1x32xf32>) -> tensor<1x2x1x8xf32>
  %or = "elx.reshape"(%o) : (tensor<1x2x1x8xf32>) -> tensor<1x1x16xf32>
  %b, %f = "elx.quantize"(%or) {activation_bits = 11} : (tensor<1x1x16xf32>) -> (tensor<1x1x16xi16>, tensor<1x1xi32>)
  %p = "elx.quantized_linear"(%b, %f, %wo) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<16x16xf32>) -> tensor<1x1x16xf32>
  %y = "elx.residual"(%x, %p) : (tensor<1x1x16xf32>, tensor<1x1x16xf32>) -> tensor<1x1x16xf32>
  %c, %g = "elx.quantize"(%y) {activation_bits = 11} : (tensor<1x1x16xf32>) -> (tensor<1x1x16xi16>, tensor<1x1xi32>)
  %l = "elx.quantized_linear"(%c, %g, %table) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<64x16xf32>) -> tensor<1x1x64xf32>
  return %k2, %v2, %ks2, %vs2, %l : tensor<1x1x32x8xi8>, tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x32xbf16>, tensor<1x1x64xf32>
}

// -----

// It refuses: an op that no instruction computes.
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()
func.func @turned(%ids: tensor<1x1xi64> {elx.name = "ids", elx.kind = "input"}, %positions: tensor<1xi64> {elx.name = "positions", elx.kind = "input"},
    %table: tensor<64x16xf32> {elx.name = "embed.weight", elx.kind = "weight"},
    %norm: tensor<16xf32> {elx.name = "norm.weight", elx.kind = "weight"},
    %wq: tensor<16x16xf32> {elx.name = "q.weight", elx.kind = "weight"},
    %wk: tensor<8x16xf32> {elx.name = "k.weight", elx.kind = "weight"},
    %wv: tensor<8x16xf32> {elx.name = "v.weight", elx.kind = "weight"},
    %bv: tensor<8xf32> {elx.name = "v.bias", elx.kind = "weight"},
    %wo: tensor<16x16xf32> {elx.name = "o.weight", elx.kind = "weight"},
    %freq: tensor<4xf32> {elx.name = "inv_freq", elx.kind = "buffer"},
    %k: tensor<1x1x32x8xi8> {elx.name = "k", elx.kind = "cache"}, %v: tensor<1x1x32x8xi8> {elx.name = "v", elx.kind = "cache"},
    %ks: tensor<1x1x32xbf16> {elx.name = "k.scale", elx.kind = "cache"}, %vs: tensor<1x1x32xbf16> {elx.name = "v.scale", elx.kind = "cache"})
    -> (tensor<1x1x32x8xi8> {elx.writes = "k"}, tensor<1x1x32x8xi8> {elx.writes = "v"}, tensor<1x1x32xbf16> {elx.writes = "k.scale"}, tensor<1x1x32xbf16> {elx.writes = "v.scale"}, tensor<1x1x64xf32> {elx.name = "logits"}) {
  %x = "elx.quantized_embedding"(%ids, %table) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1xi64>, tensor<64x16xf32>) -> tensor<1x1x16xf32>
  // expected-error@+1 {{'elx.hadamard' op the step processor has no instructions for it; compile without --whole-step: the host computes it then, and report.md says what each crossing costs}}
  %h = "elx.hadamard"(%x) {scale = 1.0 : f32} : (tensor<1x1x16xf32>) -> tensor<1x1x16xf32>
  %n = "elx.rms_norm"(%h, %norm) {eps = 1.0e-5 : f32} : (tensor<1x1x16xf32>, tensor<16xf32>) -> tensor<1x1x16xf32>
  %a, %e = "elx.quantize"(%n) {activation_bits = 11} : (tensor<1x1x16xf32>) -> (tensor<1x1x16xi16>, tensor<1x1xi32>)
  %q = "elx.quantized_linear"(%a, %e, %wq) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<16x16xf32>) -> tensor<1x1x16xf32>
  %kn = "elx.quantized_linear"(%a, %e, %wk) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<8x16xf32>) -> tensor<1x1x8xf32>
  %vn = "elx.quantized_linear"(%a, %e, %wv, %bv) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<8x16xf32>, tensor<8xf32>) -> tensor<1x1x8xf32>
  %qh = "elx.reshape"(%q) : (tensor<1x1x16xf32>) -> tensor<1x2x1x8xf32>
  %kh = "elx.reshape"(%kn) : (tensor<1x1x8xf32>) -> tensor<1x1x1x8xf32>
  %vh = "elx.reshape"(%vn) : (tensor<1x1x8xf32>) -> tensor<1x1x1x8xf32>
  %qr = "elx.rope"(%qh, %positions, %freq) {scaling = 1.0 : f32} : (tensor<1x2x1x8xf32>, tensor<1xi64>, tensor<4xf32>) -> tensor<1x2x1x8xf32>
  %kr = "elx.rope"(%kh, %positions, %freq) {scaling = 1.0 : f32} : (tensor<1x1x1x8xf32>, tensor<1xi64>, tensor<4xf32>) -> tensor<1x1x1x8xf32>
  %k2, %ks2 = "elx.quantized_cache_update"(%k, %ks, %kr, %positions) : (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x1x8xf32>, tensor<1xi64>) -> (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>)
  %v2, %vs2 = "elx.quantized_cache_update"(%v, %vs, %vh, %positions) : (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x1x8xf32>, tensor<1xi64>) -> (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>)
  %o = "elx.quantized_attention"(%qr, %k2, %v2, %ks2, %vs2, %positions) {scale = 0.25 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0>} : (tensor<1x2x1x8xf32>, tensor<1x1x32x8xi8>, tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x32xbf16>, tensor<1xi64>) -> tensor<1x2x1x8xf32>
  %or = "elx.reshape"(%o) : (tensor<1x2x1x8xf32>) -> tensor<1x1x16xf32>
  %b, %f = "elx.quantize"(%or) {activation_bits = 11} : (tensor<1x1x16xf32>) -> (tensor<1x1x16xi16>, tensor<1x1xi32>)
  %p = "elx.quantized_linear"(%b, %f, %wo) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<16x16xf32>) -> tensor<1x1x16xf32>
  %y = "elx.residual"(%x, %p) : (tensor<1x1x16xf32>, tensor<1x1x16xf32>) -> tensor<1x1x16xf32>
  %c, %g = "elx.quantize"(%y) {activation_bits = 11} : (tensor<1x1x16xf32>) -> (tensor<1x1x16xi16>, tensor<1x1xi32>)
  %l = "elx.quantized_linear"(%c, %g, %table) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<64x16xf32>) -> tensor<1x1x64xf32>
  return %k2, %v2, %ks2, %vs2, %l : tensor<1x1x32x8xi8>, tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x32xbf16>, tensor<1x1x64xf32>
}

// -----

// It refuses: a table that other numbers than the tokens' look up.
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()
func.func @looked_up(%ids: tensor<1x1xi64> {elx.name = "ids", elx.kind = "input"}, %positions: tensor<1xi64> {elx.name = "positions", elx.kind = "input"},
    %table: tensor<64x16xf32> {elx.name = "embed.weight", elx.kind = "weight"},
    %norm: tensor<16xf32> {elx.name = "norm.weight", elx.kind = "weight"},
    %wq: tensor<16x16xf32> {elx.name = "q.weight", elx.kind = "weight"},
    %wk: tensor<8x16xf32> {elx.name = "k.weight", elx.kind = "weight"},
    %wv: tensor<8x16xf32> {elx.name = "v.weight", elx.kind = "weight"},
    %bv: tensor<8xf32> {elx.name = "v.bias", elx.kind = "weight"},
    %wo: tensor<16x16xf32> {elx.name = "o.weight", elx.kind = "weight"},
    %freq: tensor<4xf32> {elx.name = "inv_freq", elx.kind = "buffer"},
    %k: tensor<1x1x32x8xi8> {elx.name = "k", elx.kind = "cache"}, %v: tensor<1x1x32x8xi8> {elx.name = "v", elx.kind = "cache"},
    %ks: tensor<1x1x32xbf16> {elx.name = "k.scale", elx.kind = "cache"}, %vs: tensor<1x1x32xbf16> {elx.name = "v.scale", elx.kind = "cache"})
    -> (tensor<1x1x32x8xi8> {elx.writes = "k"}, tensor<1x1x32x8xi8> {elx.writes = "v"}, tensor<1x1x32xbf16> {elx.writes = "k.scale"}, tensor<1x1x32xbf16> {elx.writes = "v.scale"}, tensor<1x1x64xf32> {elx.name = "logits"}) {
  %at = "elx.reshape"(%positions) : (tensor<1xi64>) -> tensor<1x1xi64>
  // expected-error@+1 {{'elx.quantized_embedding' op positions for ids; wanted: the step's argument ids}}
  %x = "elx.quantized_embedding"(%at, %table) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1xi64>, tensor<64x16xf32>) -> tensor<1x1x16xf32>
  %n = "elx.rms_norm"(%x, %norm) {eps = 1.0e-5 : f32} : (tensor<1x1x16xf32>, tensor<16xf32>) -> tensor<1x1x16xf32>
  %a, %e = "elx.quantize"(%n) {activation_bits = 11} : (tensor<1x1x16xf32>) -> (tensor<1x1x16xi16>, tensor<1x1xi32>)
  %q = "elx.quantized_linear"(%a, %e, %wq) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<16x16xf32>) -> tensor<1x1x16xf32>
  %kn = "elx.quantized_linear"(%a, %e, %wk) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<8x16xf32>) -> tensor<1x1x8xf32>
  %vn = "elx.quantized_linear"(%a, %e, %wv, %bv) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<8x16xf32>, tensor<8xf32>) -> tensor<1x1x8xf32>
  %qh = "elx.reshape"(%q) : (tensor<1x1x16xf32>) -> tensor<1x2x1x8xf32>
  %kh = "elx.reshape"(%kn) : (tensor<1x1x8xf32>) -> tensor<1x1x1x8xf32>
  %vh = "elx.reshape"(%vn) : (tensor<1x1x8xf32>) -> tensor<1x1x1x8xf32>
  %qr = "elx.rope"(%qh, %positions, %freq) {scaling = 1.0 : f32} : (tensor<1x2x1x8xf32>, tensor<1xi64>, tensor<4xf32>) -> tensor<1x2x1x8xf32>
  %kr = "elx.rope"(%kh, %positions, %freq) {scaling = 1.0 : f32} : (tensor<1x1x1x8xf32>, tensor<1xi64>, tensor<4xf32>) -> tensor<1x1x1x8xf32>
  %k2, %ks2 = "elx.quantized_cache_update"(%k, %ks, %kr, %positions) : (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x1x8xf32>, tensor<1xi64>) -> (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>)
  %v2, %vs2 = "elx.quantized_cache_update"(%v, %vs, %vh, %positions) : (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x1x8xf32>, tensor<1xi64>) -> (tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>)
  %o = "elx.quantized_attention"(%qr, %k2, %v2, %ks2, %vs2, %positions) {scale = 0.25 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0>} : (tensor<1x2x1x8xf32>, tensor<1x1x32x8xi8>, tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x32xbf16>, tensor<1xi64>) -> tensor<1x2x1x8xf32>
  %or = "elx.reshape"(%o) : (tensor<1x2x1x8xf32>) -> tensor<1x1x16xf32>
  %b, %f = "elx.quantize"(%or) {activation_bits = 11} : (tensor<1x1x16xf32>) -> (tensor<1x1x16xi16>, tensor<1x1xi32>)
  %p = "elx.quantized_linear"(%b, %f, %wo) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<16x16xf32>) -> tensor<1x1x16xf32>
  %y = "elx.residual"(%x, %p) : (tensor<1x1x16xf32>, tensor<1x1x16xf32>) -> tensor<1x1x16xf32>
  %c, %g = "elx.quantize"(%y) {activation_bits = 11} : (tensor<1x1x16xf32>) -> (tensor<1x1x16xi16>, tensor<1x1xi32>)
  %l = "elx.quantized_linear"(%c, %g, %table) {format = #elx.format<8, 32, "s8", "symmetric">} : (tensor<1x1x16xi16>, tensor<1x1xi32>, tensor<64x16xf32>) -> tensor<1x1x64xf32>
  return %k2, %v2, %ks2, %vs2, %l : tensor<1x1x32x8xi8>, tensor<1x1x32x8xi8>, tensor<1x1x32xbf16>, tensor<1x1x32xbf16>, tensor<1x1x64xf32>
}
