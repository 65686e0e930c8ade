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
