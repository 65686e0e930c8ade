// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p hoist-streams | filecheck %s

// It fires: the second layer of one input follows the first, the pass over the first one's results comes behind both; and
// a LOAD goes before the LINEAR in front of it.
// CHECK: "epu.step_program"
// CHECK: target = "ACTIVATIONS"
// CHECK-NEXT: "epu.instruction"() {buffers = {to = [@one, 0]}, opcode = "linear"
// CHECK-NEXT: "epu.instruction"() {{.*}}opcode = "load"
// CHECK-NEXT: "epu.instruction"() {buffers = {to = [@two, 0]}, opcode = "linear"
// CHECK-NEXT: "epu.instruction"() {{.*}}a = [@one, 0]
// CHECK-NEXT: "epu.instruction"() {{.*}}a = [@two, 0]
// CHECK-NEXT: "epu.instruction"() {{.*}}opcode = "end"
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()
"epu.step_program"() ({
  "epu.buffer"() {sym_name = "x", place = "vector", elements = 32, address = -1} : () -> ()
  "epu.buffer"() {sym_name = "largest", place = "scalar", elements = 1, address = -1} : () -> ()
  "epu.buffer"() {sym_name = "one", place = "vector", elements = 32, address = -1} : () -> ()
  "epu.buffer"() {sym_name = "two", place = "vector", elements = 32, address = -1} : () -> ()
  "epu.buffer"() {sym_name = "c", place = "constant", elements = 8, address = -1} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {operation = "QUANTIZE", target = "ACTIVATIONS", count = 8, bits = 11}, buffers = {a = [@x, 0], scalar_register = [@largest, 0]}} : () -> ()
  "epu.instruction"() {opcode = "linear", values = {bits = 8, c9 = 256, row_blocks = 4, tiles = 1, group_tiles = 1, header_words = 1, block_beats = 9, channel_stride = 4096, weights = 0, target = "VECTOR", rows = 8, lane_stride = 32}, buffers = {to = [@one, 0]}} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 8}, buffers = {a = [@one, 0], to = [@one, 0]}} : () -> ()
  "epu.instruction"() {opcode = "linear", values = {bits = 8, c9 = 256, row_blocks = 4, tiles = 1, group_tiles = 1, header_words = 1, block_beats = 9, channel_stride = 4096, weights = 4096, target = "VECTOR", rows = 8, lane_stride = 32}, buffers = {to = [@two, 0]}} : () -> ()
  "epu.instruction"() {opcode = "load", values = {target = "CONSTANT", count = 8, address = 8192}, buffers = {to = [@c, 0]}} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {operation = "ADD_CONSTANT", target = "VECTOR", count = 8}, buffers = {a = [@two, 0], to = [@two, 0], c = [@c, 0]}} : () -> ()
  "epu.instruction"() {opcode = "end", values = {}, buffers = {}} : () -> ()
}) {sym_name = "program", processor = @processor} : () -> ()

// -----

// It leaves alone: a layer of what was computed just before, and a LOAD over constants that a LINEAR still adds.
// CHECK: "epu.step_program"
// CHECK: "epu.instruction"() {{.*}}target = "ACTIVATIONS"
// CHECK-NEXT: "epu.instruction"() {{.*}}opcode = "linear"
// CHECK-NEXT: "epu.instruction"() {{.*}}target = "ACTIVATIONS"
// CHECK-NEXT: "epu.instruction"() {{.*}}opcode = "linear"
// CHECK-NEXT: "epu.instruction"() {{.*}}opcode = "load"
// CHECK-NEXT: "epu.instruction"() {{.*}}opcode = "end"
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()
"epu.step_program"() ({
  "epu.buffer"() {sym_name = "x", place = "vector", elements = 32, address = -1} : () -> ()
  "epu.buffer"() {sym_name = "largest", place = "scalar", elements = 1, address = -1} : () -> ()
  "epu.buffer"() {sym_name = "one", place = "vector", elements = 32, address = -1} : () -> ()
  "epu.buffer"() {sym_name = "two", place = "vector", elements = 32, address = -1} : () -> ()
  "epu.buffer"() {sym_name = "c", place = "constant", elements = 8, address = -1} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {operation = "QUANTIZE", target = "ACTIVATIONS", count = 8, bits = 11}, buffers = {a = [@x, 0], scalar_register = [@largest, 0]}} : () -> ()
  "epu.instruction"() {opcode = "linear", values = {bits = 8, c9 = 256, row_blocks = 4, tiles = 1, group_tiles = 1, header_words = 1, block_beats = 9, channel_stride = 4096, weights = 0, target = "VECTOR", rows = 8, lane_stride = 32, maximum = "MAGNITUDE"}, buffers = {to = [@one, 0], max_register = [@largest, 0]}} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {operation = "QUANTIZE", target = "ACTIVATIONS", count = 8, bits = 11}, buffers = {a = [@one, 0], scalar_register = [@largest, 0]}} : () -> ()
  "epu.instruction"() {opcode = "linear", values = {bits = 8, c9 = 256, row_blocks = 4, tiles = 1, group_tiles = 1, header_words = 1, block_beats = 9, channel_stride = 4096, weights = 4096, target = "VECTOR", rows = 8, lane_stride = 32, operation = "ADD_CONSTANT"}, buffers = {to = [@two, 0], from = [@c, 0]}} : () -> ()
  "epu.instruction"() {opcode = "load", values = {target = "CONSTANT", count = 8, address = 8192}, buffers = {to = [@c, 0]}} : () -> ()
  "epu.instruction"() {opcode = "end", values = {}, buffers = {}} : () -> ()
}) {sym_name = "program", processor = @processor} : () -> ()

// -----

// It leaves alone: a module without a step program.
// CHECK-LABEL: func.func @leaves_alone
// CHECK-NEXT: return
func.func @leaves_alone() {
  return
}

// -----

// It refuses: a program without its END.
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()
// expected-error@+1 {{'epu.step_program' op END at []; wanted: one, as the last instruction}}
"epu.step_program"() ({
  "epu.buffer"() {sym_name = "x", place = "vector", elements = 32, address = -1} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 8}, buffers = {a = [@x, 0], to = [@x, 0]}} : () -> ()
}) {sym_name = "program", processor = @processor} : () -> ()
