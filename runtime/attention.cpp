// Attention over a cache, one query row at a time: scores, the exact maximum, weights, their mean of the values.
#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "cache.h"
#include "clones.h"
#include "elastix.h"
#include "elementary.h"
#include "fp32.h"
#include "pool.h"

namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr float kMasked = -3e38f;  // a mask at or below excludes the key: models write −∞ or the least fp32
constexpr int64_t kKeysAtOnce = 8;

// score[j] = q · k[j], each sum in index order; eight keys at once because their sums do not wait for each other.
ELASTIX_CLONES void dot_keys(const float* q, const float* k, int64_t keys, int64_t head_dim, double* score) {
    std::vector<float> turned(static_cast<size_t>(kKeysAtOnce * head_dim));
    int64_t j = 0;
    for (; j + kKeysAtOnce <= keys; j += kKeysAtOnce) {
        for (int64_t u = 0; u < kKeysAtOnce; ++u)
            for (int64_t i = 0; i < head_dim; ++i) turned[static_cast<size_t>(i * kKeysAtOnce + u)] = k[(j + u) * head_dim + i];
        double sum[kKeysAtOnce] = {};
        for (int64_t i = 0; i < head_dim; ++i)
            for (int64_t u = 0; u < kKeysAtOnce; ++u)
                sum[u] += static_cast<double>(q[i]) * turned[static_cast<size_t>(i * kKeysAtOnce + u)];
        std::copy_n(sum, kKeysAtOnce, score + j);
    }
    for (; j < keys; ++j) {
        double sum = 0;
        for (int64_t i = 0; i < head_dim; ++i) sum += static_cast<double>(q[i]) * k[j * head_dim + i];
        score[j] = sum;
    }
}

// p[j] = e^(score[j] − largest) rounded to fp32; 0 for a score of −∞.
ELASTIX_CLONES void weigh(const float* score, float largest, int64_t keys, double* p) {
    for (int64_t j = 0; j < keys; ++j) p[j] = static_cast<float>(elastix::exponential(static_cast<double>(score[j]) - largest));
}

// y += p · v
ELASTIX_CLONES void add_scaled(double* y, double p, const float* v, int64_t head_dim) {
    for (int64_t i = 0; i < head_dim; ++i) y[i] += p * v[i];
}

ELASTIX_CLONES void add_rows(double* y, const double* p, const double* z, int64_t rows, int64_t head_dim) {
    for (int64_t j = 0; j < rows; ++j, z += head_dim)
        for (int64_t i = 0; i < head_dim; ++i) y[i] += p[j] * z[i];
}

constexpr int64_t kStrands = 8, kRowsAtOnce = 16;

// score[j] = (q · z[j]) · scales[j]. The sum runs in strands, which are joined in halves at the end: strand l has the elements i with
// i mod kStrands = l.
ELASTIX_CLONES void dot_codes(const double* q, const double* z, const uint16_t* scales, int64_t keys, int64_t head_dim, double* score) {
    for (int64_t j = 0; j < keys; ++j, z += head_dim) {
        double sum[kStrands] = {};
        int64_t i = 0;
        for (; i + kStrands <= head_dim; i += kStrands)
            for (int64_t l = 0; l < kStrands; ++l) sum[l] += q[i + l] * z[i + l];
        for (int64_t l = 0; i + l < head_dim; ++l) sum[l] += q[i + l] * z[i + l];
        for (int64_t half = kStrands / 2; half > 0; half /= 2)
            for (int64_t l = 0; l < half; ++l) sum[l] += sum[l + half];
        score[j] = sum[0] * elastix::from_bf16(scales[j]);
    }
}

// Rows of a cache for one head: `bits` is 32 for fp32, which has no scales.
struct Rows {
    const void* codes;
    const uint16_t* scales;
    int64_t bits, head_dim;

    Rows(const void* cache, const uint16_t* cache_scales, int64_t bits, int64_t head_dim, int64_t first)
        : codes(static_cast<const uint8_t*>(cache) + first * elastix::row_bytes(head_dim, bits)),
          scales(bits == 32 ? nullptr : cache_scales + first),
          bits(bits),
          head_dim(head_dim) {}

    const float* floats(int64_t row) const { return static_cast<const float*>(codes) + row * head_dim; }

    // Calls work(z, first, count) with the integers of a few rows at a time, as doubles, until all below `end` were there.
    template <class Work>
    void for_integers(int64_t end, Work work) const {
        std::vector<double> z(static_cast<size_t>(kRowsAtOnce * head_dim));
        for (int64_t first = 0; first < end; first += kRowsAtOnce) {
            const int64_t count = std::min(kRowsAtOnce, end - first);
            const auto* packed = static_cast<const uint8_t*>(codes) + first * elastix::row_bytes(head_dim, bits);
            elastix::read_codes(packed, count, head_dim, bits, z.data());
            work(z.data(), first, count);
        }
    }
};

struct Query {
    const float *q, *mask;
    float* y;
    int64_t keys;
    float scale;
};

void score_keys(const float* q, const Rows& k, int64_t keys, double* score) {
    if (k.bits == 32) return dot_keys(q, k.floats(0), keys, k.head_dim, score);
    const std::vector<double> wide(q, q + k.head_dim);
    k.for_integers(keys, [&](const double* z, int64_t first, int64_t count) {
        dot_codes(wide.data(), z, k.scales + first, count, k.head_dim, score + first);
    });
}

// sum += Σ p[j] · v[j]; a key that is not seen has p = 0, and nothing of its row counts.
void add_values(const Rows& v, std::vector<double>& p, double* sum) {
    const auto keys = static_cast<int64_t>(p.size());
    if (v.bits == 32) {
        for (int64_t j = 0; j < keys; ++j)
            if (p[static_cast<size_t>(j)] != 0) add_scaled(sum, p[static_cast<size_t>(j)], v.floats(j), v.head_dim);
        return;
    }
    for (int64_t j = 0; j < keys; ++j)
        if (p[static_cast<size_t>(j)] != 0) p[static_cast<size_t>(j)] *= elastix::from_bf16(v.scales[j]);
    v.for_integers(keys, [&](const double* z, int64_t first, int64_t count) {
        add_rows(sum, p.data() + first, z, count, v.head_dim);
    });
}

void attend(const Query& query, const Rows& k, const Rows& v) {
    std::vector<double> dot(static_cast<size_t>(query.keys)), sum(static_cast<size_t>(v.head_dim), 0.0);
    std::vector<float> score(dot.size());
    score_keys(query.q, k, query.keys, dot.data());
    float largest = kMinusInfinity;
    for (size_t j = 0; j < score.size(); ++j) {
        const float plain = static_cast<float>(dot[j] * query.scale);
        score[j] = query.mask == nullptr ? plain : query.mask[j] <= kMasked ? kMinusInfinity : plain + query.mask[j];
        if (!(score[j] <= largest)) largest = score[j];  // a NaN stays, and shows in the result
    }
    if (largest == kMinusInfinity) {
        std::fill_n(query.y, v.head_dim, 0.0f);
        return;
    }
    std::vector<double>& p = dot;
    weigh(score.data(), largest, query.keys, p.data());
    const double total = std::accumulate(p.begin(), p.end(), 0.0);
    add_values(v, p, sum.data());
    for (size_t i = 0; i < sum.size(); ++i) query.y[i] = static_cast<float>(sum[i] / total);
}

}  // namespace

// C13. A query that sees no key gives zeros.
void elastix_quantized_attention(const float* q, const void* k, const uint16_t* k_scales, const void* v, const uint16_t* v_scales,
                                 const int64_t* positions, const float* mask, float* y, int64_t batch, int64_t heads, int64_t kv_heads,
                                 int64_t tokens, int64_t length, int64_t head_dim, int64_t key_bits, int64_t value_bits, int32_t scale,
                                 int32_t causal) {
    const int64_t queries_per_head = heads / kv_heads;
    elastix::parallel_for(batch * heads * tokens, 1, [&](int64_t begin, int64_t end) {
        for (int64_t index = begin; index < end; ++index) {
            const int64_t t = index % tokens, head = index / tokens % heads, b = index / tokens / heads;
            const int64_t last = positions != nullptr ? positions[t] : t + length - tokens;
            const int64_t first = (b * kv_heads + head / queries_per_head) * length;
            attend({q + index * head_dim, mask != nullptr ? mask + (b * tokens + t) * length : nullptr, y + index * head_dim,
                    causal != 0 ? std::clamp<int64_t>(last + 1, 0, length) : length, elastix::from_bits(static_cast<uint32_t>(scale))},
                   Rows(k, k_scales, key_bits, head_dim, first), Rows(v, v_scales, value_bits, head_dim, first));
        }
    });
}

void elastix_attention(const float* q, const float* k, const float* v, const int64_t* positions, const float* mask, float* y, int64_t batch,
                       int64_t heads, int64_t kv_heads, int64_t tokens, int64_t length, int64_t head_dim, int32_t scale, int32_t causal) {
    elastix_quantized_attention(q, k, nullptr, v, nullptr, positions, mask, y, batch, heads, kv_heads, tokens, length, head_dim, 32, 32,
                                scale, causal);
}
