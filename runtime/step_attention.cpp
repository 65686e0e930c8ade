// SCORES and VALUES (C21): sums of integers, exact.
#include <algorithm>
#include <cstring>

#include "clones.h"
#include "step.h"

namespace elastix {
namespace {

constexpr int64_t kRowsAtOnce = 512;  // |ŵ·z| < 2^22: so many fit 32 bits

// sums[j · stride + t] = Σ q̂·z of query j and row t; below 2^30.
ELASTIX_CLONES void score_rows(const int8_t* const* rows, int64_t count, const int16_t* q, int64_t group, int64_t width, int64_t stride,
                               int32_t* sums) {
    alignas(64) int16_t z[256];
    for (int64_t t = 0; t < count; ++t) {
        for (int64_t d = 0; d < width; ++d) z[d] = rows[t][d];
        for (int64_t j = 0; j < group; ++j) {
            int32_t sum = 0;
            for (int64_t d = 0; d < width; ++d) sum += q[j * width + d] * z[d];
            sums[j * stride + t] = sum;
        }
    }
}

// C7 to C9.
ELASTIX_CLONES void leave(const int32_t* sums, const uint16_t* scales, int e, int64_t count, float* y, uint32_t& overflow) {
    uint32_t over = 0;
    for (int64_t t = 0; t < count; ++t)
        y[t] = scaled(settled(static_cast<float>(sums[t]) * flush(from_bf16(scales[t])), over), e, over);
    overflow |= over;
}

ELASTIX_CLONES int32_t largest_order(const float* y, int64_t n) {
    int32_t largest = kLeastOrder;
    for (int64_t i = 0; i < n; ++i) largest = std::max(largest, order_of(y[i]));
    return largest;
}

// acc[j][d] += Σ_t w[j][t]·z[t][d] for `block` elements from `first` on, of at most kRowsAtOnce rows; so many queries share the reading.
template <int block, int queries>
inline __attribute__((always_inline)) void weigh(const int8_t* const* rows, int64_t count, const int16_t* w, int64_t stride, int64_t first,
                                                 int64_t width, int64_t* acc) {
    int32_t sum[queries][block] = {};
    for (int64_t t = 0; t < count; ++t) {
        const int8_t* z = rows[t] + first;
        for (int j = 0; j < queries; ++j) {
            const int32_t weight = w[j * stride + t];
            for (int d = 0; d < block; ++d) sum[j][d] += weight * z[d];
        }
    }
    for (int j = 0; j < queries; ++j)
        for (int d = 0; d < block; ++d) acc[j * width + first + d] += sum[j][d];
}

template <int queries>
inline __attribute__((always_inline)) void weigh_rows_of(const int8_t* const* rows, int64_t count, const int16_t* w, int64_t stride,
                                                         int64_t width, int64_t* acc) {
    if (width == 8) return weigh<8, queries>(rows, count, w, stride, 0, width, acc);
    for (int64_t first = 0; first < width; first += 16) weigh<16, queries>(rows, count, w, stride, first, width, acc);
}

ELASTIX_CLONES void weigh_rows(const int8_t* const* rows, int64_t count, const int16_t* w, int64_t stride, int64_t queries, int64_t width,
                               int64_t* acc) {
    for (; queries >= 4; queries -= 4, w += 4 * stride, acc += 4 * width) weigh_rows_of<4>(rows, count, w, stride, width, acc);
    if (queries == 3) weigh_rows_of<3>(rows, count, w, stride, width, acc);
    if (queries == 2) weigh_rows_of<2>(rows, count, w, stride, width, acc);
    if (queries == 1) weigh_rows_of<1>(rows, count, w, stride, width, acc);
}

}  // namespace

template <typename Use>
void Step::each_word(uint64_t from, const Instruction& i, uint64_t size, const char* name, Use use) const {
    const int64_t word = parameters_.attention_channels > 1 ? parameters_.vector_lanes : position_;
    for (int64_t t = 0; t < position_; t += word) {
        const int64_t count = std::min(word, position_ - t);
        use(memory_at(row_at(from, i, size, t), size * static_cast<uint64_t>(count), name), t, count);
    }
}

void Step::gather(uint64_t from, const Instruction& i, int kind, const int8_t** rows) const {
    const auto beat = static_cast<uint64_t>(parameters_.matrix.beat / 8), width = static_cast<uint64_t>(parameters_.head_dim);
    const uint64_t bytes = (width + beat - 1) / beat * beat;
    each_word(from, i, bytes, "rows of the cache", [&](const uint8_t* word, int64_t t, int64_t count) {
        for (int64_t k = 0; k < count; ++k) rows[t + k] = reinterpret_cast<const int8_t*>(word) + static_cast<uint64_t>(k) * bytes;
    });
    for (int64_t lane = 0; lane <= i.lane; ++lane)
        rows[position_ + lane] =
            state_.rows.data() + ((int64_t{kind} * parameters_.matrix.lanes + lane) * parameters_.kv_heads + i.head) * parameters_.head_dim;
}

void Step::gather_scales(uint64_t from, const Instruction& i, int kind, uint16_t* scales) const {
    each_word(from, i, 2, "scales of the cache", [&](const uint8_t* word, int64_t t, int64_t count) {
        std::memcpy(scales + t, word, 2 * static_cast<size_t>(count));
    });
    for (int64_t lane = 0; lane <= i.lane; ++lane)
        scales[position_ + lane] =
            state_.row_scales.data()[(int64_t{kind} * parameters_.matrix.lanes + lane) * parameters_.kv_heads + i.head];
    uint16_t* const end = scales + position_ + i.lane + 1;
    const uint16_t* bad = std::find_if(scales, end, [](uint16_t scale) { return (scale & 0x7F80) == 0x7F80; });
    if (bad != end)
        throw Problem("scale " + std::to_string(bad - scales) + " of those at " + hex(from) + " is no number",
                      "a cache of this processor's");
}

void Step::scores(const Instruction& i) {
    const int64_t count = position_ + i.lane + 1, group = parameters_.group, width = parameters_.head_dim;
    if (group > 1 && i.stride < count)
        throw Problem("stride = " + std::to_string(i.stride), "at least " + std::to_string(count) + ", the scores of a query");
    float* y = vector_at(i.to, (group - 1) * i.stride + count, "to");

    row_pointers_.resize(static_cast<size_t>(count));
    gather(i.keys, i, 0, row_pointers_.data());
    key_scales_.resize(static_cast<size_t>(count));
    gather_scales(i.keys + i.key_scales, i, 0, key_scales_.data());
    uint16_t* value_scales = state_.value_scales.data() + i.bank * parameters_.max_context;
    gather_scales(i.values + i.value_scales, i, 1, value_scales);

    sums_.resize(static_cast<size_t>(group * count));
    score_rows(row_pointers_.data(), count, state_.query.data() + i.bank * group * width, group, width, count, sums_.data());
    for (int64_t j = 0; j < group; ++j) {
        float* row = y + j * i.stride;
        leave(sums_.data() + j * count, key_scales_.data(), state_.query_exponent[i.bank], count, row, overflow_);
        wrote(Place::vector, 0, i.to + static_cast<uint64_t>(j * i.stride), row, static_cast<size_t>(4 * count));
        set_scalar(i.max_register + j, value_of(largest_order(row, count)));
    }
    wrote(Place::value_scales, i.bank, 0, value_scales, static_cast<size_t>(2 * count));
}

void Step::values(const Instruction& i) {
    const int64_t count = position_ + i.lane + 1, group = parameters_.group, width = parameters_.head_dim;
    float* y = vector_at(i.to, group * width, "to");
    row_pointers_.resize(static_cast<size_t>(count));
    gather(i.values, i, 1, row_pointers_.data());
    const int64_t stride = parameters_.max_context;
    const int16_t* w = state_.probability.data() + i.bank * group * stride;
    weighted_.assign(static_cast<size_t>(group * width), 0);
    for (int64_t first = 0; first < count; first += kRowsAtOnce)
        weigh_rows(row_pointers_.data() + first, std::min(kRowsAtOnce, count - first), w + first, stride, group, width, weighted_.data());
    for (int64_t k = 0; k < group * width; ++k)
        y[k] = scaled(static_cast<float>(weighted_[static_cast<size_t>(k)]), state_.probability_exponent[i.bank], overflow_);
    wrote(Place::vector, 0, i.to, y, static_cast<size_t>(4 * group * width));
}

}  // namespace elastix
