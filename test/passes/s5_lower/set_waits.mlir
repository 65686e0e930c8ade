// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p set-waits | filecheck %s

// It fires: for what another unit writes; within the vector unit for what is read, not for what is overwritten; END for
// all. An older wait is replaced.
// CHECK: opcode = "load"{{.*}}values = {address = 8192 : i64, count = 24 : i64, target = "VECTOR"}
// CHECK-NEXT: "epu.instruction"() {{.*}}to = [@b, 0]{{.*}}wait_load = 1 : i64}
// CHECK-NEXT: "epu.instruction"() {{.*}}a = [@b, 0]{{.*}}to = [@c, 0]{{.*}}target = "VECTOR", wait_vector = 1 : i64}
// CHECK-NEXT: "epu.instruction"() {{.*}}a = [@a, 0]{{.*}}to = [@b, 0]{{.*}}target = "VECTOR", wait_load = 1 : i64}
// CHECK-NEXT: "epu.instruction"() {{.*}}opcode = "load"{{.*}}wait_vector = 3 : i64}
// CHECK-NEXT: "epu.instruction"() {{.*}}opcode = "end", values = {wait_load = 2 : i64, wait_vector = 3 : i64}
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()
"epu.step_program"() ({
  "epu.buffer"() {sym_name = "a", place = "vector", elements = 24, address = 0} : () -> ()
  "epu.buffer"() {sym_name = "b", place = "vector", elements = 24, address = 24} : () -> ()
  "epu.buffer"() {sym_name = "c", place = "vector", elements = 24, address = 48} : () -> ()
  "epu.instruction"() {opcode = "load", values = {target = "VECTOR", count = 24, address = 8192, wait_attention = 7}, buffers = {to = [@a, 0]}} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 24}, buffers = {a = [@a, 0], to = [@b, 0]}} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 24}, buffers = {a = [@b, 0], to = [@c, 0]}} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 24}, buffers = {a = [@a, 0], to = [@b, 0]}} : () -> ()
  "epu.instruction"() {opcode = "load", values = {target = "VECTOR", count = 24, address = 8192}, buffers = {to = [@a, 0]}} : () -> ()
  "epu.instruction"() {opcode = "end", values = {}, buffers = {}} : () -> ()
}) {sym_name = "program", processor = @processor} : () -> ()

// -----

// It leaves alone: instructions that meet nowhere.
// CHECK: "epu.step_program"
// CHECK: "epu.instruction"() {{.*}}values = {address = 8192 : i64, count = 24 : i64, target = "VECTOR"}
// CHECK-NEXT: "epu.instruction"() {{.*}}values = {count = 24 : i64, target = "VECTOR"}
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()
"epu.step_program"() ({
  "epu.buffer"() {sym_name = "a", place = "vector", elements = 24, address = 0} : () -> ()
  "epu.buffer"() {sym_name = "b", place = "vector", elements = 24, address = 24} : () -> ()
  "epu.instruction"() {opcode = "load", values = {target = "VECTOR", count = 24, address = 8192}, buffers = {to = [@a, 0]}} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 24}, buffers = {a = [@b, 0], to = [@b, 0]}} : () -> ()
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

// It refuses: a buffer without an address.
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()
"epu.step_program"() ({
  // expected-error@+1 {{'epu.buffer' op no address; wanted: one; run allocate-buffers first}}
  "epu.buffer"() {sym_name = "a", place = "vector", elements = 24, address = -1} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 24}, buffers = {a = [@a, 0], to = [@a, 0]}} : () -> ()
  "epu.instruction"() {opcode = "end", values = {}, buffers = {}} : () -> ()
}) {sym_name = "program", processor = @processor} : () -> ()
