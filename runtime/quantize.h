// C3: rows of fp32 to A-bit integers and one power of two.
#pragma once
#include <cstdint>

namespace elastix {

// Writes 32·ceil(k / 32) integers, padded with 0, and the exponent. Returns the index of the first value that is not finite, or −1.
int64_t quantize_row(const float* x, int64_t k, int activation_bits, int16_t* q, int16_t& exponent);

}  // namespace elastix
