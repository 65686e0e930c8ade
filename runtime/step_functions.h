// Rules C15 to C18 and C22 of compiler/numbers/README.md on single values, without branches where loops are to become vectors.
// Operands are settled: finite, no subnormals (C5, C6).
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>

#include "fp32.h"
#include "step_tables.h"

namespace elastix {

using Table = int32_t[256][3];

// C5, then C6. `overflow` becomes other than 0 when a result saturates.
inline float settled(float value, uint32_t& overflow) {
    const uint32_t bits = to_bits(value), sign = bits & kSign;
    uint32_t magnitude = bits & ~kSign;
    magnitude = magnitude < 0x00800000u ? 0u : magnitude;
    overflow |= magnitude > kLargest ? 1u : 0u;
    magnitude = magnitude > kLargest ? kLargest : magnitude;
    return from_bits(sign | magnitude);
}

// C9 on settled values.
inline float scaled(float value, int e, uint32_t& overflow) {
    const uint32_t bits = to_bits(value), sign = bits & kSign;
    const int exponent = static_cast<int>((bits >> 23) & 0xFF), sum = exponent + e;
    const bool zero = exponent == 0 || sum <= 0, large = exponent != 0 && sum >= 0xFF;
    overflow |= large ? 1u : 0u;
    const uint32_t magnitude = (bits & 0x007FFFFFu) | static_cast<uint32_t>(sum) << 23;
    return from_bits(sign | (zero ? 0u : large ? kLargest : magnitude));
}

// C15; step_tables.py sees to it that nothing leaves 32 bits.
inline int32_t evaluate(const Table& table, uint32_t index, int32_t offset) {
    const int32_t* c = table[index];
    return c[0] + (((c[1] + ((c[2] * offset) >> 12)) * offset) >> 12);
}

// C16: the magnitude of fix_k; x · 2^k is exact in a double.
inline int32_t fixed_magnitude(float x, double power) {
    const double scaled = static_cast<double>(from_bits(to_bits(x) & ~kSign)) * power;
    return static_cast<int32_t>(scaled < 2147483647.0 ? scaled : 2147483647.0);
}

inline int32_t fix_20(float x) {
    const int32_t magnitude = fixed_magnitude(x, 0x1p20);
    return (to_bits(x) & kSign) != 0 ? -magnitude : magnitude;
}

// C17, x · 2^k of its result.
inline float recip(float x, int k, uint32_t& overflow) {
    const uint32_t bits = to_bits(x), sign = bits & kSign;
    if ((bits & ~kSign) == 0) {
        overflow |= 1;
        return from_bits(sign | kLargest);
    }
    const int exponent = static_cast<int>((bits >> 23) & 0xFF) - 127;
    const int32_t y = evaluate(kReciprocal, (bits >> 15) & 0xFF, static_cast<int32_t>((bits >> 3) & 0xFFF));
    const float found = scaled(scaled(static_cast<float>(y), -24 - exponent, overflow), k, overflow);
    return from_bits(sign | to_bits(found));
}

// C17; x is not negative.
inline float rsqrt(float x, uint32_t& overflow) {
    const uint32_t bits = to_bits(x);
    if ((bits & ~kSign) == 0) {
        overflow |= 1;
        return from_bits(kLargest);
    }
    const int exponent = static_cast<int>((bits >> 23) & 0xFF) - 127;
    const Table& table = (exponent & 1) != 0 ? kRsqrtOdd : kRsqrtEven;
    const int32_t y = evaluate(table, (bits >> 15) & 0xFF, static_cast<int32_t>((bits >> 3) & 0xFFF));
    return scaled(static_cast<float>(y), -24 - (exponent >> 1), overflow);
}

// The kinds of elastix_activation.
enum class Activation : int32_t { none = -1, silu, gelu, gelu_tanh, relu };

// C18 with the table of the activation.
inline float activate(float x, const Table& table, uint32_t& overflow) {
    const int32_t u = std::min(fixed_magnitude(x, 0x1p16), (1 << 20) - 1);
    const int32_t tail = std::max(evaluate(table, static_cast<uint32_t>(u >> 12), u & 0xFFF), 0);
    const int32_t whole = x >= 0 ? (1 << 22) - tail : tail;
    return settled(x * (static_cast<float>(whole) * 0x1p-22f), overflow);
}

inline const Table& table_of(Activation activation) {
    return activation == Activation::gelu ? kGelu : activation == Activation::gelu_tanh ? kGeluTanh : kSilu;
}

inline float relu(float x, uint32_t& overflow) { return settled(x * (x > 0 ? 1.0f : 0.0f), overflow); }

// C21: p of a score whose fix_20 is `score`, the largest's `largest`; largest − score is not negative.
inline int32_t exponential(int32_t largest, int32_t score) {
    const uint32_t v = static_cast<uint32_t>(largest) - static_cast<uint32_t>(score), n = v >> 20;
    const int32_t y = evaluate(kExp2, (v >> 12) & 0xFF, static_cast<int32_t>(v & 0xFFF));
    return n < 25 ? y >> (n & 31) : 0;
}

// C22: integers in the order of the values, −0 and +0 both 0.
inline int32_t order_of(float x) {
    const auto magnitude = static_cast<int32_t>(to_bits(x) & ~kSign);
    return (to_bits(x) & kSign) != 0 ? -magnitude : magnitude;
}
inline float value_of(int32_t order) { return from_bits(order < 0 ? kSign | static_cast<uint32_t>(-order) : static_cast<uint32_t>(order)); }
constexpr int32_t kLeastOrder = -static_cast<int32_t>(kLargest);

// C3's exponent of a row whose largest magnitude is m; 0 for a row of zeros.
inline int row_exponent(float m, int bits) {
    const int biased = static_cast<int>((to_bits(m) >> 23) & 0xFF);
    return biased == 0 ? 0 : biased - 127 - (bits - 2);
}

// C3 of one element: `power` is 2^−e, or 0 for a row of zeros; limit 2^(bits − 1) − 1.
inline double power_of_two(int e) { return std::bit_cast<double>(static_cast<uint64_t>(1023 + e) << 52); }
inline int16_t rounded(float x, double power, double limit) {
    const double exact = std::clamp(static_cast<double>(x) * power, -limit, limit);
    return static_cast<int16_t>(static_cast<int32_t>((exact + 0x1.8p52) - 0x1.8p52));
}

}  // namespace elastix
