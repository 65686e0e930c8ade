// VECTOR: one pass over elements.
#include <algorithm>
#include <cstring>

#include "cache.h"
#include "clones.h"
#include "step.h"

namespace elastix {
namespace {

// One loop for each operation, so that each becomes vector instructions. c and d are those of the pass's elements, s is a scalar.
ELASTIX_CLONES void add(const float* a, const float* b, int64_t n, float* y, uint32_t& overflow) {
    uint32_t over = 0;
    for (int64_t i = 0; i < n; ++i) y[i] = settled(a[i] + b[i], over);
    overflow |= over;
}

ELASTIX_CLONES void multiply(const float* a, const float* b, int64_t n, float* y, uint32_t& overflow) {
    uint32_t over = 0;
    for (int64_t i = 0; i < n; ++i) y[i] = settled(a[i] * b[i], over);
    overflow |= over;
}

ELASTIX_CLONES void scale(const float* a, float s, int64_t n, float* y, uint32_t& overflow) {
    uint32_t over = 0;
    for (int64_t i = 0; i < n; ++i) y[i] = settled(a[i] * s, over);
    overflow |= over;
}

ELASTIX_CLONES void subtract(const float* a, float s, int64_t n, float* y, uint32_t& overflow) {
    uint32_t over = 0;
    for (int64_t i = 0; i < n; ++i) y[i] = settled(a[i] - s, over);
    overflow |= over;
}

ELASTIX_CLONES void normalize(const float* a, float s, const float* c, int64_t n, float* y, uint32_t& overflow) {
    uint32_t over = 0;
    for (int64_t i = 0; i < n; ++i) y[i] = settled(settled(a[i] * s, over) * c[i], over);
    overflow |= over;
}

// A turned half head: C20.
ELASTIX_CLONES void rotate(const float* a, const float* other, const float* c, const float* d, int64_t n, float* y, uint32_t& overflow) {
    uint32_t over = 0;
    for (int64_t i = 0; i < n; ++i) y[i] = settled(settled(a[i] * c[i], over) + settled(other[i] * d[i], over), over);
    overflow |= over;
}

ELASTIX_CLONES void activate_all(const float* a, const Table& table, int64_t n, float* y, uint32_t& overflow) {
    uint32_t over = 0;
    for (int64_t i = 0; i < n; ++i) y[i] = activate(a[i], table, over);
    overflow |= over;
}

ELASTIX_CLONES void relu_all(const float* a, int64_t n, float* y, uint32_t& overflow) {
    uint32_t over = 0;
    for (int64_t i = 0; i < n; ++i) y[i] = relu(a[i], over);
    overflow |= over;
}

// C21: p · 2^−24 × s' of each element; the sum of p.
ELASTIX_CLONES int64_t weights_of(const float* a, int32_t largest, const uint16_t* scales, int64_t n, float* y, uint32_t& overflow) {
    uint32_t over = 0;
    int64_t sum = 0;
    for (int64_t i = 0; i < n; ++i) {
        const int32_t p = exponential(largest, fix_20(a[i]));
        sum += p;
        y[i] = settled(static_cast<float>(p) * 0x1p-24f * flush(from_bf16(scales[i])), over);
    }
    overflow |= over;
    return sum;
}

ELASTIX_CLONES int32_t largest_order(const float* y, int64_t n) {
    int32_t largest = kLeastOrder;
    for (int64_t i = 0; i < n; ++i) largest = std::max(largest, order_of(y[i]));
    return largest;
}

ELASTIX_CLONES int32_t largest_magnitude(const float* y, int64_t n) {
    int32_t largest = 0;
    for (int64_t i = 0; i < n; ++i) largest = std::max(largest, static_cast<int32_t>(to_bits(y[i]) & ~kSign));
    return largest;
}

ELASTIX_CLONES void round_all(const float* a, double power, double limit, int64_t n, int16_t* q) {
    for (int64_t i = 0; i < n; ++i) q[i] = rounded(a[i], power, limit);
}

// c and d begin again every `period` elements: calls with each run, its first element and length.
template <typename Call>
void for_periods(int64_t count, int64_t period, Call call) {
    const int64_t step = period == 0 ? count : period;
    for (int64_t first = 0; first < count; first += step) call(first, std::min(step, count - first));
}

bool reads_b(Operation o) { return o == Operation::add || o == Operation::multiply; }
bool reads_d(Operation o) { return o == Operation::normalize_shift || o == Operation::rotate; }
bool reads_c(Operation o) { return o == Operation::add_constant || o == Operation::normalize || reads_d(o); }

// Writing over operands is fine element for element only: `to` and what is read from `from` on are the same place or apart.
void expect_apart(int64_t to, int64_t count, int64_t from, int64_t read, bool in_step, const char* name) {
    if (to >= from + read || from >= to + count || (to == from && in_step)) return;
    throw Problem(std::to_string(count) + " results at " + std::to_string(to) + " over " + name + " at " + std::to_string(from),
                  "the same place, element for element, or another");
}

}  // namespace

void Step::track(const Instruction& i, const float* y, int64_t count) {
    if (i.maximum == Maximum::none) return;
    if (i.maximum == Maximum::signed_maximum) return set_scalar(i.max_register, value_of(largest_order(y, count)));
    int32_t largest = largest_magnitude(y, count);
    if (i.maximum == Maximum::magnitude_keep) largest = std::max(largest, order_of(state_.scalar.data()[i.max_register]));
    set_scalar(i.max_register, value_of(largest));
}

// max|a| as its register has it.
float Step::largest_of(const Instruction& i, const float* a, int64_t count) const {
    const float held = state_.scalar.data()[i.scalar_register];
    if (const int32_t found = largest_magnitude(a, count); found > order_of(held))
        throw Problem("a magnitude of " + std::to_string(value_of(found)) + " above the largest, " + std::to_string(held),
                      "the largest of all in scalar register " + std::to_string(i.scalar_register));
    return held;
}

void Step::vector(const Instruction& i) {
    const int64_t count = i.count + (i.to_position ? position_ + i.lane : 0);
    const float* a = vector_at(static_cast<uint64_t>(i.a), count, "a");
    if (i.operation == Operation::quantize) return quantize(i, a, count);
    if (i.operation == Operation::squares || i.operation == Operation::mean) return reduce(i, a, count);

    float* y;
    if (i.target == Target::none) {
        results_.resize(static_cast<size_t>(count));
        y = results_.data();
    } else {
        y = i.target == Target::vector ? vector_at(i.to, count, "to") : constant_at(i.to, count, "to");
        const auto to = static_cast<int64_t>(i.to), cycle = i.period == 0 ? count : std::min(i.period, count);
        if (i.target == Target::vector) {
            expect_apart(to, count, i.a, count, i.operation != Operation::rotate, "a");
            if (reads_b(i.operation)) expect_apart(to, count, i.b, count, true, "b");
        } else {
            if (reads_c(i.operation)) expect_apart(to, count, i.c, cycle, cycle == count, "c");
            if (reads_d(i.operation)) expect_apart(to, count, i.d, cycle, cycle == count, "d");
        }
    }
    if (i.operation == Operation::exponential)
        exponential(i, a, y, count);
    else
        compute(i, a, y, count);
    if (i.target == Target::vector) wrote(Place::vector, 0, i.to, y, static_cast<size_t>(4 * count));
    if (i.target == Target::constant) wrote(Place::constant, 0, i.to, y, static_cast<size_t>(4 * count));
    track(i, y, count);
}

void Step::compute(const Instruction& i, const float* a, float* y, int64_t count) {
    const float s = state_.scalar.data()[i.scalar_register];
    const int64_t cycle = i.period == 0 ? count : std::min(i.period, count);
    const float* b = reads_b(i.operation) ? vector_at(static_cast<uint64_t>(i.b), count, "b") : nullptr;
    const float* c = reads_c(i.operation) ? constant_at(static_cast<uint64_t>(i.c), cycle, "c") : nullptr;
    const float* d = reads_d(i.operation) ? constant_at(static_cast<uint64_t>(i.d), cycle, "d") : nullptr;
    switch (i.operation) {
        case Operation::copy: std::memmove(y, a, static_cast<size_t>(4 * count)); return;
        case Operation::add: return add(a, b, count, y, overflow_);
        case Operation::multiply: return multiply(a, b, count, y, overflow_);
        case Operation::scale:
            if ((i.k & ~kSign) > kLargest) throw Problem("k = " + hex(i.k), "a finite number");
            return scale(a, flush(from_bits(i.k)), count, y, overflow_);
        case Operation::scale_by: return scale(a, s, count, y, overflow_);
        case Operation::subtract: return subtract(a, s, count, y, overflow_);
        case Operation::add_constant:
            return for_periods(count, i.period, [&](int64_t first, int64_t n) { add(a + first, c, n, y + first, overflow_); });
        case Operation::normalize:
        case Operation::normalize_shift:
            return for_periods(count, i.period, [&](int64_t first, int64_t n) {
                normalize(a + first, s, c, n, y + first, overflow_);
                if (d != nullptr) add(y + first, d, n, y + first, overflow_);
            });
        case Operation::rotate: {
            const int64_t half = i.period / 2;
            return for_periods(count, i.period, [&](int64_t first, int64_t) {
                const float *low = a + first, *high = low + half;
                rotate(low, high, c, d, half, y + first, overflow_);
                rotate(high, low, c + half, d + half, half, y + first + half, overflow_);
            });
        }
        case Operation::activate:
            if (activation() == Activation::relu) return relu_all(a, count, y, overflow_);
            return activate_all(a, table_of(activation()), count, y, overflow_);
        default: return;
    }
}

void Step::exponential(const Instruction& i, const float* a, float* y, int64_t count) {
    if (count > parameters_.max_context)
        throw Problem("EXPONENTIAL of " + std::to_string(count) + " elements", "at most " + std::to_string(parameters_.max_context));
    const float largest = state_.scalar.data()[i.scalar_register];
    if (const int32_t found = largest_order(a, count); found > order_of(largest))
        throw Problem("a score of " + std::to_string(value_of(found)) + " above the largest, " + std::to_string(largest),
                      "the largest of all in scalar register " + std::to_string(i.scalar_register));
    const uint16_t* scales = state_.value_scales.data() + i.bank * parameters_.max_context;
    const int64_t sum = weights_of(a, fix_20(largest), scales, count, y, overflow_);
    set_scalar(i.result_register, recip(static_cast<float>(sum), 24, overflow_));
}

// C19: the sums that norms need.
void Step::reduce(const Instruction& i, const float* a, int64_t count) {
    const bool squares = i.operation == Operation::squares;
    for (const uint32_t bits : {i.k, i.epsilon})
        if ((bits & ~kSign) > kLargest) throw Problem("k or epsilon = " + hex(bits), "a finite number");
    const float m = largest_of(i, a, count);
    const int e = row_exponent(m, 16);
    wide_.resize(static_cast<size_t>(count));
    round_all(a, m == 0 ? 0 : power_of_two(-e), 32767, count, wide_.data());
    int64_t sum = 0;
    if (squares)
        for (const int16_t x : wide_) sum += static_cast<int64_t>(x) * x;
    else
        for (const int16_t x : wide_) sum += x;
    const float mean = settled(static_cast<float>(sum) * flush(from_bits(i.k)), overflow_);
    if (!squares) return set_scalar(i.result_register, scaled(mean, e, overflow_));
    const float v = settled(scaled(mean, 2 * e, overflow_) + flush(from_bits(i.epsilon)), overflow_);
    if (v < 0) throw Problem(std::to_string(v) + " under a root", "a mean square plus an epsilon, which is not negative");
    set_scalar(i.result_register, rsqrt(v, overflow_));
}

void Step::quantize(const Instruction& i, const float* a, int64_t count) {
    if (i.target == Target::key || i.target == Target::value) return keep_row(i, a);
    const float m = largest_of(i, a, count);
    const int e = row_exponent(m, i.bits);
    const auto exponent = static_cast<int16_t>(e);
    const auto round_to = [&](int16_t* q) { round_all(a, m == 0 ? 0 : power_of_two(-e), (1 << (i.bits - 1)) - 1, count, q); };
    if (i.target == Target::activations) {
        const int64_t columns = 32 * int64_t{parameters_.matrix.max_tiles};
        const auto first = static_cast<int64_t>(i.to), end = (first + count + 31) / 32 * 32;
        if (end > columns)
            throw Problem("activations of columns " + std::to_string(first) + " to " + std::to_string(end - 1),
                          "below " + std::to_string(columns));
        int16_t* x = state_.activations.data() + i.lane * columns + first;
        round_to(x);
        std::fill(x + count, x + (end - first), int16_t{0});
        state_.activation_exponent.data()[i.lane] = exponent;
        wrote(Place::activations, i.lane, i.to, x, static_cast<size_t>(2 * (end - first)));
        return wrote(Place::activation_exponent, i.lane, 0, state_.activation_exponent.data() + i.lane, 2);
    }
    if (i.target == Target::query) {
        const int64_t all = int64_t{parameters_.group} * parameters_.head_dim;
        int16_t* q = state_.query.data() + i.bank * all;
        round_to(q);
        state_.query_exponent[i.bank] = exponent;
        wrote(Place::query, i.bank, 0, q, static_cast<size_t>(2 * count));
        return wrote(Place::query_exponent, i.bank, 0, state_.query_exponent + i.bank, 2);
    }
    if (count > parameters_.max_context)
        throw Problem(std::to_string(count) + " probabilities", "at most " + std::to_string(parameters_.max_context));
    const int64_t first = int64_t{i.head} * parameters_.max_context;
    int16_t* q = state_.probability.data() + int64_t{i.bank} * parameters_.group * parameters_.max_context + first;
    round_to(q);
    state_.probability_exponent[i.bank] = exponent;
    wrote(Place::probability, i.bank, static_cast<uint64_t>(first), q, static_cast<size_t>(2 * count));
    wrote(Place::probability_exponent, i.bank, 0, state_.probability_exponent + i.bank, 2);
}

// C12, into the current rows and the cache.
void Step::keep_row(const Instruction& i, const float* a) {
    const float m = largest_of(i, a, parameters_.head_dim);
    const int kind = i.target == Target::value ? 1 : 0;
    const int64_t at = (int64_t{kind} * parameters_.matrix.lanes + i.lane) * parameters_.kv_heads + i.head;
    int8_t* codes = state_.rows.data() + at * parameters_.head_dim;
    uint16_t& scale = state_.row_scales.data()[at];
    quantize_cache_row_below(a, m, parameters_.head_dim, reinterpret_cast<uint8_t*>(codes), scale);

    const int64_t row = position_ + i.lane;
    const auto beat = static_cast<uint64_t>(parameters_.matrix.beat / 8), width = static_cast<uint64_t>(parameters_.head_dim);
    const uint64_t bytes = (width + beat - 1) / beat * beat;
    const uint64_t codes_at = row_at(i.address, i, bytes, row), scale_at = row_at(i.address + i.scales, i, 2, row);
    uint8_t* to = memory_at(codes_at, bytes, "a row of the cache");
    uint8_t* scale_to = memory_at(scale_at, 2, "a scale of the cache");
    std::memcpy(to, codes, width);
    std::memset(to + width, 0, bytes - width);
    std::memcpy(scale_to, &scale, 2);
    const auto rows = kind == 1 ? Place::value_row : Place::key_row, scales = kind == 1 ? Place::value_scale : Place::key_scale;
    wrote(rows, i.lane, 0, codes, width, i.head);
    wrote(scales, i.lane, 0, &scale, 2, i.head);
    wrote(Place::memory, 0, codes_at, to, bytes);
    wrote(Place::memory, 0, scale_at, scale_to, 2);
}

}  // namespace elastix
