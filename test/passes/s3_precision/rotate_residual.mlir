// RUN: elastix-opt %s --split-input-file --verify-diagnostics -p fold-norm-weights,rotate-residual | filecheck %s

// It fires: one stream from the embedding to the head, which are two views of one table; a bias is rotated too.
// CHECK-LABEL: func.func @fires
// CHECK-SAME: elx.name = "ids"
// CHECK-SAME: %[[ONES:arg[0-9]+]]: tensor<48xf32> {elx.kind = "weight", elx.name = "ones48"}
// CHECK-SAME: %[[TABLE:arg[0-9]+]]: tensor<100x48xf32> {elx.kind = "weight", elx.name = "tied@{H48}"}
// CHECK-SAME: %[[UP:arg[0-9]+]]: tensor<96x48xf32> {elx.kind = "weight", elx.name = "up*{n}@{H48}"}
// CHECK-SAME: %[[DOWN:arg[0-9]+]]: tensor<48x96xf32> {elx.kind = "weight", elx.name = "down.T@{H48}.T"}
// CHECK-SAME: %[[BIAS:arg[0-9]+]]: tensor<48xf32> {elx.kind = "weight", elx.name = "bias@{H48}"}
// CHECK-SAME: %[[HEAD:arg[0-9]+]]: tensor<100x48xf32> {elx.kind = "weight", elx.name = "tied*{m}@{H48}"}
// CHECK: %[[E:.*]] = "elx.embedding"(%arg0, %[[TABLE]])
// CHECK: %[[N:.*]] = "elx.rms_norm"(%[[E]], %[[ONES]])
// CHECK: %[[U:.*]] = "elx.linear"(%[[N]], %[[UP]])
// CHECK: %[[A:.*]] = "elx.activation"(%[[U]])
// CHECK: %[[D:.*]] = "elx.linear"(%[[A]], %[[DOWN]], %[[BIAS]])
// CHECK: %[[S:.*]] = "elx.residual"(%[[E]], %[[D]])
// CHECK: %[[M:.*]] = "elx.rms_norm"(%[[S]], %[[ONES]])
// CHECK: "elx.linear"(%[[M]], %[[HEAD]])
func.func @fires(%ids: tensor<1x3xi64> {elx.name = "ids", elx.kind = "input"},
                 %e: tensor<100x48xf32> {elx.name = "tied", elx.kind = "weight"},
                 %n: tensor<48xf32> {elx.name = "n", elx.kind = "weight"},
                 %m: tensor<48xf32> {elx.name = "m", elx.kind = "weight"},
                 %u: tensor<96x48xf32> {elx.name = "up", elx.kind = "weight"},
                 %d: tensor<48x96xf32> {elx.name = "down", elx.kind = "weight"},
                 %b: tensor<48xf32> {elx.name = "bias", elx.kind = "weight"}) -> tensor<1x3x100xf32> {
  %0 = "elx.embedding"(%ids, %e) : (tensor<1x3xi64>, tensor<100x48xf32>) -> tensor<1x3x48xf32>
  %1 = "elx.rms_norm"(%0, %n) {eps = 1.0e-05 : f32} : (tensor<1x3x48xf32>, tensor<48xf32>) -> tensor<1x3x48xf32>
  %2 = "elx.linear"(%1, %u) : (tensor<1x3x48xf32>, tensor<96x48xf32>) -> tensor<1x3x96xf32>
  %3 = "elx.activation"(%2) {kind = "silu"} : (tensor<1x3x96xf32>) -> tensor<1x3x96xf32>
  %4 = "elx.linear"(%3, %d, %b) : (tensor<1x3x96xf32>, tensor<48x96xf32>, tensor<48xf32>) -> tensor<1x3x48xf32>
  %5 = "elx.residual"(%0, %4) : (tensor<1x3x48xf32>, tensor<1x3x48xf32>) -> tensor<1x3x48xf32>
  %6 = "elx.rms_norm"(%5, %m) {eps = 1.0e-05 : f32} : (tensor<1x3x48xf32>, tensor<48xf32>) -> tensor<1x3x48xf32>
  %7 = "elx.linear"(%6, %e) : (tensor<1x3x48xf32>, tensor<100x48xf32>) -> tensor<1x3x100xf32>
  return %7 : tensor<1x3x100xf32>
}

// -----

// It fires: a linear layer between two sums reads and writes the stream.
// CHECK-LABEL: func.func @both_ends
// CHECK-SAME: elx.name = "w@{H48}.T@{H48}.T"
func.func @both_ends(%ids: tensor<3xi64> {elx.name = "ids", elx.kind = "input"},
                     %e: tensor<100x48xf32> {elx.name = "e", elx.kind = "weight"},
                     %w: tensor<48x48xf32> {elx.name = "w", elx.kind = "weight"},
                     %h: tensor<5x48xf32> {elx.name = "h", elx.kind = "weight"}) -> tensor<3x5xf32> {
  %0 = "elx.embedding"(%ids, %e) : (tensor<3xi64>, tensor<100x48xf32>) -> tensor<3x48xf32>
  %1 = "elx.linear"(%0, %w) : (tensor<3x48xf32>, tensor<48x48xf32>) -> tensor<3x48xf32>
  %2 = "elx.residual"(%0, %1) : (tensor<3x48xf32>, tensor<3x48xf32>) -> tensor<3x48xf32>
  %3 = "elx.linear"(%2, %h) : (tensor<3x48xf32>, tensor<5x48xf32>) -> tensor<3x5xf32>
  return %3 : tensor<3x5xf32>
}

// -----

// It leaves alone: linear layers with no sum around them.
// CHECK-LABEL: func.func @leaves_alone
// CHECK-SAME: elx.name = "e"
// CHECK-SAME: elx.name = "w"
// CHECK-NOT: @{
func.func @leaves_alone(%ids: tensor<3xi64> {elx.name = "ids", elx.kind = "input"},
                        %e: tensor<100x48xf32> {elx.name = "e", elx.kind = "weight"},
                        %w: tensor<48x48xf32> {elx.name = "w", elx.kind = "weight"}) -> tensor<3x48xf32> {
  %0 = "elx.embedding"(%ids, %e) : (tensor<3xi64>, tensor<100x48xf32>) -> tensor<3x48xf32>
  %1 = "elx.linear"(%0, %w) : (tensor<3x48xf32>, tensor<48x48xf32>) -> tensor<3x48xf32>
  return %1 : tensor<3x48xf32>
}

// -----

// It refuses: element by element, a rotation is not what it was.
func.func @activation(%ids: tensor<3xi64> {elx.name = "ids", elx.kind = "input"},
                      %e: tensor<100x48xf32> {elx.name = "e", elx.kind = "weight"}) -> tensor<3x48xf32> {
  %0 = "elx.embedding"(%ids, %e) : (tensor<3xi64>, tensor<100x48xf32>) -> tensor<3x48xf32>
  %1 = "elx.residual"(%0, %0) : (tensor<3x48xf32>, tensor<3x48xf32>) -> tensor<3x48xf32>
  // expected-error @+1 {{'elx.activation' op reads the residual stream; wanted: what commutes with a rotation}}
  %2 = "elx.activation"(%1) {kind = "relu"} : (tensor<3x48xf32>) -> tensor<3x48xf32>
  return %2 : tensor<3x48xf32>
}

// -----

// It refuses: the caller wants the sum itself.
func.func @returned(%ids: tensor<3xi64> {elx.name = "ids", elx.kind = "input"},
                    %e: tensor<100x48xf32> {elx.name = "e", elx.kind = "weight"}) -> tensor<3x48xf32> {
  %0 = "elx.embedding"(%ids, %e) : (tensor<3xi64>, tensor<100x48xf32>) -> tensor<3x48xf32>
  %1 = "elx.residual"(%0, %0) : (tensor<3x48xf32>, tensor<3x48xf32>) -> tensor<3x48xf32>
  // expected-error @+1 {{'func.return' op reads the residual stream; wanted: what commutes with a rotation}}
  return %1 : tensor<3x48xf32>
}

// -----

// It refuses: the caller gives what is summed.
func.func @given(%x: tensor<3x48xf32> {elx.name = "x", elx.kind = "input"},
                 %h: tensor<5x48xf32> {elx.name = "h", elx.kind = "weight"}) -> tensor<3x5xf32> {
  // expected-error @+1 {{'elx.residual' op reads the residual stream from an argument; wanted: one that begins inside the function}}
  %0 = "elx.residual"(%x, %x) : (tensor<3x48xf32>, tensor<3x48xf32>) -> tensor<3x48xf32>
  %1 = "elx.linear"(%0, %h) : (tensor<3x48xf32>, tensor<5x48xf32>) -> tensor<3x5xf32>
  return %1 : tensor<3x5xf32>
}

// -----

// It refuses: a norm whose weight could not be folded, since the caller wants its result.
func.func @norm(%ids: tensor<3xi64> {elx.name = "ids", elx.kind = "input"},
                %n: tensor<48xf32> {elx.name = "n", elx.kind = "weight"},
                %e: tensor<100x48xf32> {elx.name = "e", elx.kind = "weight"}) -> tensor<3x48xf32> {
  %0 = "elx.embedding"(%ids, %e) : (tensor<3xi64>, tensor<100x48xf32>) -> tensor<3x48xf32>
  %1 = "elx.residual"(%0, %0) : (tensor<3x48xf32>, tensor<3x48xf32>) -> tensor<3x48xf32>
  // expected-error @+1 {{'elx.rms_norm' op reads the residual stream with a weight of its own; wanted: ones; run fold-norm-weights}}
  %2 = "elx.rms_norm"(%1, %n) {eps = 1.0e-05 : f32} : (tensor<3x48xf32>, tensor<48xf32>) -> tensor<3x48xf32>
  return %2 : tensor<3x48xf32>
}

// -----

// It refuses: a norm that takes the mean away.
func.func @layer_norm(%ids: tensor<3xi64> {elx.name = "ids", elx.kind = "input"},
                      %n: tensor<48xf32> {elx.name = "n", elx.kind = "weight"},
                      %e: tensor<100x48xf32> {elx.name = "e", elx.kind = "weight"},
                      %h: tensor<5x48xf32> {elx.name = "h", elx.kind = "weight"}) -> tensor<3x5xf32> {
  %0 = "elx.embedding"(%ids, %e) : (tensor<3xi64>, tensor<100x48xf32>) -> tensor<3x48xf32>
  %1 = "elx.residual"(%0, %0) : (tensor<3x48xf32>, tensor<3x48xf32>) -> tensor<3x48xf32>
  // expected-error @+1 {{'elx.layer_norm' op reads the residual stream; wanted: what commutes with a rotation}}
  %2 = "elx.layer_norm"(%1, %n, %n) {eps = 1.0e-05 : f32} : (tensor<3x48xf32>, tensor<48xf32>, tensor<48xf32>) -> tensor<3x48xf32>
  %3 = "elx.linear"(%2, %h) : (tensor<3x48xf32>, tensor<5x48xf32>) -> tensor<3x5xf32>
  return %3 : tensor<3x5xf32>
}
