// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p fold-norm-weights | filecheck %s

// It fires: the linear layers take the norm's weight up, one of them through a reshape; the norm keeps ones.
// CHECK-LABEL: func.func @fires
// CHECK-NOT: elx.name = "n"}
// CHECK-SAME: %[[U:arg[0-9]+]]: tensor<16x64xf32> {elx.kind = "weight", elx.name = "a*{n}"}
// CHECK-SAME: %[[V:arg[0-9]+]]: tensor<32x64xf32> {elx.kind = "weight", elx.name = "b*{n}"}
// CHECK-SAME: %[[ONES:arg[0-9]+]]: tensor<64xf32> {elx.kind = "weight", elx.name = "ones64"}
// CHECK: %[[N:.*]] = "elx.rms_norm"(%{{.*}}, %[[ONES]])
// CHECK: "elx.linear"(%[[N]], %[[U]], %{{.*}})
// CHECK: %[[R:.*]] = "elx.reshape"(%[[N]])
// CHECK: "elx.linear"(%[[R]], %[[V]])
func.func @fires(%x: tensor<1x3x64xf32> {elx.name = "x", elx.kind = "input"},
                 %n: tensor<64xf32> {elx.name = "n", elx.kind = "weight"},
                 %a: tensor<16x64xf32> {elx.name = "a", elx.kind = "weight"},
                 %c: tensor<16xf32> {elx.name = "c", elx.kind = "weight"},
                 %b: tensor<32x64xf32> {elx.name = "b", elx.kind = "weight"}) -> (tensor<1x3x16xf32>, tensor<3x32xf32>) {
  %0 = "elx.rms_norm"(%x, %n) {eps = 1.0e-05 : f32} : (tensor<1x3x64xf32>, tensor<64xf32>) -> tensor<1x3x64xf32>
  %1 = "elx.linear"(%0, %a, %c) : (tensor<1x3x64xf32>, tensor<16x64xf32>, tensor<16xf32>) -> tensor<1x3x16xf32>
  %2 = "elx.reshape"(%0) : (tensor<1x3x64xf32>) -> tensor<3x64xf32>
  %3 = "elx.linear"(%2, %b) : (tensor<3x64xf32>, tensor<32x64xf32>) -> tensor<3x32xf32>
  return %1, %3 : tensor<1x3x16xf32>, tensor<3x32xf32>
}

// -----

// It fires: a layer norm's bias goes through the weight into the linear layers' biases, one of which is new.
// CHECK-LABEL: func.func @layer_norm
// CHECK-SAME: elx.name = "c+{a@{m}}"
// CHECK-SAME: elx.name = "a*{n}"
// CHECK-SAME: elx.name = "b@{m}"
// CHECK-SAME: elx.name = "b*{n}"
// CHECK-SAME: elx.name = "ones64"
// CHECK-SAME: elx.name = "zeros64"
// CHECK: "elx.linear"({{.*}}) : (tensor<3x64xf32>, tensor<16x64xf32>, tensor<16xf32>) -> tensor<3x16xf32>
// CHECK: "elx.linear"({{.*}}) : (tensor<3x64xf32>, tensor<32x64xf32>, tensor<32xf32>) -> tensor<3x32xf32>
func.func @layer_norm(%x: tensor<3x64xf32> {elx.name = "x", elx.kind = "input"},
                      %n: tensor<64xf32> {elx.name = "n", elx.kind = "weight"},
                      %m: tensor<64xf32> {elx.name = "m", elx.kind = "weight"},
                      %a: tensor<16x64xf32> {elx.name = "a", elx.kind = "weight"},
                      %c: tensor<16xf32> {elx.name = "c", elx.kind = "weight"},
                      %b: tensor<32x64xf32> {elx.name = "b", elx.kind = "weight"}) -> (tensor<3x16xf32>, tensor<3x32xf32>) {
  %0 = "elx.layer_norm"(%x, %n, %m) {eps = 1.0e-05 : f32} : (tensor<3x64xf32>, tensor<64xf32>, tensor<64xf32>) -> tensor<3x64xf32>
  %1 = "elx.linear"(%0, %a, %c) : (tensor<3x64xf32>, tensor<16x64xf32>, tensor<16xf32>) -> tensor<3x16xf32>
  %2 = "elx.linear"(%0, %b) : (tensor<3x64xf32>, tensor<32x64xf32>) -> tensor<3x32xf32>
  return %1, %2 : tensor<3x16xf32>, tensor<3x32xf32>
}

// -----

// It leaves alone: a norm that a sum reads as well, and one before a weight that is computed.
// CHECK-LABEL: func.func @leaves_alone
// CHECK-NOT: {{[*]}}{
// CHECK-NOT: ones
// CHECK: return
func.func @leaves_alone(%x: tensor<3x64xf32> {elx.name = "x", elx.kind = "input"},
                        %n: tensor<64xf32> {elx.name = "n", elx.kind = "weight"},
                        %a: tensor<64x64xf32> {elx.name = "a", elx.kind = "weight"}) -> (tensor<3x64xf32>, tensor<3x3xf32>) {
  %0 = "elx.rms_norm"(%x, %n) {eps = 1.0e-05 : f32} : (tensor<3x64xf32>, tensor<64xf32>) -> tensor<3x64xf32>
  %1 = "elx.linear"(%0, %a) : (tensor<3x64xf32>, tensor<64x64xf32>) -> tensor<3x64xf32>
  %2 = "elx.residual"(%0, %1) : (tensor<3x64xf32>, tensor<3x64xf32>) -> tensor<3x64xf32>
  %3 = "elx.rms_norm"(%2, %n) {eps = 1.0e-05 : f32} : (tensor<3x64xf32>, tensor<64xf32>) -> tensor<3x64xf32>
  %4 = "elx.linear"(%3, %2) : (tensor<3x64xf32>, tensor<3x64xf32>) -> tensor<3x3xf32>
  return %2, %4 : tensor<3x64xf32>, tensor<3x3xf32>
}

// -----

// It refuses: a layer whose format was chosen for another weight.
func.func @refuses(%x: tensor<3x64xf32> {elx.name = "x", elx.kind = "input"},
                   %n: tensor<64xf32> {elx.name = "n", elx.kind = "weight"},
                   %a: tensor<64x64xf32> {elx.name = "a", elx.kind = "weight"}) -> tensor<3x64xf32> {
  %0 = "elx.rms_norm"(%x, %n) {eps = 1.0e-05 : f32} : (tensor<3x64xf32>, tensor<64xf32>) -> tensor<3x64xf32>
  // expected-error @+1 {{'elx.linear' op a format on a weight that is to change; wanted: none; run assign-precision after}}
  %1 = "elx.linear"(%0, %a) {format = #elx.format<8, 64, "s8", "symmetric">} : (tensor<3x64xf32>, tensor<64x64xf32>) -> tensor<3x64xf32>
  return %1 : tensor<3x64xf32>
}
