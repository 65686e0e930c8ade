#include "cache.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "clones.h"
#include "elastix.h"
#include "fp32.h"

namespace elastix {
namespace {

constexpr uint16_t kNotANumber = 0x7FC0;
constexpr double kRound = 0x1.8p52;  // adding and taking it away rounds to an integer, ties to even
constexpr int kLeastPower = -133;    // 128 · 2^−133 is the least normal bf16

// significand · 2^power, significand 128 … 255: a normal bf16.
struct Scale {
    uint32_t significand;
    int power;
};

// The least s with limit · s ≥ largest, the bit pattern of a finite fp32 that is not negative.
Scale least_scale(uint32_t largest, uint32_t limit) {
    const int exponent = static_cast<int>(largest >> 23);
    if (exponent == 0) return {128, kLeastPower};
    const uint32_t whole = (largest & 0x7FFFFFu) | 0x800000u;
    int shift = 0;
    uint32_t significand = whole;
    while (significand > 255) {
        const uint32_t unit = limit << ++shift;
        significand = (whole + unit - 1) / unit;
    }
    const int power = exponent - 150 + shift;
    return power < kLeastPower ? Scale{128, kLeastPower} : Scale{significand, power};
}

// 1/s with a significand of 17 bits, which a table of 128 entries gives.
double reciprocal(const Scale& s) {
    const uint32_t nearest = ((1u << 23) + s.significand / 2) / s.significand;
    return nearest * std::bit_cast<double>(static_cast<uint64_t>(1023 - 23 - s.power) << 52);
}

uint16_t bf16(const Scale& s) { return static_cast<uint16_t>((s.power + 134) << 7 | (s.significand & 0x7F)); }

inline double flushed(float x) { return static_cast<double>(flush(x)); }

// The product is exact: 24 bits by 17.
ELASTIX_CLONES void round_to_bytes(const float* x, int64_t count, double factor, int8_t* z) {
    for (int64_t i = 0; i < count; ++i) z[i] = static_cast<int8_t>(static_cast<int32_t>((flushed(x[i]) * factor + kRound) - kRound));
}

ELASTIX_CLONES void round_to_halves(const float* x, int64_t half, double factor, uint8_t* codes) {
    for (int64_t i = 0; i < half; ++i) {
        const auto low = static_cast<int32_t>(std::floor(flushed(x[i]) * factor * 0.5));
        const auto high = static_cast<int32_t>(std::floor(flushed(x[i + half]) * factor * 0.5));
        codes[i] = static_cast<uint8_t>((low + 8) | (high + 8) << 4);
    }
}

}  // namespace

void quantize_cache_row(const float* x, int64_t head_dim, int64_t bits, uint8_t* codes, uint16_t& scale) {
    uint32_t largest = 0;
    for (int64_t i = 0; i < head_dim; ++i) largest = std::max(largest, to_bits(x[i]) & ~kSign);
    if (largest > kLargest) {
        scale = kNotANumber;
        std::fill_n(codes, row_bytes(head_dim, bits), uint8_t{0});
        return;
    }
    const Scale s = least_scale(largest, bits == 8 ? 127 : 15);
    scale = bf16(s);
    if (bits == 8)
        round_to_bytes(x, head_dim, reciprocal(s), reinterpret_cast<int8_t*>(codes));
    else
        round_to_halves(x, head_dim / 2, reciprocal(s), codes);
}

void quantize_cache_row_below(const float* x, float largest, int64_t head_dim, uint8_t* codes, uint16_t& scale) {
    const Scale s = least_scale(to_bits(largest) & ~kSign, 127);
    scale = bf16(s);
    round_to_bytes(x, head_dim, reciprocal(s), reinterpret_cast<int8_t*>(codes));
}

ELASTIX_CLONES void read_codes(const uint8_t* codes, int64_t rows, int64_t head_dim, int64_t bits, double* z) {
    if (bits == 8) {
        for (int64_t i = 0; i < rows * head_dim; ++i) z[i] = static_cast<int8_t>(codes[i]);
        return;
    }
    const int64_t half = head_dim / 2;
    for (int64_t row = 0; row < rows; ++row, codes += half, z += head_dim)
        for (int64_t i = 0; i < half; ++i) {
            z[i] = 2 * (codes[i] & 15) - 15;
            z[i + half] = 2 * (codes[i] >> 4) - 15;
        }
}

}  // namespace elastix

// C12, in place. Positions outside 0 … length − 1 are not written.
void elastix_quantized_cache_update(uint8_t* cache, uint16_t* scales, const float* values, const int64_t* positions, int64_t batch,
                                    int64_t heads, int64_t length, int64_t tokens, int64_t head_dim, int64_t bits) {
    for (int64_t head = 0; head < batch * heads; ++head)
        for (int64_t t = 0; t < tokens; ++t) {
            if (positions[t] < 0 || positions[t] >= length) continue;
            const int64_t row = head * length + positions[t];
            elastix::quantize_cache_row(values + (head * tokens + t) * head_dim, head_dim, bits,
                                        cache + row * elastix::row_bytes(head_dim, bits), scales[row]);
        }
}

// The butterflies of the Walsh-Hadamard transform, the nearest pairs first, each sum and difference rounded once; then times `scale`.
ELASTIX_CLONES void elastix_hadamard(const float* x, float* y, int64_t rows, int64_t width, int32_t scale) {
    const float factor = elastix::from_bits(static_cast<uint32_t>(scale));
    std::vector<float> turned(static_cast<size_t>(width));
    for (int64_t row = 0; row < rows; ++row, x += width, y += width) {
        std::copy_n(x, width, turned.data());
        for (int64_t apart = 1; apart < width; apart *= 2)
            for (int64_t first = 0; first < width; first += 2 * apart)
                for (int64_t i = first; i < first + apart; ++i) {
                    const float a = turned[static_cast<size_t>(i)], b = turned[static_cast<size_t>(i + apart)];
                    turned[static_cast<size_t>(i)] = a + b;
                    turned[static_cast<size_t>(i + apart)] = a - b;
                }
        for (int64_t i = 0; i < width; ++i) y[i] = turned[static_cast<size_t>(i)] * factor;
    }
}
