// The form that people like to read.
// RUN: elastix show %s | filecheck %s --match-full-lines --strict-whitespace

// CHECK:epu.processor(sym_name=p, beat=256, activation_bits=11, lanes=1, channels=1, max_tiles=64, max_burst=64, fifo_beats=256, crc=true)
"epu.processor"() {sym_name = "p", beat = 256 : i64, activation_bits = 11 : i64, lanes = 1 : i64, channels = 1 : i64,
    max_tiles = 64 : i64, max_burst = 64 : i64, fifo_beats = 256 : i64, crc = true} : () -> ()
// CHECK-NEXT:function step(
// CHECK-NEXT:    input x: 2×64
// CHECK-NEXT:    weight layers.0.weight: 32×64
// CHECK-NEXT:    cache k: 1×2×4×8
// CHECK-NEXT:    argument3: 2 i64
// CHECK-NEXT:    argument4: 2
// CHECK-NEXT:) -> 2×32
func.func @step(%x: tensor<2x64xf32> {elx.kind = "input", elx.name = "x"},
                %w: tensor<32x64xf32> {elx.kind = "weight", elx.name = "layers.0.weight"},
                %k: tensor<1x2x4x8xf32> {elx.kind = "cache", elx.name = "k"}, %p: tensor<2xi64>,
                %y: !torch.vtensor<[2],f32>) -> tensor<2x32xf32> {
  // CHECK-NEXT:  %0: 2×32 = elx.linear(x, layers.0.weight, format=4b g32 s8 symmetric)
  %0 = "elx.linear"(%x, %w) {format = #elx.format<4, 32, "s8", "symmetric">} : (tensor<2x64xf32>, tensor<32x64xf32>) -> tensor<2x32xf32>
  // CHECK-NEXT:  %1: 2×64 i16, %2: 2 i32 = elx.quantize(x, activation_bits=11)
  %q, %e = "elx.quantize"(%x) {activation_bits = 11 : i64} : (tensor<2x64xf32>) -> (tensor<2x64xi16>, tensor<2xi32>)
  // CHECK-NEXT:  %3: 64 = elx.reshape(%0)
  // CHECK-NEXT:  %4: 2×64 = elx.activation(x, kind=relu)  // host: the processor multiplies matrices only
  // CHECK-NEXT:  %5: 2 = aten.sin(argument4)  // host: no elx op covers it
  // CHECK-NEXT:  return %0
  %a = "elx.reshape"(%0) : (tensor<2x32xf32>) -> tensor<64xf32>
  %b = "elx.activation"(%x) {kind = "relu", elx.side = "host", elx.reason = "the processor multiplies matrices only"} : (tensor<2x64xf32>) -> tensor<2x64xf32>
  %c = torch.aten.sin %y {elx.side = "host", elx.reason = "no elx op covers it"} : !torch.vtensor<[2],f32> -> !torch.vtensor<[2],f32>
  return %0 : tensor<2x32xf32>
}
// CHECK-NEXT:epu.step_program(sym_name=program, processor=p)
// CHECK-NEXT:  epu.buffer(sym_name=x, place=vector, elements=24, address=-1)
// CHECK-NEXT:  epu.instruction vector wait_load=1 operation=COPY maximum=MAGNITUDE max_register=@m count=0x10 a=@x+8
// CHECK-NEXT:  epu.instruction end
"epu.step_program"() ({
  "epu.buffer"() {sym_name = "x", place = "vector", elements = 24, address = -1} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {wait_load = 1, maximum = "MAGNITUDE", count = 16},
      buffers = {a = [@x, 8], max_register = [@m, 0]}} : () -> ()
  "epu.instruction"() {opcode = "end", values = {}, buffers = {}} : () -> ()
}) {sym_name = "program", processor = @p} : () -> ()
