// Coordinate descent on e·H·e after the columns are rounded: s and z of a group fitted anew to its codes, then each of its
// codes to all the others, group after group. The codes' step is that of QuantEase (Behdin et al. 2023) and CDQuant (Nair
// and Suggala 2024).
#pragma once

#include "group_fit.h"

namespace elastix::precision {
namespace {

// work = H·(w − ŵ), how far each column wants to go; kept so while the codes change.
inline void start_descent(Panel& panel) {
    for (int g = 0; g < panel.groups; ++g)
        for (int k = panel.start(g); k < panel.stop(g); ++k)
            panel.excess[k] = panel.step(g) * (panel.codes[k] - panel.zeros[g]) - panel.weights[k];
    for (int k = 0; k < panel.columns; ++k) panel.work[k] = V{};
    subtract_products(panel.work, panel.moments.matrix, panel.columns, panel.columns, panel.excess, panel.columns);
}

// s and z of least error for the codes there are; ŵ's changes go to panel.changes. What does not help is not taken.
inline void refit_group(Panel& panel, int group) {
    const Format& format = panel.format;
    const int start = panel.start(group), count = panel.stop(group) - start;
    const size_t columns = panel.columns;
    const float* matrix = panel.moments.matrix + start * (columns + 1);
    const V *codes = panel.codes + start, *pull = panel.work + start;
    const V scale = panel.scales[group], zero = panel.zeros[group];

    // ŵ may go along v = q − z and along 1: the quadratic form on these two, and the pull along them.
    V vv{}, v1{}, pull_v{}, pull_1{};
    float ones = 0;
    for (int i = 0; i < count; ++i) {
        const float* row = matrix + i * columns;
        V across{};
        for (int j = 0; j < count; ++j) across += (codes[j] - zero) * row[j], ones += row[j];
        const V v = codes[i] - zero;
        vv += v * across, v1 += across, pull_v += v * pull[i], pull_1 += pull[i];
    }
    V along = divide(pull_v, vv);
    const bool free = format.zero_step > 0;
    if (free) {
        const V determinant = vv * ones - v1 * v1;
        along = divide(pull_v * ones - pull_1 * v1, determinant > vv * ones * 1e-5f ? determinant : V{});
    }
    const V wanted = clamp(scale + divide(along, panel.rowscale), all(1), all(format.largest_scale));
    const V new_scale = scale > 0 ? nearest(wanted) : scale;
    const V change_v = (new_scale - scale) * panel.rowscale, new_step = new_scale * panel.rowscale;
    V new_zero = zero;
    if (free && ones > 0) new_zero = allowed_zero(format, zero - divide((pull_1 - change_v * v1) / ones, new_step));
    const V change_1 = new_step * (zero - new_zero);

    const V quadratic = change_v * (change_v * vv + 2 * change_1 * v1) + change_1 * change_1 * ones;
    const auto helps = quadratic < 2 * (change_v * pull_v + change_1 * pull_1);
    panel.scales[group] = helps ? new_scale : scale;
    panel.zeros[group] = helps ? new_zero : zero;
    for (int i = 0; i < count; ++i) panel.changes[i] = helps ? change_v * (codes[i] - zero) + change_1 : V{};
}

// Each code of a group in turn to where the others want it; adds to panel.changes and keeps the group's pull up to date.
inline void refit_codes(Panel& panel, int group) {
    const int start = panel.start(group), stop = panel.stop(group);
    const V step = panel.step(group), inverse = divide(all(1), step);
    for (int k = start; k < stop; ++k) {
        const float* row = panel.moments.matrix + static_cast<size_t>(k) * panel.columns;
        const V old = panel.codes[k];
        const V wanted = nearest(clamp(old + panel.work[k] * (1 / row[k]) * inverse, V{}, all(panel.format.top())));
        const V change = step * (wanted - old);
        panel.codes[k] = wanted;
        panel.changes[k - start] += change;
        for (int j = start; j < stop; ++j) panel.work[j] -= change * row[j];
    }
}

inline void descend(Panel& panel) {
    const int columns = panel.columns;
    const float* matrix = panel.moments.matrix;
    for (int g = 0; g < panel.groups; ++g) {
        const int start = panel.start(g), stop = panel.stop(g), count = stop - start;
        const auto carry = [&](int from, int to) {
            subtract_products(panel.work + from, matrix + static_cast<size_t>(from) * columns + start, columns, to - from,
                              panel.changes, count);
        };
        refit_group(panel, g);
        carry(start, stop);
        refit_codes(panel, g);
        carry(0, start);
        carry(stop, columns);
    }
}

}  // namespace
}  // namespace elastix::precision
