// The edge rules C5 to C9 of compiler/numbers/README.md, on single values.
#pragma once
#include <bit>
#include <cstdint>

namespace elastix {

constexpr uint32_t kSign = 0x80000000u;
constexpr uint32_t kLargest = 0x7F7FFFFFu;

inline float from_bits(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t to_bits(float value) { return std::bit_cast<uint32_t>(value); }

// bf16, as it is stored, is the upper half of an fp32.
inline float from_bf16(uint16_t bits) { return from_bits(static_cast<uint32_t>(bits) << 16); }

// C5 on an operand.
inline float flush(float value) {
    const uint32_t bits = to_bits(value);
    return (bits & 0x7F800000u) == 0 ? from_bits(bits & kSign) : value;
}

// C5, then C6: what one rounded operation leaves. Sets overflow when it saturates.
inline float settle(float value, bool& overflow) {
    const uint32_t bits = to_bits(value);
    const uint32_t exponent = (bits >> 23) & 0xFF;
    if (exponent == 0) return from_bits(bits & kSign);
    if (exponent == 0xFF) {
        overflow = true;
        return from_bits((bits & kSign) | kLargest);
    }
    return value;
}

// C9: value · 2^e by adding to the exponent; value is settled.
inline float add_exponent(float value, int e, bool& overflow) {
    const uint32_t bits = to_bits(value);
    const int exponent = static_cast<int>((bits >> 23) & 0xFF);
    if (exponent == 0) return value;
    const int sum = exponent + e;
    if (sum <= 0) return from_bits(bits & kSign);
    if (sum >= 0xFF) {
        overflow = true;
        return from_bits((bits & kSign) | kLargest);
    }
    return from_bits((bits & 0x807FFFFFu) | (static_cast<uint32_t>(sum) << 23));
}

// C7 to C9: an accumulator, its row's stored scale and its token's exponent to the result.
inline float leave_accumulator(int64_t accumulator, float row_scale, int e, bool& overflow) {
    const float rounded = static_cast<float>(accumulator);
    return add_exponent(settle(rounded * row_scale, overflow), e, overflow);
}

}  // namespace elastix
