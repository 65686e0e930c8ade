// Attention over a cache, one query row at a time: scores, the exact maximum, weights, their mean of the values.
#include <algorithm>
#include <limits>
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

// y += p · v
ELASTIX_CLONES void add_scaled(double* y, double p, const float* v, int64_t head_dim) {
    for (int64_t i = 0; i < head_dim; ++i) y[i] += p * v[i];
}

// Sums run in kLanes strands, which are joined in halves at the end: strand l has the elements i with i mod kLanes = l.
constexpr int64_t kLanes = 8;

// q · z for a row of a cache of codes.
ELASTIX_CLONES double dot_codes(const double* q, const int8_t* z, int64_t head_dim) {
    double sum[kLanes] = {};
    int64_t i = 0;
    for (; i + kLanes <= head_dim; i += kLanes)
        for (int64_t l = 0; l < kLanes; ++l) sum[l] += q[i + l] * z[i + l];
    for (int64_t l = 0; i + l < head_dim; ++l) sum[l] += q[i + l] * z[i + l];
    for (int64_t half = kLanes / 2; half > 0; half /= 2)
        for (int64_t l = 0; l < half; ++l) sum[l] += sum[l + half];
    return sum[0];
}

// y += p · z
ELASTIX_CLONES void add_scaled_codes(double* y, double p, const int8_t* z, int64_t head_dim) {
    for (int64_t i = 0; i < head_dim; ++i) y[i] += p * z[i];
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

    // The integers of a row; `room` is for head_dim of them.
    const int8_t* integers(int64_t row, int8_t* room) const {
        const auto* packed = static_cast<const uint8_t*>(codes) + row * elastix::row_bytes(head_dim, bits);
        if (bits == 8) return reinterpret_cast<const int8_t*>(packed);
        elastix::unpack_codes(packed, head_dim, room);
        return room;
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
    std::vector<int8_t> room(wide.size());
    for (int64_t j = 0; j < keys; ++j)
        score[j] = dot_codes(wide.data(), k.integers(j, room.data()), k.head_dim) * elastix::from_bf16(k.scales[j]);
}

void attend(const Query& query, const Rows& k, const Rows& v) {
    std::vector<double> dot(static_cast<size_t>(query.keys)), sum(static_cast<size_t>(v.head_dim), 0.0);
    std::vector<float> score(dot.size());
    std::vector<int8_t> room(sum.size());
    score_keys(query.q, k, query.keys, dot.data());
    float largest = kMinusInfinity;
    for (size_t j = 0; j < score.size(); ++j) {
        const float plain = static_cast<float>(dot[j] * query.scale);
        score[j] = query.mask == nullptr ? plain : query.mask[j] <= kMasked ? kMinusInfinity : plain + query.mask[j];
        largest = std::max(largest, score[j]);
    }
    double total = 0;
    for (size_t j = 0; j < score.size(); ++j) {
        if (score[j] == kMinusInfinity) continue;
        const double p = static_cast<float>(elastix::exponential(static_cast<double>(score[j]) - largest));
        const auto row = static_cast<int64_t>(j);
        total += p;
        if (v.bits == 32)
            add_scaled(sum.data(), p, v.floats(row), v.head_dim);
        else
            add_scaled_codes(sum.data(), p * elastix::from_bf16(v.scales[row]), v.integers(row, room.data()), v.head_dim);
    }
    for (size_t i = 0; i < sum.size(); ++i) query.y[i] = total > 0 ? static_cast<float>(sum[i] / total) : 0.0f;
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
