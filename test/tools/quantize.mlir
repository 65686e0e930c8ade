// What `elastix quantize` refuses, before it has worked for minutes: one line each, exit code not 0, nothing left.
// RUN: elastix quantize --help | filecheck %s --check-prefix HELP
// RUN: not elastix quantize nowhere --calibration %s -o %t 2>&1 | filecheck %s --check-prefix MODEL
// RUN: not elastix quantize nowhere --calibration %s --board kv260 -o %t 2>&1 | filecheck %s --check-prefix BOARD
// RUN: not elastix quantize nowhere --calibration %s --board kv26 --target-tokens-per-second 9 -o %t 2>&1 | filecheck %s --check-prefix NAME
// RUN: not elastix quantize nowhere --calibration %s --held-out 100 -o %t 2>&1 | filecheck %s --check-prefix SIZE
// RUN: not ls %t %t.partial
// HELP: --calibration TEXT
// HELP: --target-bits B
// HELP: the same command goes on where a run was stopped
// MODEL: error: no file nowhere; wanted: a model and a text
// BOARD: error: one of --board and --target-tokens-per-second; wanted: both, or neither
// NAME: error: board 'kv26'; wanted: {{.*}}; did you mean 'kv260'?
// SIZE: error: --tokens 24576 --held-out 100 --window 512; wanted: windows
