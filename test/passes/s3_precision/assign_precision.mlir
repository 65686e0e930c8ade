// RUN: elastix-opt %s -p 'assign-precision{bits=4 activation-bits=10}' | filecheck %s
// RUN: echo 'layers: {"?": {bits: 3, group: 64}, tied: 7}' > %t.yaml
// RUN: elastix-opt %s -p 'assign-precision{plan=%t.yaml}' | filecheck %s --check-prefix PLAN
// RUN: mkdir -p %t.plan && echo 'layers: {a: {bits: 2, activation_bits: 9, error: 0.1, kl: 0.02, why: "hard"}, tied: {bits: 7, activation_bits: 11}}' > %t.plan/plan.yaml
// RUN: elastix-opt %s -p 'assign-precision{plan=%t.plan positions=false}' | filecheck %s --check-prefix FOLDER
// RUN: not elastix-opt %s -p 'assign-precision{plan=%t.plan activation-bits=10}' 2>&1 | filecheck %s --check-prefix MORE
// RUN: echo 'layers: {aa: 6}' > %t.typo.yaml
// RUN: not elastix-opt %s -p 'assign-precision{plan=%t.typo.yaml}' 2>&1 | filecheck %s --check-prefix TYPO
// RUN: not elastix-opt %s -p 'assign-precision{bits=9}' 2>&1 | filecheck %s --check-prefix NINE
// RUN: not elastix-opt %s -p 'assign-precision{activation-bits=13}' 2>&1 | filecheck %s --check-prefix WIDE

// It fires: linear layers and tables of stored weights; a tied weight gets one format.
// CHECK: module attributes {elx.activation_bits = 10 : i64}
// CHECK-LABEL: func.func @fires
// CHECK: "elx.embedding"({{.*}}) {format = #elx.format<4 : i64, 32 : i64, "s8c8", "asymmetric">}
// CHECK: "elx.linear"({{.*}}) {format = #elx.format<4 : i64, 32 : i64, "s8c8", "asymmetric">}
// CHECK: "elx.linear"({{.*}}) {format = #elx.format<4 : i64, 32 : i64, "s8c8", "asymmetric">}
// PLAN: module attributes {elx.activation_bits = 11 : i64}
// PLAN-LABEL: func.func @fires
// PLAN: "elx.embedding"({{.*}}) {format = #elx.format<7 : i64, 64 : i64, "s8", "symmetric">}
// PLAN: "elx.linear"({{.*}}) {format = #elx.format<3 : i64, 64 : i64, "s8c8", "asymmetric">}
// PLAN: "elx.linear"({{.*}}) {format = #elx.format<7 : i64, 64 : i64, "s8", "symmetric">}
// FOLDER: module attributes {elx.activation_bits = 11 : i64}
// FOLDER-LABEL: func.func @fires
// FOLDER: "elx.embedding"({{.*}}) {format = #elx.format<7 : i64, 64 : i64, "s8", "symmetric">}
// FOLDER: "elx.linear"({{.*}}) {activation_bits = 9 : i64, format = #elx.format<2 : i64, 32 : i64, "s8c8", "asymmetric">}
// FOLDER: "elx.linear"({{.*}}) {format = #elx.format<7 : i64, 64 : i64, "s8", "symmetric">}
// It refuses: a plan that names no layer or wants more of the processor than it has, bits that no weight or activation has.
// TYPO: typo.yaml:1: no layer of the model matches 'aa'; wanted: one of its 2 layers
// MORE: plan/plan.yaml:1: activations of 11 bits; wanted: at most 10, as the processor has; say --activation-bits 11, or fewer here
// NINE: weights of 9 bits; wanted: 1 to 8 bits
// WIDE: activations of 13 bits; wanted: 8 to 12 bits
func.func @fires(%ids: tensor<1x3xi64> {elx.name = "ids", elx.kind = "input"},
                 %e: tensor<100x64xf32> {elx.name = "tied.weight", elx.kind = "weight"},
                 %w: tensor<64x64xf32> {elx.name = "a.weight", elx.kind = "weight"}) -> tensor<1x3x100xf32> {
  %x = "elx.embedding"(%ids, %e) : (tensor<1x3xi64>, tensor<100x64xf32>) -> tensor<1x3x64xf32>
  %y = "elx.linear"(%x, %w) : (tensor<1x3x64xf32>, tensor<64x64xf32>) -> tensor<1x3x64xf32>
  %z = "elx.linear"(%y, %e) : (tensor<1x3x64xf32>, tensor<100x64xf32>) -> tensor<1x3x100xf32>
  return %z : tensor<1x3x100xf32>
}

// It leaves alone: a weight that is an input, or computed.
// CHECK-LABEL: func.func @leaves_alone
// CHECK: "elx.linear"
// CHECK-NOT: format
// CHECK: return
func.func @leaves_alone(%x: tensor<3x64xf32> {elx.name = "x", elx.kind = "input"},
                        %w: tensor<64x64xf32> {elx.name = "w", elx.kind = "input"}) -> tensor<3x64xf32> {
  %y = "elx.linear"(%x, %w) : (tensor<3x64xf32>, tensor<64x64xf32>) -> tensor<3x64xf32>
  %z = "elx.linear"(%x, %y) : (tensor<3x64xf32>, tensor<3x64xf32>) -> tensor<3x3xf32>
  return %y : tensor<3x64xf32>
}

// It leaves alone, where it is told to: a table of learned positions.
// FOLDER-LABEL: func.func @positions
// FOLDER: "elx.embedding"({{.*}}) : (tensor<1x1xi64>, tensor<32x64xf32>)
// FOLDER: "elx.linear"({{.*}}) {activation_bits = 9 : i64, format =
func.func @positions(%p: tensor<1xi64> {elx.name = "positions", elx.kind = "input"},
                     %t: tensor<32x64xf32> {elx.name = "tied.weight", elx.kind = "weight"},
                     %w: tensor<64x64xf32> {elx.name = "a.weight", elx.kind = "weight"}) -> tensor<1x1x64xf32> {
  %ids = "elx.reshape"(%p) : (tensor<1xi64>) -> tensor<1x1xi64>
  %x = "elx.embedding"(%ids, %t) : (tensor<1x1xi64>, tensor<32x64xf32>) -> tensor<1x1x64xf32>
  %y = "elx.linear"(%x, %w) : (tensor<1x1x64xf32>, tensor<64x64xf32>) -> tensor<1x1x64xf32>
  return %y : tensor<1x1x64xf32>
}
