#include "quantize.h"

#include <algorithm>
#include <bit>

#include "fp32.h"

namespace elastix {

int64_t quantize_row(const float* x, int64_t k, int activation_bits, int16_t* q, int16_t& exponent) {
    uint32_t largest = 0;
    for (int64_t i = 0; i < k; ++i) largest = std::max(largest, to_bits(x[i]) & ~kSign);
    if (largest > kLargest)
        return std::find_if(x, x + k, [](float value) { return (to_bits(value) & ~kSign) > kLargest; }) - x;
    const int64_t padded = (k + 31) / 32 * 32;
    std::fill(q + k, q + padded, int16_t{0});
    const int biased = static_cast<int>(largest >> 23);
    if (biased == 0) {  // all zero or subnormal (C5)
        std::fill(q, q + k, int16_t{0});
        exponent = 0;
        return -1;
    }
    exponent = static_cast<int16_t>(biased - 127 - (activation_bits - 2));
    // 2^−e is a normal double and the product exact; adding and taking away 1.5·2^52 rounds to an integer, ties to even.
    const double scale = std::bit_cast<double>(static_cast<uint64_t>(1023 - exponent) << 52);
    const double round = 0x1.8p52, limit = (1 << (activation_bits - 1)) - 1;
    for (int64_t i = 0; i < k; ++i) {
        const double value = (to_bits(x[i]) & 0x7F800000u) == 0 ? 0.0 : static_cast<double>(x[i]);
        const double rounded = (value * scale + round) - round;
        q[i] = static_cast<int16_t>(std::clamp(rounded, -limit, limit));
    }
    return -1;
}

}  // namespace elastix
