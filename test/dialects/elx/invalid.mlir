// RUN: elastix-opt %s --split-input-file --verify-diagnostics

func.func @attribute_kind(%x: tensor<2x64xf32>, %w: tensor<64xf32>) {
  // expected-error@+1 {{'elx.rms_norm' op eps is 1.000000e-05 : f64, wanted an f32}}
  %0 = "elx.rms_norm"(%x, %w) {eps = 1.0e-5 : f64} : (tensor<2x64xf32>, tensor<64xf32>) -> tensor<2x64xf32>
  return
}

// -----

func.func @attribute_missing(%x: tensor<2x64xf32>, %w: tensor<64xf32>) {
  // expected-error@+1 {{'elx.rms_norm' op has no eps, wanted an f32}}
  %0 = "elx.rms_norm"(%x, %w) : (tensor<2x64xf32>, tensor<64xf32>) -> tensor<2x64xf32>
  return
}

// -----

func.func @operands_few(%x: tensor<2x64xf32>) {
  // expected-error@+1 {{'elx.linear' op has 1 operands, wanted x, weight, [bias]}}
  %0 = "elx.linear"(%x) : (tensor<2x64xf32>) -> tensor<2x64xf32>
  return
}

// -----

func.func @operands_many(%x: tensor<2x64xf32>) {
  // expected-error@+1 {{'elx.activation' op has 2 operands, wanted x}}
  %0 = "elx.activation"(%x, %x) {kind = "relu"} : (tensor<2x64xf32>, tensor<2x64xf32>) -> tensor<2x64xf32>
  return
}

// -----

func.func @segments_missing(%q: tensor<1x8x1x8xf32>, %k: tensor<1x4x16x8xf32>) {
  // expected-error@+1 {{'elx.attention' op operandSegmentSizes is None, wanted how many of q, k, v, [positions], [mask] there are, 3 in all}}
  %0 = "elx.attention"(%q, %k, %k) {scale = 1.0 : f32, causal = true}
      : (tensor<1x8x1x8xf32>, tensor<1x4x16x8xf32>, tensor<1x4x16x8xf32>) -> tensor<1x8x1x8xf32>
  return
}

// -----

func.func @results(%x: tensor<2x64xf32>) {
  // expected-error@+1 {{'elx.quantize' op has 1 results, wanted 2}}
  %0 = "elx.quantize"(%x) {activation_bits = 8 : i64} : (tensor<2x64xf32>) -> tensor<2x64xi16>
  return
}

// -----

func.func @no_tensor(%x: i32, %w: tensor<64xf32>) {
  // expected-error@+1 {{'elx.rms_norm' op x is i32, wanted tensor<…xKxf32>}}
  %0 = "elx.rms_norm"(%x, %w) {eps = 1.0e-5 : f32} : (i32, tensor<64xf32>) -> i32
  return
}

// -----

func.func @dynamic(%x: tensor<?x64xf32>, %w: tensor<64xf32>) {
  // expected-error@+1 {{'elx.rms_norm' op x is tensor<?x64xf32>, wanted tensor<…xKxf32>}}
  %0 = "elx.rms_norm"(%x, %w) {eps = 1.0e-5 : f32} : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @element(%x: tensor<2x64xf64>, %w: tensor<64xf32>) {
  // expected-error@+1 {{'elx.rms_norm' op x has elements of f64, wanted f32}}
  %0 = "elx.rms_norm"(%x, %w) {eps = 1.0e-5 : f32} : (tensor<2x64xf64>, tensor<64xf32>) -> tensor<2x64xf64>
  return
}

// -----

func.func @weight_rank(%x: tensor<2x64xf32>, %w: tensor<1x64xf32>) {
  // expected-error@+1 {{'elx.rms_norm' op weight is tensor<1x64xf32>, wanted tensor<Kxf32>}}
  %0 = "elx.rms_norm"(%x, %w) {eps = 1.0e-5 : f32}
      : (tensor<2x64xf32>, tensor<1x64xf32>) -> tensor<2x64xf32>
  return
}

// -----

func.func @rms_norm_columns(%x: tensor<2x64xf32>, %w: tensor<32xf32>) {
  // expected-error@+1 {{'elx.rms_norm' op weight has 32 columns, wanted 64 as x has}}
  %0 = "elx.rms_norm"(%x, %w) {eps = 1.0e-5 : f32} : (tensor<2x64xf32>, tensor<32xf32>) -> tensor<2x64xf32>
  return
}

// -----

func.func @layer_norm_columns(%x: tensor<2x64xf32>, %w: tensor<64xf32>, %b: tensor<32xf32>) {
  // expected-error@+1 {{'elx.layer_norm' op bias has 32 columns, wanted 64 as x has}}
  %0 = "elx.layer_norm"(%x, %w, %b) {eps = 1.0e-5 : f32}
      : (tensor<2x64xf32>, tensor<64xf32>, tensor<32xf32>) -> tensor<2x64xf32>
  return
}

// -----

func.func @result(%x: tensor<2x64xf32>) {
  // expected-error@+1 {{'elx.activation' op result is tensor<2x32xf32>, wanted tensor<2x64xf32>}}
  %0 = "elx.activation"(%x) {kind = "relu"} : (tensor<2x64xf32>) -> tensor<2x32xf32>
  return
}

// -----

func.func @embedding_ids(%ids: tensor<4xi32>, %t: tensor<8x4xf32>) {
  // expected-error@+1 {{'elx.embedding' op ids has elements of i32, wanted i64}}
  %0 = "elx.embedding"(%ids, %t) : (tensor<4xi32>, tensor<8x4xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @embedding_table(%ids: tensor<4xi64>, %t: tensor<8xf32>) {
  // expected-error@+1 {{'elx.embedding' op table is tensor<8xf32>, wanted tensor<VxKxf32>}}
  %0 = "elx.embedding"(%ids, %t) : (tensor<4xi64>, tensor<8xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @linear_columns(%x: tensor<2x64xf32>, %w: tensor<32x48xf32>) {
  // expected-error@+1 {{'elx.linear' op weight is tensor<32x48xf32>, wanted tensor<Nx64xf32>}}
  %0 = "elx.linear"(%x, %w) : (tensor<2x64xf32>, tensor<32x48xf32>) -> tensor<2x32xf32>
  return
}

// -----

func.func @linear_bias(%x: tensor<2x64xf32>, %w: tensor<32x64xf32>, %b: tensor<16xf32>) {
  // expected-error@+1 {{'elx.linear' op bias is tensor<16xf32>, wanted tensor<32xf32>}}
  %0 = "elx.linear"(%x, %w, %b) : (tensor<2x64xf32>, tensor<32x64xf32>, tensor<16xf32>) -> tensor<2x32xf32>
  return
}

// -----

func.func @linear_empty(%x: tensor<2x64xf32>, %w: tensor<0x64xf32>) {
  // expected-error@+1 {{'elx.linear' op weight is tensor<0x64xf32>, wanted at least one row and one column}}
  %0 = "elx.linear"(%x, %w) : (tensor<2x64xf32>, tensor<0x64xf32>) -> tensor<2x0xf32>
  return
}

// -----

func.func @format_kind(%x: tensor<2x64xf32>, %w: tensor<32x64xf32>) {
  // expected-error@+1 {{'elx.linear' op format is 8 : i64, wanted #elx.format<bits, group, scale, zero>}}
  %0 = "elx.linear"(%x, %w) {format = 8 : i64} : (tensor<2x64xf32>, tensor<32x64xf32>) -> tensor<2x32xf32>
  return
}

// -----

func.func @linear_activation_bits(%x: tensor<2x64xf32>, %w: tensor<32x64xf32>) {
  // expected-error@+1 {{'elx.linear' op activation_bits is 13, wanted 8 to 12}}
  %0 = "elx.linear"(%x, %w) {activation_bits = 13 : i64} : (tensor<2x64xf32>, tensor<32x64xf32>) -> tensor<2x32xf32>
  return
}

// -----

func.func @format_bits(%x: tensor<2x64xf32>, %w: tensor<32x64xf32>) {
  // expected-error@+1 {{'elx.linear' op format has weights of 9 bits, wanted 1 to 8 bits}}
  %0 = "elx.linear"(%x, %w) {format = #elx.format<9, 64, "s8", "symmetric">}
      : (tensor<2x64xf32>, tensor<32x64xf32>) -> tensor<2x32xf32>
  return
}

// -----

func.func @format_group(%x: tensor<2x64xf32>, %w: tensor<32x64xf32>) {
  // expected-error@+1 {{'elx.linear' op format has a group of 48 columns, wanted a multiple of 32 from 32 to 256}}
  %0 = "elx.linear"(%x, %w) {format = #elx.format<8, 48, "s8", "symmetric">}
      : (tensor<2x64xf32>, tensor<32x64xf32>) -> tensor<2x32xf32>
  return
}

// -----

func.func @format_scale(%x: tensor<2x64xf32>, %w: tensor<32x64xf32>) {
  // expected-error@+1 {{'elx.linear' op format has scale format 's7', wanted s8 or s6 or s8c8}}
  %0 = "elx.linear"(%x, %w) {format = #elx.format<8, 64, "s7", "symmetric">}
      : (tensor<2x64xf32>, tensor<32x64xf32>) -> tensor<2x32xf32>
  return
}

// -----

func.func @format_zero(%x: tensor<2x64xf32>, %w: tensor<32x64xf32>) {
  // expected-error@+1 {{'elx.linear' op format has zero point 'none', wanted symmetric or half_step or asymmetric}}
  %0 = "elx.linear"(%x, %w) {format = #elx.format<8, 64, "s8", "none">}
      : (tensor<2x64xf32>, tensor<32x64xf32>) -> tensor<2x32xf32>
  return
}

// -----

func.func @format_pair(%x: tensor<2x64xf32>, %w: tensor<32x64xf32>) {
  // expected-error@+1 {{'elx.linear' op format has scale format s8 with zero point asymmetric, wanted s8c8 with asymmetric, s8 or s6 with symmetric or half_step}}
  %0 = "elx.linear"(%x, %w) {format = #elx.format<8, 64, "s8", "asymmetric">}
      : (tensor<2x64xf32>, tensor<32x64xf32>) -> tensor<2x32xf32>
  return
}

// -----

func.func @rope_rank(%x: tensor<8x64xf32>, %p: tensor<1xi64>, %f: tensor<4xf32>) {
  // expected-error@+1 {{'elx.rope' op x is tensor<8x64xf32>, wanted tensor<BxHxTxDhxf32>}}
  %0 = "elx.rope"(%x, %p, %f) {scaling = 1.0 : f32}
      : (tensor<8x64xf32>, tensor<1xi64>, tensor<4xf32>) -> tensor<8x64xf32>
  return
}

// -----

func.func @rope_odd(%x: tensor<1x2x1x7xf32>, %p: tensor<1xi64>, %f: tensor<3xf32>) {
  // expected-error@+1 {{'elx.rope' op x has heads of 7, wanted an even width}}
  %0 = "elx.rope"(%x, %p, %f) {scaling = 1.0 : f32}
      : (tensor<1x2x1x7xf32>, tensor<1xi64>, tensor<3xf32>) -> tensor<1x2x1x7xf32>
  return
}

// -----

func.func @rope_positions(%x: tensor<1x2x1x8xf32>, %p: tensor<2xi64>, %f: tensor<4xf32>) {
  // expected-error@+1 {{'elx.rope' op positions is tensor<2xi64>, wanted tensor<1xi64>}}
  %0 = "elx.rope"(%x, %p, %f) {scaling = 1.0 : f32}
      : (tensor<1x2x1x8xf32>, tensor<2xi64>, tensor<4xf32>) -> tensor<1x2x1x8xf32>
  return
}

// -----

func.func @rope_frequencies(%x: tensor<1x2x1x8xf32>, %p: tensor<1xi64>, %f: tensor<8xf32>) {
  // expected-error@+1 {{'elx.rope' op inv_freq is tensor<8xf32>, wanted tensor<4xf32>}}
  %0 = "elx.rope"(%x, %p, %f) {scaling = 1.0 : f32}
      : (tensor<1x2x1x8xf32>, tensor<1xi64>, tensor<8xf32>) -> tensor<1x2x1x8xf32>
  return
}

// -----

func.func @cache_heads(%c: tensor<1x4x16x8xf32>, %n: tensor<1x2x1x8xf32>, %p: tensor<1xi64>) {
  // expected-error@+1 {{'elx.cache_update' op new is tensor<1x2x1x8xf32>, wanted tensor<1x4xTx8xf32>}}
  %0 = "elx.cache_update"(%c, %n, %p)
      : (tensor<1x4x16x8xf32>, tensor<1x2x1x8xf32>, tensor<1xi64>) -> tensor<1x4x16x8xf32>
  return
}

// -----

func.func @cache_length(%c: tensor<1x4x16x8xf32>, %n: tensor<1x4x17x8xf32>, %p: tensor<17xi64>) {
  // expected-error@+1 {{'elx.cache_update' op new has 17 tokens, wanted at most the 16 of the cache}}
  %0 = "elx.cache_update"(%c, %n, %p)
      : (tensor<1x4x16x8xf32>, tensor<1x4x17x8xf32>, tensor<17xi64>) -> tensor<1x4x16x8xf32>
  return
}

// -----

func.func @cache_positions(%c: tensor<1x4x16x8xf32>, %n: tensor<1x4x1x8xf32>, %p: tensor<2xi64>) {
  // expected-error@+1 {{'elx.cache_update' op positions is tensor<2xi64>, wanted tensor<1xi64>}}
  %0 = "elx.cache_update"(%c, %n, %p)
      : (tensor<1x4x16x8xf32>, tensor<1x4x1x8xf32>, tensor<2xi64>) -> tensor<1x4x16x8xf32>
  return
}

// -----

func.func @attention_heads(%q: tensor<1x8x1x8xf32>, %k: tensor<1x3x16x8xf32>) {
  // expected-error@+1 {{'elx.attention' op q has 8 heads, wanted a multiple of the 3 of k}}
  %0 = "elx.attention"(%q, %k, %k) {scale = 1.0 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>}
      : (tensor<1x8x1x8xf32>, tensor<1x3x16x8xf32>, tensor<1x3x16x8xf32>) -> tensor<1x8x1x8xf32>
  return
}

// -----

func.func @attention_v(%q: tensor<1x8x1x8xf32>, %k: tensor<1x4x16x8xf32>, %v: tensor<1x4x16x4xf32>) {
  // expected-error@+1 {{'elx.attention' op v is tensor<1x4x16x4xf32>, wanted tensor<1x4x16x8xf32>}}
  %0 = "elx.attention"(%q, %k, %v) {scale = 1.0 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>}
      : (tensor<1x8x1x8xf32>, tensor<1x4x16x8xf32>, tensor<1x4x16x4xf32>) -> tensor<1x8x1x8xf32>
  return
}

// -----

func.func @attention_mask(%q: tensor<1x8x1x8xf32>, %k: tensor<1x4x16x8xf32>, %m: tensor<1x8x1x16xf32>) {
  // expected-error@+1 {{'elx.attention' op mask is tensor<1x8x1x16xf32>, wanted tensor<1x1x1x16xf32>}}
  %0 = "elx.attention"(%q, %k, %k, %m) {scale = 1.0 : f32, causal = false, operandSegmentSizes = array<i32: 1, 1, 1, 0, 1>}
      : (tensor<1x8x1x8xf32>, tensor<1x4x16x8xf32>, tensor<1x4x16x8xf32>, tensor<1x8x1x16xf32>) -> tensor<1x8x1x8xf32>
  return
}

// -----

func.func @attention_causal(%q: tensor<1x8x1x8xf32>, %k: tensor<1x4x16x8xf32>) {
  // expected-error@+1 {{'elx.attention' op causal is 1 : i64, wanted true or false}}
  %0 = "elx.attention"(%q, %k, %k) {scale = 1.0 : f32, causal = 1 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>}
      : (tensor<1x8x1x8xf32>, tensor<1x4x16x8xf32>, tensor<1x4x16x8xf32>) -> tensor<1x8x1x8xf32>
  return
}

// -----

func.func @activation_kind(%x: tensor<2x64xf32>) {
  // expected-error@+1 {{'elx.activation' op kind is 'tanh', wanted silu or gelu or gelu_tanh or relu}}
  %0 = "elx.activation"(%x) {kind = "tanh"} : (tensor<2x64xf32>) -> tensor<2x64xf32>
  return
}

// -----

func.func @gated_kind(%x: tensor<2x64xf32>) {
  // expected-error@+1 {{'elx.gated_activation' op kind is 'tanh', wanted silu or gelu or gelu_tanh or relu}}
  %0 = "elx.gated_activation"(%x, %x) {kind = "tanh"}
      : (tensor<2x64xf32>, tensor<2x64xf32>) -> tensor<2x64xf32>
  return
}

// -----

func.func @gated_shapes(%x: tensor<2x64xf32>, %u: tensor<2x32xf32>) {
  // expected-error@+1 {{'elx.gated_activation' op up is tensor<2x32xf32>, wanted tensor<2x64xf32>}}
  %0 = "elx.gated_activation"(%x, %u) {kind = "silu"}
      : (tensor<2x64xf32>, tensor<2x32xf32>) -> tensor<2x64xf32>
  return
}

// -----

func.func @residual_shapes(%x: tensor<2x64xf32>, %b: tensor<64xf32>) {
  // expected-error@+1 {{'elx.residual' op b is tensor<64xf32>, wanted tensor<2x64xf32>}}
  %0 = "elx.residual"(%x, %b) : (tensor<2x64xf32>, tensor<64xf32>) -> tensor<2x64xf32>
  return
}

// -----

func.func @reshape_type(%x: tensor<?xf32>) {
  // expected-error@+1 {{'elx.reshape' op x is tensor<?xf32> and result is tensor<4xf32>, wanted static tensors}}
  %0 = "elx.reshape"(%x) : (tensor<?xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @reshape_elements(%x: tensor<64xf32>) {
  // expected-error@+1 {{'elx.reshape' op result has 63 elements, wanted 64 as x has}}
  %0 = "elx.reshape"(%x) : (tensor<64xf32>) -> tensor<9x7xf32>
  return
}

// -----

func.func @reshape_element_type(%x: tensor<64xf32>) {
  // expected-error@+1 {{'elx.reshape' op result has elements of i32, wanted f32 as x has}}
  %0 = "elx.reshape"(%x) : (tensor<64xf32>) -> tensor<64xi32>
  return
}

// -----

func.func @transpose_type(%x: f32) {
  // expected-error@+1 {{'elx.transpose' op x is f32, wanted a static tensor}}
  %0 = "elx.transpose"(%x) {permutation = array<i64: 0>} : (f32) -> f32
  return
}

// -----

func.func @transpose_permutation(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{'elx.transpose' op permutation is [0, 0], wanted each axis 0 … 1 once}}
  %0 = "elx.transpose"(%x) {permutation = array<i64: 0, 0>} : (tensor<2x3xf32>) -> tensor<2x2xf32>
  return
}

// -----

func.func @quantize_bits(%x: tensor<2x64xf32>) {
  // expected-error@+1 {{'elx.quantize' op activation_bits is 13, wanted 8 to 12}}
  %0:2 = "elx.quantize"(%x) {activation_bits = 13 : i64}
      : (tensor<2x64xf32>) -> (tensor<2x64xi16>, tensor<2xi32>)
  return
}

// -----

func.func @quantize_exponent(%x: tensor<2x64xf32>) {
  // expected-error@+1 {{'elx.quantize' op exponent is tensor<1xi32>, wanted tensor<2xi32>}}
  %0:2 = "elx.quantize"(%x) {activation_bits = 8 : i64}
      : (tensor<2x64xf32>) -> (tensor<2x64xi16>, tensor<1xi32>)
  return
}

// -----

func.func @quantized_x(%x: tensor<2x64xf32>, %e: tensor<2xi32>, %w: tensor<32x64xf32>) {
  // expected-error@+1 {{'elx.quantized_linear' op x has elements of f32, wanted i16}}
  %0 = "elx.quantized_linear"(%x, %e, %w) {format = #elx.format<8, 64, "s8", "symmetric">}
      : (tensor<2x64xf32>, tensor<2xi32>, tensor<32x64xf32>) -> tensor<2x32xf32>
  return
}

// -----

func.func @quantized_exponent(%x: tensor<2x64xi16>, %e: tensor<3xi32>, %w: tensor<32x64xf32>) {
  // expected-error@+1 {{'elx.quantized_linear' op exponent is tensor<3xi32>, wanted tensor<2xi32>}}
  %0 = "elx.quantized_linear"(%x, %e, %w) {format = #elx.format<8, 64, "s8", "symmetric">}
      : (tensor<2x64xi16>, tensor<3xi32>, tensor<32x64xf32>) -> tensor<2x32xf32>
  return
}

// -----

func.func @quantized_embedding_format(%i: tensor<2xi64>, %w: tensor<32x64xf32>) {
  // expected-error@+1 {{'elx.quantized_embedding' op format has weights of 0 bits, wanted 1 to 8 bits}}
  %0 = "elx.quantized_embedding"(%i, %w) {format = #elx.format<0, 64, "s8", "symmetric">}
      : (tensor<2xi64>, tensor<32x64xf32>) -> tensor<2x64xf32>
  return
}

// -----

func.func @hadamard_width(%x: tensor<2x12xf32>) {
  // expected-error@+1 {{'elx.hadamard' op x has rows of 12, wanted a power of two}}
  %0 = "elx.hadamard"(%x) {scale = 1.0 : f32} : (tensor<2x12xf32>) -> tensor<2x12xf32>
  return
}

// -----

func.func @codes(%c: tensor<1x4x16x8xi16>, %s: tensor<1x4x16xbf16>, %n: tensor<1x4x1x8xf32>, %p: tensor<1xi64>) {
  // expected-error@+1 {{'elx.quantized_cache_update' op cache has elements of i16, wanted i8}}
  %0:2 = "elx.quantized_cache_update"(%c, %s, %n, %p)
      : (tensor<1x4x16x8xi16>, tensor<1x4x16xbf16>, tensor<1x4x1x8xf32>, tensor<1xi64>) -> (tensor<1x4x16x8xi16>, tensor<1x4x16xbf16>)
  return
}

// -----

func.func @odd_codes(%c: tensor<1x4x16x7xi4>, %s: tensor<1x4x16xbf16>, %n: tensor<1x4x1x7xf32>, %p: tensor<1xi64>) {
  // expected-error@+1 {{'elx.quantized_cache_update' op cache has heads of 7 codes of 4 bits, wanted an even number}}
  %0:2 = "elx.quantized_cache_update"(%c, %s, %n, %p)
      : (tensor<1x4x16x7xi4>, tensor<1x4x16xbf16>, tensor<1x4x1x7xf32>, tensor<1xi64>) -> (tensor<1x4x16x7xi4>, tensor<1x4x16xbf16>)
  return
}

// -----

func.func @cache_scales(%c: tensor<1x4x16x8xi8>, %s: tensor<1x4x8xbf16>, %n: tensor<1x4x1x8xf32>, %p: tensor<1xi64>) {
  // expected-error@+1 {{'elx.quantized_cache_update' op scales is tensor<1x4x8xbf16>, wanted tensor<1x4x16xbf16>}}
  %0:2 = "elx.quantized_cache_update"(%c, %s, %n, %p)
      : (tensor<1x4x16x8xi8>, tensor<1x4x8xbf16>, tensor<1x4x1x8xf32>, tensor<1xi64>) -> (tensor<1x4x16x8xi8>, tensor<1x4x8xbf16>)
  return
}

// -----

func.func @codes_without_scales(%q: tensor<1x8x1x8xf32>, %k: tensor<1x4x16x8xi8>, %v: tensor<1x4x16x8xi8>, %s: tensor<1x4x16xbf16>) {
  // expected-error@+1 {{'elx.quantized_attention' op v has elements of i8 and no scales, wanted scales with codes}}
  %0 = "elx.quantized_attention"(%q, %k, %v, %s) {scale = 1.0 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0>}
      : (tensor<1x8x1x8xf32>, tensor<1x4x16x8xi8>, tensor<1x4x16x8xi8>, tensor<1x4x16xbf16>) -> tensor<1x8x1x8xf32>
  return
}

// -----

func.func @no_codes(%q: tensor<1x8x1x8xf32>, %k: tensor<1x4x16x8xf32>) {
  // expected-error@+1 {{'elx.quantized_attention' op neither k nor v has scales, wanted elx.attention for such}}
  %0 = "elx.quantized_attention"(%q, %k, %k) {scale = 1.0 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0>}
      : (tensor<1x8x1x8xf32>, tensor<1x4x16x8xf32>, tensor<1x4x16x8xf32>) -> tensor<1x8x1x8xf32>
  return
}

// -----

// What elx.attention wants of its operands' sizes is wanted of codes too.
func.func @quantized_attention_heads(%q: tensor<1x8x1x8xf32>, %k: tensor<1x3x16x8xi8>, %s: tensor<1x3x16xbf16>) {
  // expected-error@+1 {{'elx.quantized_attention' op q has 8 heads, wanted a multiple of the 3 of k}}
  %0 = "elx.quantized_attention"(%q, %k, %k, %s, %s) {scale = 1.0 : f32, causal = true, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0, 0>}
      : (tensor<1x8x1x8xf32>, tensor<1x3x16x8xi8>, tensor<1x3x16x8xi8>, tensor<1x3x16xbf16>, tensor<1x3x16xbf16>) -> tensor<1x8x1x8xf32>
  return
}

// -----

func.func @quantized_cache_update_tokens(%c: tensor<1x4x16x8xi8>, %s: tensor<1x4x16xbf16>, %n: tensor<1x4x17x8xf32>, %p: tensor<17xi64>) {
  // expected-error@+1 {{'elx.quantized_cache_update' op new has 17 tokens, wanted at most the 16 of the cache}}
  %0:2 = "elx.quantized_cache_update"(%c, %s, %n, %p)
      : (tensor<1x4x16x8xi8>, tensor<1x4x16xbf16>, tensor<1x4x17x8xf32>, tensor<17xi64>) -> (tensor<1x4x16x8xi8>, tensor<1x4x16xbf16>)
  return
}
