#include "token_batch.h"

#include <algorithm>
#include <cstring>

namespace elastix {

TokenBatch::TokenBatch(const int16_t* const* given, const Layer& layer) {
    const size_t columns = 32 * static_cast<size_t>(layer.tiles), groups = static_cast<size_t>(layer.groups());
    const size_t tokens = static_cast<size_t>(layer.tokens);
    x_.resize(tokens * columns);
    pairs_.resize(tokens * columns);
    low_.resize(tokens * columns);
    high_.resize(tokens * columns);
    sums_.resize(tokens * groups);
    for (size_t t = 0; t < tokens; ++t) {
        int16_t* x = x_.data() + t * columns;
        std::memcpy(x, given[t], 2 * columns);
        const size_t at = t * columns, group_columns = 32 * static_cast<size_t>(layer.group_tiles);
        for (size_t group = 0; group < groups; ++group) {
            int32_t sum = 0;
            for (size_t k = group * group_columns; k < std::min(columns, (group + 1) * group_columns); ++k) sum += x[k];
            sums_[t * groups + group] = sum;
        }
        for (size_t k = 0; k < columns; ++k) {
            const int value = x[k], low = ((value + 64) & 127) - 64;
            largest = std::max(largest, value < 0 ? -value : value);
            low_[at + k] = static_cast<int8_t>(low);
            high_[at + k] = static_cast<int8_t>((value - low) >> 7);
        }
        for (size_t k = 0; k < columns; k += 4) {
            const int16_t quad[4] = {x[k], x[k + 2], x[k + 1], x[k + 3]};
            std::memcpy(&pairs_[at + k], quad, sizeof quad);
        }
        views[t] = {x, low_.data() + at, high_.data() + at, pairs_.data() + at, sums_.data() + t * groups};
    }
}

}  // namespace elastix
