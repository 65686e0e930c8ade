// RUN: elastix-opt %s --split-input-file -p 'epu-to-circuit{folder=%t}' > %t.mlir
// RUN: filecheck %s < %t.mlir
// RUN: filecheck %s --check-prefix=TOP < %t/elastix_processor.sv
// RUN: filecheck %s --check-prefix=ENGINE < %t/matrix_engine.sv
// RUN: elastix-opt %s --split-input-file -p epu-to-circuit | diff - %t.mlir
// RUN: not elastix-opt %s --split-input-file -p 'epu-to-circuit{folder=%s}' 2>&1 | filecheck %s --check-prefix=REFUSES

// It fires: the op keeps its parameters and learns its files; twice gives the same hash.
// CHECK: "epu.processor"(){{.*}}epu.files = [{{.*}}"block_sequencer.sv"{{.*}}"elastix_processor.sv"{{.*}}"matrix_engine.sv"{{.*}}], epu.rtl_sha256 = "{{[0-9a-f]+}}"
// TOP: module elastix_processor(
// TOP: matrix_engine
// ENGINE: module matrix_engine(
// ENGINE: w_data,
// ENGINE: y_data,
// ENGINE: result_converter converter (
"epu.processor"() {sym_name = "processor", beat = 64, activation_bits = 8, lanes = 1, channels = 1, max_tiles = 4, max_burst = 16, fifo_beats = 64, crc = true} : () -> ()

// -----

// It leaves alone: programs, and modules without a processor.
// CHECK: "epu.program"
// CHECK-NOT: epu.files
"epu.program"() ({}) {sym_name = "step", processor = @processor} : () -> ()

// It refuses: a folder that cannot be one.
// REFUSES: error: 'epu.processor' op cannot write {{.*}}; give another folder
