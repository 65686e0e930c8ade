// One group on one grid: its codes, their error weighted by the columns' costs, and the grid that fits these codes best.
#pragma once

#include "panel.h"

namespace elastix::precision {
namespace {

// Steps that are nothing beside the row's largest weight, which lies in [1, 4), get s = 0.
constexpr float kLeastStep = 0x1p-60f;

struct Columns {
    const V* weights;
    const float* costs;
    int count;
};

inline Columns columns_of(const Panel& panel, int group) {
    const int start = panel.start(group);
    return {panel.weights + start, panel.moments.costs + start, panel.stop(group) - start};
}

inline V code(V weight, V inverse, V zero, float top) { return nearest(clamp(weight * inverse + zero, V{}, all(top))); }

// The nearest zero point that the format has.
inline V allowed_zero(const Format& format, V zero) {
    const float step = format.zero_step, largest = static_cast<float>(1 << format.bits) - step;
    return nearest(clamp(zero, V{}, all(largest)) * (1 / step)) * step;
}

// Σ h·(w − ŵ)² of a group.
inline V grid_error(const Columns& columns, V step, V zero, float top) {
    const V inverse = divide(all(1), step);
    V error{};
    for (int k = 0; k < columns.count; ++k) {
        const V w = columns.weights[k];
        const V e = w - step * (code(w, inverse, zero, top) - zero);
        error += columns.costs[k] * (e * e);
    }
    return error;
}

// Weighted sums over a group of its codes q and weights w.
struct Sums {
    float h;
    V q, w, qq, qw;
};

inline Sums sums_of(const Columns& columns, V step, V zero, float top) {
    const V inverse = divide(all(1), step);
    Sums sums{};
    for (int k = 0; k < columns.count; ++k) {
        const V w = columns.weights[k], q = code(w, inverse, zero, top);
        const float h = columns.costs[k];
        const V hq = h * q;
        sums.h += h, sums.q += hq, sums.w += h * w, sums.qq += hq * q, sums.qw += hq * w;
    }
    return sums;
}

// Weighted least squares of w ≈ step·(q − zero) over zero where it is free, then over step, with the codes that the step
// and zero given lead to.
inline void refit(const Format& format, const Columns& columns, V& step, V& zero) {
    const Sums sums = sums_of(columns, step, zero, format.top());
    if (format.zero_step > 0) {
        // A group whose codes are all alike has no slope to fit.
        const V spread = sums.h * sums.qq - sums.q * sums.q;
        const V slope = divide(sums.h * sums.qw - sums.q * sums.w, spread > sums.h * sums.qq * 1e-5f ? spread : V{});
        zero = allowed_zero(format, (sums.q - divide(sums.w, slope > kLeastStep ? slope : step)) / sums.h);
    }
    const V slope = divide(sums.qw - zero * sums.w, sums.qq - zero * (2 * sums.q - zero * sums.h));
    step = slope > kLeastStep ? slope : step;
}

}  // namespace
}  // namespace elastix::precision
