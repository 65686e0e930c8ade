// AVX-512 VNNI: 16 rows fill a register, codes are the unsigned operand, activations come as 128·high + low, both signed bytes.
#include "dot.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define ELASTIX_TARGET __attribute__((target("avx512f,avx512bw,avx512vnni")))

namespace elastix {
namespace {

ELASTIX_TARGET inline __m512i four_bytes(const int8_t* at) {
    int value;
    std::memcpy(&value, at, 4);
    return _mm512_set1_epi32(value);
}

template <int kPacking, int kTokens>
ELASTIX_TARGET void dot_tokens(const Panel& panel, const Activations* x, int64_t (*acc)[kRows]) {
    constexpr int kWidth = 8 / kPacking;
    const __m512i mask = _mm512_set1_epi8(static_cast<char>((1 << kWidth) - 1));
    __m512i even[kTokens], odd[kTokens];
    for (int t = 0; t < kTokens; ++t) even[t] = odd[t] = _mm512_setzero_si512();
    const uint8_t* chunk = panel.codes;
    for (int first = 0, group = 0; first < panel.tiles; first += panel.group_tiles, ++group) {
        const int end = 32 * std::min(panel.tiles, first + panel.group_tiles);
        __m512i low[kTokens], high[kTokens];
        for (int t = 0; t < kTokens; ++t) low[t] = high[t] = _mm512_setzero_si512();
        for (int column = 32 * first; column < end; column += 4 * kPacking, chunk += 64) {
            const __m512i packed = _mm512_loadu_si512(chunk);
            for (int part = 0; part < kPacking; ++part) {
                const __m512i q = kPacking == 1 ? packed : _mm512_and_si512(_mm512_srli_epi16(packed, kWidth * part), mask);
                for (int t = 0; t < kTokens; ++t) {
                    low[t] = _mm512_dpbusd_epi32(low[t], q, four_bytes(x[t].low + column + 4 * part));
                    high[t] = _mm512_dpbusd_epi32(high[t], q, four_bytes(x[t].high + column + 4 * part));
                }
            }
        }
        const __m512i scale = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(panel.scales + kRows * group)));
        const __m512i zero = panel.zeros ? _mm512_cvtepu16_epi32(_mm256_loadu_si256(
                                               reinterpret_cast<const __m256i*>(panel.zeros + kRows * group)))
                                         : _mm512_set1_epi32(panel.zero);
        for (int t = 0; t < kTokens; ++t) {
            const __m512i whole = _mm512_add_epi32(_mm512_slli_epi32(high[t], 11), _mm512_slli_epi32(low[t], 4));
            const __m512i d = _mm512_sub_epi32(whole, _mm512_mullo_epi32(zero, _mm512_set1_epi32(x[t].sums[group])));
            even[t] = _mm512_add_epi64(even[t], _mm512_mul_epi32(scale, d));
            odd[t] = _mm512_add_epi64(odd[t], _mm512_mul_epi32(_mm512_srli_epi64(scale, 32), _mm512_srli_epi64(d, 32)));
        }
    }
    const __m512i first_rows = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0), last_rows = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
    for (int t = 0; t < kTokens; ++t) {
        _mm512_storeu_si512(acc[t], _mm512_permutex2var_epi64(even[t], first_rows, odd[t]));
        _mm512_storeu_si512(acc[t] + 8, _mm512_permutex2var_epi64(even[t], last_rows, odd[t]));
    }
}

template <int kPacking>
ELASTIX_TARGET void dot_packed(const Panel& panel, const Activations* x, int tokens, int64_t (*acc)[kRows]) {
    int t = 0;
    for (; t + 4 <= tokens; t += 4) dot_tokens<kPacking, 4>(panel, x + t, acc + t);
    for (; t + 2 <= tokens; t += 2) dot_tokens<kPacking, 2>(panel, x + t, acc + t);
    if (t < tokens) dot_tokens<kPacking, 1>(panel, x + t, acc + t);
}

}  // namespace

void dot_avx512(const Panel& panel, const Activations* x, int tokens, int64_t (*acc)[kRows]) {
    if (panel.packing == 1) return dot_packed<1>(panel, x, tokens, acc);
    if (panel.packing == 2) return dot_packed<2>(panel, x, tokens, acc);
    return dot_packed<4>(panel, x, tokens, acc);
}

}  // namespace elastix
#endif
