// RUN: elastix-opt %s | elastix-opt | filecheck %s

// CHECK: "epu.processor"() {activation_bits = 11 : i64, beat = 256 : i64, channels = 2 : i64, crc = true, fifo_beats = 256 : i64, lanes = 4 : i64, max_burst = 64 : i64, max_tiles = 48 : i64, sym_name = "processor"} : () -> ()
"epu.processor"() {sym_name = "processor", beat = 256 : i64, activation_bits = 11 : i64, lanes = 4 : i64,
    channels = 2 : i64, max_tiles = 48 : i64, max_burst = 64 : i64, fifo_beats = 256 : i64, crc = true} : () -> ()

// CHECK: "epu.program"() ({
// CHECK-NEXT: "epu.linear"() {{{.*}}format = #elx.format<8 : i64, 64 : i64, "s8", "symmetric">{{.*}}weights = 8192 : i64{{.*}}} : () -> ()
// CHECK-NEXT: }) {processor = @processor, sym_name = "step"} : () -> ()
"epu.program"() ({
  "epu.linear"() {sym_name = "q_proj_0", weight = "layers.0.q_proj.weight",
      format = #elx.format<8 : i64, 64 : i64, "s8", "symmetric">, rows = 64 : i64, columns = 64 : i64, tokens = 1 : i64,
      weights = 8192 : i64, channel_stride = 4096 : i64, x = 128 : i64, y = 1024 : i64} : () -> ()
}) {sym_name = "step", processor = @processor} : () -> ()

// CHECK: "epu.step_processor"() {activation_bits = 11 : i64, activations = ["silu"], attention_channels = 1 : i64, attention_lanes = 8 : i64, {{.*}}features = ["rotate", "embed"], {{.*}}sym_name = "step_processor", vector_elements = 64 : i64, vector_lanes = 4 : i64} : () -> ()
"epu.step_processor"() {sym_name = "step_processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1,
    max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 64,
    constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1,
    activations = ["silu"], features = ["rotate", "embed"]} : () -> ()

// CHECK: "epu.step_program"() ({
// CHECK-NEXT: "epu.buffer"() {address = -1 : i64, elements = 24 : i64, place = "vector", sym_name = "x"} : () -> ()
// CHECK-NEXT: "epu.buffer"() {address = 63 : i64, elements = 1 : i64, place = "scalar", sym_name = "largest"} : () -> ()
// CHECK-NEXT: "epu.instruction"() {buffers = {a = [@x, 8], max_register = [@largest, 0]}, opcode = "vector", values = {count = 16 : i64, maximum = "MAGNITUDE", operation = "COPY"}} : () -> ()
// CHECK-NEXT: "epu.instruction"() {buffers = {}, opcode = "end", values = {wait_vector = 1 : i64}} : () -> ()
// CHECK-NEXT: }) {processor = @step_processor, sym_name = "program"} : () -> ()
"epu.step_program"() ({
  "epu.buffer"() {sym_name = "x", place = "vector", elements = 24, address = -1} : () -> ()
  "epu.buffer"() {sym_name = "largest", place = "scalar", elements = 1, address = 63} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {operation = "COPY", maximum = "MAGNITUDE", count = 16},
      buffers = {a = [@x, 8], max_register = [@largest, 0]}} : () -> ()
  "epu.instruction"() {opcode = "end", values = {wait_vector = 1}, buffers = {}} : () -> ()
}) {sym_name = "program", processor = @step_processor} : () -> ()
