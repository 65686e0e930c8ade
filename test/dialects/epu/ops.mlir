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
