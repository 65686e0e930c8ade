// RUN: elastix-opt %s --split-input-file --verify-diagnostics

func.func @beat() {
  // expected-error@+1 {{'epu.processor' op has beat of 100 bits, wanted 64, 128, 256 or 512}}
  "epu.processor"() {sym_name = "p", beat = 100 : i64, activation_bits = 11 : i64, lanes = 1 : i64, channels = 1 : i64, max_tiles = 64 : i64, max_burst = 64 : i64, fifo_beats = 256 : i64, crc = true}
      : () -> ()
  return
}

// -----

func.func @activation_bits() {
  // expected-error@+1 {{'epu.processor' op has activation_bits = 13, wanted 8 ... 12}}
  "epu.processor"() {sym_name = "p", beat = 256 : i64, activation_bits = 13 : i64, lanes = 1 : i64, channels = 1 : i64, max_tiles = 64 : i64, max_burst = 64 : i64, fifo_beats = 256 : i64, crc = true}
      : () -> ()
  return
}

// -----

func.func @lanes() {
  // expected-error@+1 {{'epu.processor' op has lanes = 16, wanted 1 ... 15}}
  "epu.processor"() {sym_name = "p", beat = 256 : i64, activation_bits = 11 : i64, lanes = 16 : i64, channels = 1 : i64, max_tiles = 64 : i64, max_burst = 64 : i64, fifo_beats = 256 : i64, crc = true}
      : () -> ()
  return
}

// -----

func.func @channels() {
  // expected-error@+1 {{'epu.processor' op has channels = 0, wanted 1 ... 63}}
  "epu.processor"() {sym_name = "p", beat = 256 : i64, activation_bits = 11 : i64, lanes = 1 : i64, channels = 0 : i64, max_tiles = 64 : i64, max_burst = 64 : i64, fifo_beats = 256 : i64, crc = true}
      : () -> ()
  return
}

// -----

func.func @max_tiles() {
  // expected-error@+1 {{'epu.processor' op has max_tiles = 0, wanted 1 ... 1024}}
  "epu.processor"() {sym_name = "p", beat = 256 : i64, activation_bits = 11 : i64, lanes = 1 : i64, channels = 1 : i64, max_tiles = 0 : i64, max_burst = 64 : i64, fifo_beats = 256 : i64, crc = true}
      : () -> ()
  return
}

// -----

func.func @max_burst() {
  // expected-error@+1 {{'epu.processor' op has max_burst = 512, wanted 1 ... 256}}
  "epu.processor"() {sym_name = "p", beat = 256 : i64, activation_bits = 11 : i64, lanes = 1 : i64, channels = 1 : i64, max_tiles = 64 : i64, max_burst = 512 : i64, fifo_beats = 512 : i64, crc = true}
      : () -> ()
  return
}

// -----

func.func @fifo_beats() {
  // expected-error@+1 {{'epu.processor' op has fifo_beats = 32, wanted a power of two, at least max_burst = 64}}
  "epu.processor"() {sym_name = "p", beat = 256 : i64, activation_bits = 11 : i64, lanes = 1 : i64, channels = 1 : i64, max_tiles = 64 : i64, max_burst = 64 : i64, fifo_beats = 32 : i64, crc = true}
      : () -> ()
  return
}

// -----

func.func @crc() {
  // expected-error@+1 {{'epu.processor' op crc is 1 : i64, wanted true or false}}
  "epu.processor"() {sym_name = "p", beat = 256 : i64, activation_bits = 11 : i64, lanes = 1 : i64, channels = 1 : i64, max_tiles = 64 : i64, max_burst = 64 : i64, fifo_beats = 256 : i64, crc = 1 : i64}
      : () -> ()
  return
}

// -----

func.func @name() {
  // expected-error@+1 {{'epu.processor' op sym_name is 3 : i64, wanted a string}}
  "epu.processor"() {sym_name = 3 : i64, beat = 256 : i64, activation_bits = 11 : i64, lanes = 1 : i64, channels = 1 : i64, max_tiles = 64 : i64, max_burst = 64 : i64, fifo_beats = 256 : i64, crc = true}
      : () -> ()
  return
}

// -----

func.func @format() {
  // expected-error@+1 {{'epu.linear' op format has weights of 9 bits, wanted 1 to 8 bits}}
  "epu.linear"() {sym_name = "l", weight = "w", format = #elx.format<9, 64, "s8", "symmetric">, rows = 64 : i64, columns = 64 : i64, tokens = 1 : i64, weights = 4096 : i64, channel_stride = 4096 : i64, x = 64 : i64, y = 64 : i64}
      : () -> ()
  return
}

// -----

func.func @rows() {
  // expected-error@+1 {{'epu.linear' op rows is 0, wanted 1 or more}}
  "epu.linear"() {sym_name = "l", weight = "w", format = #elx.format<8, 64, "s8", "symmetric">, rows = 0 : i64, columns = 64 : i64, tokens = 1 : i64, weights = 4096 : i64, channel_stride = 4096 : i64, x = 64 : i64, y = 64 : i64}
      : () -> ()
  return
}

// -----

func.func @columns() {
  // expected-error@+1 {{'epu.linear' op columns is 0, wanted 1 or more}}
  "epu.linear"() {sym_name = "l", weight = "w", format = #elx.format<8, 64, "s8", "symmetric">, rows = 64 : i64, columns = 0 : i64, tokens = 1 : i64, weights = 4096 : i64, channel_stride = 4096 : i64, x = 64 : i64, y = 64 : i64}
      : () -> ()
  return
}

// -----

func.func @tokens() {
  // expected-error@+1 {{'epu.linear' op tokens is 0, wanted 1 or more}}
  "epu.linear"() {sym_name = "l", weight = "w", format = #elx.format<8, 64, "s8", "symmetric">, rows = 64 : i64, columns = 64 : i64, tokens = 0 : i64, weights = 4096 : i64, channel_stride = 4096 : i64, x = 64 : i64, y = 64 : i64}
      : () -> ()
  return
}

// -----

func.func @weights() {
  // expected-error@+1 {{'epu.linear' op weights is 64, wanted a multiple of 4096}}
  "epu.linear"() {sym_name = "l", weight = "w", format = #elx.format<8, 64, "s8", "symmetric">, rows = 64 : i64, columns = 64 : i64, tokens = 1 : i64, weights = 64 : i64, channel_stride = 4096 : i64, x = 64 : i64, y = 64 : i64}
      : () -> ()
  return
}

// -----

func.func @channel_stride() {
  // expected-error@+1 {{'epu.linear' op channel_stride is -4096, wanted a multiple of 4096}}
  "epu.linear"() {sym_name = "l", weight = "w", format = #elx.format<8, 64, "s8", "symmetric">, rows = 64 : i64, columns = 64 : i64, tokens = 1 : i64, weights = 4096 : i64, channel_stride = -4096 : i64, x = 64 : i64, y = 64 : i64}
      : () -> ()
  return
}

// -----

func.func @x() {
  // expected-error@+1 {{'epu.linear' op x is 2, wanted a multiple of 64}}
  "epu.linear"() {sym_name = "l", weight = "w", format = #elx.format<8, 64, "s8", "symmetric">, rows = 64 : i64, columns = 64 : i64, tokens = 1 : i64, weights = 4096 : i64, channel_stride = 4096 : i64, x = 2 : i64, y = 64 : i64}
      : () -> ()
  return
}

// -----

func.func @y() {
  // expected-error@+1 {{'epu.linear' op y is 2, wanted a multiple of 64}}
  "epu.linear"() {sym_name = "l", weight = "w", format = #elx.format<8, 64, "s8", "symmetric">, rows = 64 : i64, columns = 64 : i64, tokens = 1 : i64, weights = 4096 : i64, channel_stride = 4096 : i64, x = 64 : i64, y = 2 : i64}
      : () -> ()
  return
}

// -----

func.func @program() {
  // expected-error@+1 {{'epu.program' op processor is "p", wanted a symbol}}
  "epu.program"() ({ ^bb0: }) {sym_name = "s", processor = "p"} : () -> ()
  return
}

// -----

func.func @step_vector_lanes() {
  // expected-error@+1 {{'epu.step_processor' op has vector_lanes = 3, wanted 1, 2, 4, 8, 16}}
  "epu.step_processor"() {sym_name = "p", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 3, vector_elements = 64, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = ["silu"], features = ["rotate"]}
      : () -> ()
  return
}

// -----

func.func @step_vector_elements() {
  // expected-error@+1 {{'epu.step_processor' op has vector_elements = 12, wanted a multiple of 8}}
  "epu.step_processor"() {sym_name = "p", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 12, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = ["silu"], features = ["rotate"]}
      : () -> ()
  return
}

// -----

func.func @step_constant_elements() {
  // expected-error@+1 {{'epu.step_processor' op has constant_elements = 0, wanted 8 ... 1048576}}
  "epu.step_processor"() {sym_name = "p", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 64, constant_elements = 0, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = ["silu"], features = ["rotate"]}
      : () -> ()
  return
}

// -----

func.func @step_max_context() {
  // expected-error@+1 {{'epu.step_processor' op has max_context = 0, wanted 1 ... 262144}}
  "epu.step_processor"() {sym_name = "p", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 64, constant_elements = 8, max_context = 0, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = ["silu"], features = ["rotate"]}
      : () -> ()
  return
}

// -----

func.func @step_head_dim() {
  // expected-error@+1 {{'epu.step_processor' op has head_dim = 12, wanted 8, 16, 32, 64, 128, 256}}
  "epu.step_processor"() {sym_name = "p", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 64, constant_elements = 8, max_context = 32, head_dim = 12, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = ["silu"], features = ["rotate"]}
      : () -> ()
  return
}

// -----

func.func @step_kv_heads() {
  // expected-error@+1 {{'epu.step_processor' op has kv_heads = 256, wanted 1 ... 255}}
  "epu.step_processor"() {sym_name = "p", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 64, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 256, group = 2, attention_lanes = 8, attention_channels = 1, activations = ["silu"], features = ["rotate"]}
      : () -> ()
  return
}

// -----

func.func @step_group() {
  // expected-error@+1 {{'epu.step_processor' op has group = 33, wanted 1 ... 32}}
  "epu.step_processor"() {sym_name = "p", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 64, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 33, attention_lanes = 8, attention_channels = 1, activations = ["silu"], features = ["rotate"]}
      : () -> ()
  return
}

// -----

func.func @step_attention_lanes() {
  // expected-error@+1 {{'epu.step_processor' op has attention_lanes = 16, wanted 1, 2, 4, 8}}
  "epu.step_processor"() {sym_name = "p", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 64, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 16, attention_channels = 1, activations = ["silu"], features = ["rotate"]}
      : () -> ()
  return
}

// -----

func.func @step_activations() {
  // expected-error@+1 {{'epu.step_processor' op has activations silu, relu, wanted one at most}}
  "epu.step_processor"() {sym_name = "p", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 64, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = ["silu", "relu"], features = ["rotate"]}
      : () -> ()
  return
}

// -----

func.func @step_features() {
  // expected-error@+1 {{'epu.step_processor' op has features has flight, wanted rotate, normalize_shift, mean, embed, attention, arg_max}}
  "epu.step_processor"() {sym_name = "p", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 64, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = ["silu"], features = ["flight"]}
      : () -> ()
  return
}

// -----

func.func @step_names() {
  // expected-error@+1 {{'epu.step_processor' op features is "rotate", wanted ["…", …]}}
  "epu.step_processor"() {sym_name = "p", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1, max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 64, constant_elements = 8, max_context = 32, head_dim = 8, kv_heads = 1, group = 2, attention_lanes = 8, attention_channels = 1, activations = ["silu"], features = "rotate"}
      : () -> ()
  return
}

// -----

func.func @place() {
  // expected-error@+1 {{'epu.buffer' op place is 'memory', wanted vector or constant or scalar}}
  "epu.buffer"() {sym_name = "b", place = "memory", elements = 8, address = 0} : () -> ()
  return
}

// -----

func.func @elements() {
  // expected-error@+1 {{'epu.buffer' op elements is 0, wanted 1 or more}}
  "epu.buffer"() {sym_name = "b", place = "vector", elements = 0, address = 0} : () -> ()
  return
}

// -----

func.func @address() {
  // expected-error@+1 {{'epu.buffer' op address is 4, wanted a multiple of 8}}
  "epu.buffer"() {sym_name = "b", place = "vector", elements = 8, address = 4} : () -> ()
  return
}

// -----

func.func @below() {
  // expected-error@+1 {{'epu.buffer' op address is -2, wanted -1 or more}}
  "epu.buffer"() {sym_name = "b", place = "vector", elements = 8, address = -2} : () -> ()
  return
}

// -----

func.func @registers() {
  // expected-error@+1 {{'epu.buffer' op ends with register 67, wanted 63 at most}}
  "epu.buffer"() {sym_name = "b", place = "scalar", elements = 8, address = 60} : () -> ()
  return
}

// -----

func.func @opcode() {
  // expected-error@+1 {{'epu.instruction' op opcode is 'jump', wanted end or linear or vector or scores or values or load or embed}}
  "epu.instruction"() {opcode = "jump", values = {}, buffers = {}} : () -> ()
  return
}

// -----

func.func @no_field() {
  // expected-error@+1 {{'epu.instruction' op end has no field count, wanted opcode, lane, wait_matrix, wait_vector, wait_attention, wait_load}}
  "epu.instruction"() {opcode = "end", values = {count = 1}, buffers = {}} : () -> ()
  return
}

// -----

func.func @too_large() {
  // expected-error@+1 {{'epu.instruction' op vector: count = 1048576, wanted 0 to 1048575}}
  "epu.instruction"() {opcode = "vector", values = {count = 1048576}, buffers = {}} : () -> ()
  return
}

// -----

func.func @no_such_name() {
  // expected-error@+1 {{'epu.instruction' op values is {operation = "SIN"}, wanted {name = a number or a name, …}}}
  "epu.instruction"() {opcode = "vector", values = {operation = "SIN"}, buffers = {}} : () -> ()
  return
}

// -----

func.func @a_number_wanted() {
  // expected-error@+1 {{'epu.instruction' op values is {count = "many"}, wanted {name = a number or a name, …}}}
  "epu.instruction"() {opcode = "vector", values = {count = "many"}, buffers = {}} : () -> ()
  return
}

// -----

func.func @twice() {
  // expected-error@+1 {{'epu.instruction' op a is given twice, wanted a value or a buffer}}
  "epu.instruction"() {opcode = "vector", values = {a = 8}, buffers = {a = [@b, 0]}} : () -> ()
  return
}

// -----

func.func @no_address() {
  // expected-error@+1 {{'epu.instruction' op has no address x, wanted one of a, b, c, d, max_register, result_register, scalar_register, to}}
  "epu.instruction"() {opcode = "vector", values = {}, buffers = {x = [@b, 0]}} : () -> ()
  return
}

// -----

func.func @not_an_address() {
  // expected-error@+1 {{'epu.instruction' op has no address count, wanted one of a, b, c, d, max_register, result_register, scalar_register, to}}
  "epu.instruction"() {opcode = "vector", values = {}, buffers = {count = [@b, 0]}} : () -> ()
  return
}

// -----

func.func @buffers() {
  // expected-error@+1 {{'epu.instruction' op buffers is {a = @b}, wanted {name = [@buffer, elements], …}}}
  "epu.instruction"() {opcode = "vector", values = {}, buffers = {a = @b}} : () -> ()
  return
}
