// The help explains every figure, and a text that cannot be read is one clear error, before anything is loaded.
// RUN: elastix eval --help | filecheck %s --check-prefix=HELP
// RUN: not elastix eval %S --text %t.missing 2>&1 | filecheck %s --check-prefix=MISSING
// RUN: %python -c "open(r'%t', 'wb').write(b'plain text, then \xff')"
// RUN: not elastix eval %S --text %t 2>&1 | filecheck %s --check-prefix=UTF-8
// RUN: not elastix eval %S 2>&1 | filecheck %s --check-prefix=USAGE
// RUN: not elastix eval %S --text %s --bits 4 --precision plan.yaml 2>&1 | filecheck %s --check-prefix=BOTH

// HELP: --context T
// HELP: --engine {emulator,rtl,verilator,oracle}
// HELP: --precision PLAN
// HELP: figures, as --json names them:
// HELP: ppl {{ *}}perplexity
// HELP: kl {{ *}}mean over all positions of KL(reference || model)
// HELP: kl_expected {{ *}}the KL that the plan
// HELP: top1
// HELP: bits_per_weight {{ *}}8 * bytes_per_token / weights
// HELP: bytes_per_token {{ *}}what the processor reads
// HELP: kinds {{ *}}of each figure: measured, counted, expected

// MISSING: error: no text at {{.*}}eval.mlir.tmp.missing; wanted: a UTF-8 text file; check the path
// UTF-8: error: {{.*}}eval.mlir.tmp is not UTF-8: invalid start byte at byte 17; wanted: a UTF-8 text file
// USAGE: the following arguments are required: --text
// BOTH: --precision: not allowed with argument --bits
