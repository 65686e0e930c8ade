// LINEAR, EMBED and LOAD.
#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>

#include "clones.h"
#include "pool.h"
#include "step.h"
#include "token_batch.h"

namespace elastix {
namespace {

constexpr int64_t kPanelsAtOnce = 4;

// C7 to C9 of a panel's sums.
ELASTIX_CLONES void leave(const int64_t* acc, const float* row_scales, int e, float* y, uint32_t& overflow) {
    for (int r = 0; r < kRows; ++r) y[r] = scaled(settled(static_cast<float>(acc[r]) * row_scales[r], overflow), e, overflow);
}

// What is done to `count` results before they are written; b: the second operand.
void apply(Operation operation, Activation activation, const float* b, int64_t count, float* y, uint32_t& overflow) {
    switch (operation) {
        case Operation::add:
        case Operation::add_constant:
            for (int64_t r = 0; r < count; ++r) y[r] = settled(y[r] + b[r], overflow);
            return;
        case Operation::multiply:
            for (int64_t r = 0; r < count; ++r) y[r] = settled(y[r] * b[r], overflow);
            return;
        case Operation::activate:
            if (activation == Activation::relu)
                for (int64_t r = 0; r < count; ++r) y[r] = relu(y[r], overflow);
            else
                for (int64_t r = 0; r < count; ++r) y[r] = activate(y[r], table_of(activation), overflow);
            return;
        default: return;
    }
}

}  // namespace

// Where the results of one token go, and its second operand.
struct Step::Drain {
    uint8_t* to;
    const float* b;
};

struct Step::Best {
    int32_t magnitude = 0, largest = std::numeric_limits<int32_t>::min();
    int64_t index = std::numeric_limits<int64_t>::max();

    void look(const float* y, int64_t count, int64_t first) {
        for (int64_t r = 0; r < count; ++r) {
            const int32_t order = order_of(y[r]);
            magnitude = std::max(magnitude, order < 0 ? -order : order);
            if (order > largest) {
                largest = order;
                index = first + r;
            }
        }
    }
    void merge(const Best& other) {
        magnitude = std::max(magnitude, other.magnitude);
        if (other.largest > largest || (other.largest == largest && other.index < index)) {
            largest = other.largest;
            index = other.index;
        }
    }
};

Layer Step::placed(const Instruction& i) const {
    Layer layer = i.layer;
    layer.tokens = static_cast<int>(tokens_.size());
    if (const std::string problem = place_layer(parameters_.matrix, size_, layer); !problem.empty()) {
        const size_t end = problem.find("; wanted ");
        throw Problem(problem.substr(0, end), end == std::string::npos ? "" : problem.substr(end + 9));
    }
    return layer;
}

void Step::linear(const Instruction& i) {
    const Layer& layer = layer_;
    const int64_t rows = layer.rows(), tokens = layer.tokens;
    if (i.rows > rows) throw Problem("rows = " + std::to_string(i.rows), "at most " + std::to_string(rows));
    const bool second = i.operation == Operation::add || i.operation == Operation::multiply;
    const bool to_memory = i.target == Target::memory;
    const int64_t lane_results = i.lane_stride / (to_memory ? 4 : 1);
    if (tokens > 1 && lane_results < rows)
        throw Problem("tokens " + std::to_string(lane_results) + " results apart", "at least " + std::to_string(rows) + ", a token's");

    Drain drains[kMaxTokens];
    for (int64_t t = 0; t < tokens; ++t) {
        const uint64_t offset = static_cast<uint64_t>(t * i.lane_stride);
        drains[t].to = to_memory ? memory_at(i.to + offset, static_cast<uint64_t>(4 * rows), "results")
                                 : reinterpret_cast<uint8_t*>(vector_at(i.to + offset, rows, "to"));
        drains[t].b = second                                     ? vector_at(static_cast<uint64_t>(i.from) + offset, rows, "from")
                      : i.operation == Operation::add_constant ? constant_at(static_cast<uint64_t>(i.from), rows, "from")
                                                                 : nullptr;
    }
    const auto all = static_cast<uint64_t>((tokens - 1) * i.lane_stride + rows), from = static_cast<uint64_t>(i.from);
    if (second && i.to != from && i.to < from + all && from < i.to + all)
        throw Problem("results at " + std::to_string(i.to) + " over operands at " + std::to_string(i.from), "the same place or another");

    const int16_t* x[kMaxTokens];
    for (int64_t t = 0; t < tokens; ++t) x[t] = state_.activations.data() + t * 32 * parameters_.matrix.max_tiles;
    const TokenBatch batch(x, layer);
    std::string problem;
    const DecodedLayer* decoded = matrix_.decode(memory_, layer, problem);
    if (decoded == nullptr) throw Problem(problem, "");

    Best best[kMaxTokens];
    std::mutex mutex;
    parallel_for(decoded->panels, kPanelsAtOnce, [&](int64_t begin, int64_t end) {
        alignas(64) int64_t acc[kMaxTokens][kRows];
        Best mine[kMaxTokens];
        uint32_t overflow = 0;
        for (int64_t index = begin; index < end; ++index) {
            const int64_t first = index * kRows, here = std::min<int64_t>(kRows, rows - first);
            kernel_(decoded->panel(index), batch.views, layer.tokens, acc);
            for (int64_t t = 0; t < tokens; ++t) {
                alignas(64) float y[kRows];
                leave(acc[t], decoded->row_scales.data() + first, state_.activation_exponent.data()[t], y, overflow);
                apply(i.operation, activation(), drains[t].b == nullptr ? nullptr : drains[t].b + first, here, y, overflow);
                std::memcpy(drains[t].to + 4 * first, y, static_cast<size_t>(4 * here));
                mine[t].look(y, std::clamp<int64_t>(i.rows - first, 0, here), first);
            }
        }
        const std::lock_guard lock(mutex);
        for (int64_t t = 0; t < tokens; ++t) best[t].merge(mine[t]);
        overflow_ |= overflow;
    });

    for (int64_t t = 0; t < tokens; ++t) {
        const uint64_t first = i.to + static_cast<uint64_t>(t * i.lane_stride);
        wrote(to_memory ? Place::memory : Place::vector, 0, first, drains[t].to, static_cast<size_t>(4 * rows));
        const int64_t number = i.max_register + t;
        const auto held = [&] { return order_of(state_.scalar.data()[number]); };
        if (i.maximum == Maximum::signed_maximum) set_scalar(number, value_of(best[t].largest));
        if (i.maximum == Maximum::magnitude) set_scalar(number, value_of(best[t].magnitude));
        if (i.maximum == Maximum::magnitude_keep)
            set_scalar(number, value_of(std::max(held(), best[t].magnitude)));
        if (i.arg_max) {
            state_.arg_max.data()[t] = static_cast<uint32_t>(best[t].index);
            wrote(Place::arg_max, t, 0, state_.arg_max.data() + t, 4);
        }
    }
}

// C11.
void Step::embed(const Instruction& i) {
    const Layer& layer = layer_;
    const int64_t columns = 32 * layer.tiles, id = tokens_[static_cast<size_t>(i.lane)];
    if (id < 0 || id >= layer.rows()) throw Problem("token id " + std::to_string(id), "0 to " + std::to_string(layer.rows() - 1));
    float* y = vector_at(i.to, columns, "to");
    const uint8_t* slice = layer.row_slice(memory_, id);
    const float row_scale = layer.row_scale(slice);
    std::vector<uint8_t> q(static_cast<size_t>(columns));
    layer.codes(slice, q.data());
    const int64_t group_columns = 32 * layer.group_tiles;
    for (int64_t first = 0; first < columns; first += group_columns) {
        const GroupScale group = layer.group_scale(slice, static_cast<int>(first / group_columns));
        for (int64_t column = first; column < std::min(columns, first + group_columns); ++column) {
            const int integer = group.scale * (16 * q[static_cast<size_t>(column)] - group.zero);
            y[column] = settled(static_cast<float>(integer) * row_scale, overflow_);
        }
    }
    wrote(Place::vector, 0, i.to, y, static_cast<size_t>(4 * columns));
}

void Step::load(const Instruction& i) {
    const bool constant = i.target == Target::constant;
    float* y = constant ? constant_at(i.to, i.count, "to") : vector_at(i.to, i.count, "to");
    const uint64_t address = i.address + static_cast<uint64_t>((position_ + i.lane) * i.stride);
    const uint8_t* from = memory_at(address, static_cast<uint64_t>(4 * i.count), "constants");
    for (int64_t k = 0; k < i.count; ++k) {
        float value;
        std::memcpy(&value, from + 4 * k, 4);
        if ((to_bits(value) & ~kSign) > kLargest)
            throw Problem("constant " + std::to_string(k) + " of those at " + hex(address) + " is not finite", "numbers");
        y[k] = flush(value);
    }
    wrote(constant ? Place::constant : Place::vector, 0, i.to, y, static_cast<size_t>(4 * i.count));
}

}  // namespace elastix
