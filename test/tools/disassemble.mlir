// A program as text, an instruction a line; the instruction set; and bytes that are no program.
// RUN: printf 'load wait_vector=3 target=CONSTANT count=0x20 address=0x123456789a stride=0x80 to=0x40\nvector lane=1 target=VECTOR count=8 k=0x3f800000\nend wait_load=1\n' > %t.txt
// RUN: %python -c "import sys; from elastix.compiler.processor.step.assembly import from_text; sys.stdout.buffer.write(b''.join(from_text(line).encode() for line in sys.stdin))" < %t.txt > %t.bin
// RUN: elastix disassemble %t.bin | filecheck %s --match-full-lines --strict-whitespace
// RUN: elastix disassemble --reference | filecheck %s --check-prefix=REFERENCE
// RUN: printf '%%64s' x > %t.noise
// RUN: not elastix disassemble %t.noise 2>&1 | filecheck %s --check-prefix=NOISE
// RUN: mkdir -p %t.folder
// RUN: not elastix disassemble %t.folder 2>&1 | filecheck %s --check-prefix=FOLDER

// CHECK:    0  load wait_vector=3 target=CONSTANT count=0x20 address=0x123456789a stride=0x80 to=0x40
// CHECK-NEXT:    1  vector lane=1 operation=COPY target=VECTOR count=0x8 k=0x3f800000
// CHECK-NEXT:    2  end wait_load=1
// REFERENCE: ## 2 VECTOR, on the vector unit
// REFERENCE: | epsilon | 12 | 31…0 | SQUARES: fp32, added to the mean |
// NOISE: error: instruction 0: opcode 32; wanted: 0 END, 1 LINEAR,
// FOLDER: error: no manifest.json in {{.*}}.folder; wanted: a folder that `elastix compile` wrote
