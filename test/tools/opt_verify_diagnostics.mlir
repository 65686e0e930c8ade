// Comments say which messages are wanted; what differs is said and fails.
// RUN: elastix-opt %s --split-input-file --verify-diagnostics
// RUN: not elastix-opt %S/Inputs/unexpected.txt --split-input-file --verify-diagnostics 2>&1 | filecheck %s

// CHECK: unexpected.txt: unexpected {{.*}}unexpected.txt:2:8: error: 'elx.activation' op kind is 'tanh'
// CHECK-NEXT: unexpected.txt: missing at line 2: error: something else
// CHECK-NEXT: unexpected.txt: missing at line 9: error: never said

func.func @below(%x: tensor<2xf32>) {
  // expected-error@below {{kind is 'tanh', wanted silu}}
  %0 = "elx.activation"(%x) {kind = "tanh"} : (tensor<2xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @above(%x: tensor<2xf32>) {
  %0 = "elx.activation"(%x) {kind = "tanh"} : (tensor<2xf32>) -> tensor<2xf32>
  // expected-error-re @above {{kind is 't[a-z]+h'}}
  return
}

// -----

func.func @same_line(%x: tensor<2xf32>) {
  %0 = "elx.activation"(%x) {kind = "tanh"} : (tensor<2xf32>) -> tensor<2xf32> // expected-error {{'elx.activation' op kind}}
  return
}

// -----

func.func @two_for_a_line(%x: tensor<2xf32>, %y: tensor<3xf32>) {
  // expected-error@+2 {{kind is 'tanh'}}
  // expected-error@+1 {{up is tensor<3xf32>, wanted tensor<2xf32>}}
  %0 = "elx.gated_activation"(%x, %y) {kind = "tanh"} : (tensor<2xf32>, tensor<3xf32>) -> tensor<2xf32>
  return
}
