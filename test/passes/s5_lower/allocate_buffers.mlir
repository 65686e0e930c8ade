// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p allocate-buffers | filecheck %s
// RUN: not elastix-opt %S/Inputs/too_many_registers.mlir -p allocate-buffers 2>&1 | filecheck %s --check-prefix=REGISTERS

// It fires: @c lies where @a was, which nothing reads any more; constants and registers have memories of their own, which
// are as large as they must be; what no instruction names is gone.
// CHECK: "epu.step_processor"() {{.*}}constant_elements = 16 : i64{{.*}}vector_elements = 48
// CHECK: "epu.buffer"() {address = 0 : i64, {{.*}}sym_name = "a"}
// CHECK-NEXT: "epu.buffer"() {address = 24 : i64, {{.*}}sym_name = "b"}
// CHECK-NEXT: "epu.buffer"() {address = 0 : i64, {{.*}}sym_name = "c"}
// CHECK-NEXT: "epu.buffer"() {address = 0 : i64, {{.*}}sym_name = "constant"}
// CHECK-NEXT: "epu.buffer"() {address = 0 : i64, {{.*}}sym_name = "first"}
// CHECK-NEXT: "epu.buffer"() {address = 1 : i64, {{.*}}sym_name = "second"}
// CHECK-NEXT: "epu.instruction"
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()
"epu.step_program"() ({
  "epu.buffer"() {sym_name = "a", place = "vector", elements = 20, address = -1} : () -> ()
  "epu.buffer"() {sym_name = "b", place = "vector", elements = 24, address = -1} : () -> ()
  "epu.buffer"() {sym_name = "c", place = "vector", elements = 24, address = -1} : () -> ()
  "epu.buffer"() {sym_name = "constant", place = "constant", elements = 12, address = -1} : () -> ()
  "epu.buffer"() {sym_name = "first", place = "scalar", elements = 1, address = -1} : () -> ()
  "epu.buffer"() {sym_name = "second", place = "scalar", elements = 2, address = -1} : () -> ()
  "epu.buffer"() {sym_name = "unused", place = "vector", elements = 1000, address = -1} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 24, maximum = "MAGNITUDE"}, buffers = {a = [@a, 0], to = [@b, 0], max_register = [@first, 0]}} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 24, maximum = "MAGNITUDE", operation = "ADD_CONSTANT"}, buffers = {a = [@b, 0], to = [@c, 0], c = [@constant, 0], max_register = [@second, 1]}} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 24, operation = "SCALE_BY"}, buffers = {a = [@c, 0], to = [@c, 0], scalar_register = [@first, 0]}} : () -> ()
  "epu.instruction"() {opcode = "end", values = {}, buffers = {}} : () -> ()
}) {sym_name = "program", processor = @processor} : () -> ()

// -----

// It leaves alone: buffers that have addresses.
// CHECK: "epu.step_processor"() {{.*}}vector_elements = 96
// CHECK: "epu.buffer"() {address = 64 : i64, {{.*}}sym_name = "a"}
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()
"epu.step_program"() ({
  "epu.buffer"() {sym_name = "a", place = "vector", elements = 32, address = 64} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 24}, buffers = {a = [@a, 0], to = [@a, 0]}} : () -> ()
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

// It refuses: a buffer that is not there, and addresses for some.
"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()
"epu.step_program"() ({
  "epu.buffer"() {sym_name = "a", place = "vector", elements = 32, address = -1} : () -> ()
  // expected-error@+1 {{'epu.instruction' op the buffer @b; wanted: one of the program's}}
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 24}, buffers = {a = [@a, 0], to = [@b, 0]}} : () -> ()
  "epu.instruction"() {opcode = "end", values = {}, buffers = {}} : () -> ()
}) {sym_name = "program", processor = @processor} : () -> ()

// -----

"epu.step_processor"() {sym_name = "processor", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = [], features = ["rotate", "embed", "attention", "arg_max"]} : () -> ()
"epu.step_program"() ({
  "epu.buffer"() {sym_name = "a", place = "vector", elements = 32, address = 64} : () -> ()
  // expected-error@+1 {{'epu.buffer' op no address, where others have one; wanted: addresses for all, or for none}}
  "epu.buffer"() {sym_name = "b", place = "vector", elements = 32, address = -1} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 24}, buffers = {a = [@a, 0], to = [@b, 0]}} : () -> ()
  "epu.instruction"() {opcode = "end", values = {}, buffers = {}} : () -> ()
}) {sym_name = "program", processor = @processor} : () -> ()

// It refuses: more values at once than there are registers.
// REGISTERS: a program that needs 65 scalar registers; wanted: at most 64; choose a smaller model, a shorter context or fewer token lanes
