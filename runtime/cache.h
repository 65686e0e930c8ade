// A row of a cache of codes (C12 of compiler/numbers/README.md): its codes and its bf16 scale.
#pragma once
#include <cstdint>

namespace elastix {

// Bytes that the codes of one row take; head_dim is even at 4 bits.
inline int64_t row_bytes(int64_t head_dim, int64_t bits) { return head_dim * bits / 8; }

// C12. At 8 bits a code is z as a byte; at 4 bits it is (z + 15) / 2, byte i holding code i in its low half and code i + head_dim/2 in
// its high half.
void quantize_cache_row(const float* x, int64_t head_dim, int64_t bits, uint8_t* codes, uint16_t& scale);

// The same at 8 bits with the largest magnitude given, finite and no less than any of x.
void quantize_cache_row_below(const float* x, float largest, int64_t head_dim, uint8_t* codes, uint16_t& scale);

// The integers z of neighbouring rows, head_dim a row.
void read_codes(const uint8_t* codes, int64_t rows, int64_t head_dim, int64_t bits, double* z);

}  // namespace elastix
