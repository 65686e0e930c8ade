// AVX2: 8 rows fill a register; the even and the odd bytes of a chunk become 16-bit pairs for a multiply-add.
#include "dot.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define ELASTIX_TARGET __attribute__((target("avx2")))

namespace elastix {
namespace {

ELASTIX_TARGET inline __m256i pair(const int16_t* at) {
    int value;
    std::memcpy(&value, at, 4);
    return _mm256_set1_epi32(value);
}

// Rows 8·half … 8·half + 7 of one token.
template <int kPacking>
ELASTIX_TARGET void dot_half(const Panel& panel, const Activations& x, int half, int64_t* acc) {
    constexpr int kWidth = 8 / kPacking;
    const __m256i mask = _mm256_set1_epi16((1 << kWidth) - 1);
    const uint8_t* chunk = panel.codes + 32 * half;
    __m256i even = _mm256_setzero_si256(), odd = even;
    for (int first = 0, group = 0; first < panel.tiles; first += panel.group_tiles, ++group) {
        const int end = 32 * std::min(panel.tiles, first + panel.group_tiles);
        __m256i dot02 = _mm256_setzero_si256(), dot13 = dot02;
        for (int column = 32 * first; column < end; column += 4 * kPacking, chunk += 64) {
            const __m256i packed = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(chunk));
            for (int part = 0; part < kPacking; ++part) {
                const __m256i q02 = _mm256_and_si256(_mm256_srli_epi16(packed, kWidth * part), mask);
                const __m256i q13 = _mm256_and_si256(_mm256_srli_epi16(packed, kWidth * part + 8), mask);
                const int16_t* at = x.pairs + column + 4 * part;
                dot02 = _mm256_add_epi32(dot02, _mm256_madd_epi16(q02, pair(at)));
                dot13 = _mm256_add_epi32(dot13, _mm256_madd_epi16(q13, pair(at + 2)));
            }
        }
        const __m256i scale =
            _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(panel.scales + kRows * group + 8 * half)));
        const __m256i zero = panel.zeros ? _mm256_cvtepu16_epi32(_mm_loadu_si128(
                                               reinterpret_cast<const __m128i*>(panel.zeros + kRows * group + 8 * half)))
                                         : _mm256_set1_epi32(panel.zero);
        const __m256i d = _mm256_sub_epi32(_mm256_slli_epi32(_mm256_add_epi32(dot02, dot13), 4),
                                           _mm256_mullo_epi32(zero, _mm256_set1_epi32(x.sums[group])));
        even = _mm256_add_epi64(even, _mm256_mul_epi32(scale, d));
        odd = _mm256_add_epi64(odd, _mm256_mul_epi32(_mm256_srli_epi64(scale, 32), _mm256_srli_epi64(d, 32)));
    }
    alignas(32) int64_t rows[2][4];
    _mm256_store_si256(reinterpret_cast<__m256i*>(rows[0]), even);
    _mm256_store_si256(reinterpret_cast<__m256i*>(rows[1]), odd);
    for (int r = 0; r < 8; ++r) acc[8 * half + r] = rows[r % 2][r / 2];
}

template <int kPacking>
ELASTIX_TARGET void dot_packed(const Panel& panel, const Activations* x, int tokens, int64_t (*acc)[kRows]) {
    for (int t = 0; t < tokens; ++t)
        for (int half = 0; half < 2; ++half) dot_half<kPacking>(panel, x[t], half, acc[t]);
}

}  // namespace

void dot_avx2(const Panel& panel, const Activations* x, int tokens, int64_t (*acc)[kRows]) {
    if (panel.packing == 1) return dot_packed<1>(panel, x, tokens, acc);
    if (panel.packing == 2) return dot_packed<2>(panel, x, tokens, acc);
    return dot_packed<4>(panel, x, tokens, acc);
}

}  // namespace elastix
#endif
