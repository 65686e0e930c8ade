// Attention over a cache, one query row at a time: scores, the exact maximum, weights, their mean of the values.
#include <algorithm>
#include <limits>
#include <vector>

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

struct Row {
    const float *q, *k, *v, *mask;
    float* y;
    int64_t keys, head_dim;
    float scale;
};

void attend(const Row& row) {
    std::vector<double> dot(static_cast<size_t>(row.keys)), sum(static_cast<size_t>(row.head_dim), 0.0);
    std::vector<float> score(dot.size());
    dot_keys(row.q, row.k, row.keys, row.head_dim, dot.data());
    float largest = kMinusInfinity;
    for (size_t j = 0; j < score.size(); ++j) {
        const float plain = static_cast<float>(dot[j] * row.scale);
        score[j] = row.mask == nullptr ? plain : row.mask[j] <= kMasked ? kMinusInfinity : plain + row.mask[j];
        largest = std::max(largest, score[j]);
    }
    double total = 0;
    for (size_t j = 0; j < score.size(); ++j) {
        if (score[j] == kMinusInfinity) continue;
        const double p = static_cast<float>(elastix::exponential(static_cast<double>(score[j]) - largest));
        total += p;
        add_scaled(sum.data(), p, row.v + static_cast<int64_t>(j) * row.head_dim, row.head_dim);
    }
    for (size_t i = 0; i < sum.size(); ++i) row.y[i] = total > 0 ? static_cast<float>(sum[i] / total) : 0.0f;
}

}  // namespace

// A query that sees no key gives zeros.
void elastix_attention(const float* q, const float* k, const float* v, const int64_t* positions, const float* mask, float* y, int64_t batch,
                       int64_t heads, int64_t kv_heads, int64_t tokens, int64_t length, int64_t head_dim, int32_t scale, int32_t causal) {
    const int64_t queries_per_head = heads / kv_heads;
    elastix::parallel_for(batch * heads * tokens, 1, [&](int64_t begin, int64_t end) {
        for (int64_t index = begin; index < end; ++index) {
            const int64_t t = index % tokens, head = index / tokens % heads, b = index / tokens / heads;
            const int64_t last = positions != nullptr ? positions[t] : t + length - tokens;
            const int64_t cached = (b * kv_heads + head / queries_per_head) * length * head_dim;
            attend({q + index * head_dim, k + cached, v + cached, mask != nullptr ? mask + (b * tokens + t) * length : nullptr,
                    y + index * head_dim, causal != 0 ? std::clamp<int64_t>(last + 1, 0, length) : length, head_dim,
                    elastix::from_bits(static_cast<uint32_t>(scale))});
        }
    });
}
