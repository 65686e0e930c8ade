// Column after column, the most important first: each is rounded, and the columns that are still to come make up for its
// error as far as their inputs go together. Frantar et al., GPTQ, 2022, algorithm 1, with groups fixed beforehand.
#pragma once

#include "group_fit.h"

namespace elastix::precision {
namespace {

// Rounds the columns in order [from, to) of `work`, carrying each error on within the block. errors: [to − from].
inline void round_block(Panel& panel, int from, int to, V* errors) {
    const Moments& moments = panel.moments;
    V* work = panel.work;
    for (int k = from; k < to; ++k) {
        const int column = moments.order[k], group = column / panel.format.group;
        const V step = panel.step(group), zero = panel.zeros[group];
        const V q = code(work[k], divide(all(1), step), zero, panel.format.top());
        const V error = work[k] - step * (q - zero);
        panel.codes[column] = step > 0 ? q : V{};
        errors[k - from] = error;
        for (int j = k + 1; j < to; ++j) work[j] -= error * moments.factor[static_cast<size_t>(j) * panel.columns + k];
    }
}

inline void round_columns(Panel& panel) {
    const int columns = panel.columns;
    for (int k = 0; k < columns; ++k) panel.work[k] = panel.weights[panel.moments.order[k]];
    for (int from = 0; from < columns; from += kBlock) {
        const int to = from + kBlock < columns ? from + kBlock : columns;
        round_block(panel, from, to, panel.changes);
        subtract_products(panel.work + to, panel.moments.factor + static_cast<size_t>(to) * columns + from, columns, columns - to,
                          panel.changes, to - from);
    }
}

}  // namespace
}  // namespace elastix::precision
