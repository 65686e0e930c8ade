// The grid of each group before its columns are rounded: step and zero point of least error, weighted by the moments'
// diagonal; then the row scale; then s and z as the format writes them.
#pragma once

#include "panel.h"

namespace elastix::precision {
namespace {

constexpr int kRefits = 2;
// Steps that are nothing beside the row's largest weight, which lies in [1, 4), get s = 0.
constexpr float kLeastStep = 0x1p-60f;

struct Columns {
    const V* weights;
    const float* diagonal;  // first weight of the error; the next is `stride` floats on
    size_t stride;
    int count;

    float weight(int k) const { return diagonal[k * stride]; }
};

inline Columns columns_of(const Panel& panel, int group) {
    const int start = panel.start(group);
    const size_t stride = panel.columns + 1;
    return {panel.weights + start, panel.moments.matrix + start * stride, stride, panel.stop(group) - start};
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
        error += columns.weight(k) * (e * e);
    }
    return error;
}

// Weighted least squares of w ≈ step·(q − zero) over step, and over zero where it is free, the codes being those of the
// step and zero given.
inline void refit(const Format& format, const Columns& columns, V& step, V& zero) {
    const V inverse = divide(all(1), step);
    const float top = format.top();
    V q1{}, w1{}, qq{}, qw{};
    float h1 = 0;
    const bool free = format.zero_step > 0;
    const V origin = free ? V{} : zero;
    for (int k = 0; k < columns.count; ++k) {
        const V w = columns.weights[k], q = code(w, inverse, zero, top) - origin;
        const float h = columns.weight(k);
        const V hq = h * q;
        qq += hq * q, qw += hq * w;
        if (free) h1 += h, q1 += hq, w1 += h * w;
    }
    if (!free) {
        const V fitted = divide(qw, qq);
        step = fitted > kLeastStep ? fitted : step;
        return;
    }
    // A group whose codes are all alike has no slope to fit.
    const V spread = h1 * qq - q1 * q1;
    const V fitted = divide(h1 * qw - q1 * w1, spread > h1 * qq * 1e-5f ? spread : V{});
    step = fitted > kLeastStep ? fitted : step;
    zero = allowed_zero(format, (q1 - w1 / step) / h1);
}

// Step and zero point of a group in floating point: the best of a few clippings of its range, each refitted.
inline void find_step(Panel& panel, int group) {
    const Format& format = panel.format;
    const Columns columns = columns_of(panel, group);
    const float top = format.top();
    V low{}, high{};
    for (int k = 0; k < columns.count; ++k) {
        const V w = columns.weights[k];
        low = w < low ? w : low, high = w > high ? w : high;
    }
    const bool free = format.zero_step > 0;
    V widest = (high - low) / top;
    if (!free) {
        const float above = top - format.zero;
        const V up = high / (above > 0.5f ? above : 0.5f), down = -low / format.zero;
        widest = up > down ? up : down;
    }
    V best = all(3e38f), best_step{}, best_zero = all(format.zero);
    for (int c = 0; c < format.clipping_count; ++c) {
        V step = widest * format.clippings[c];
        const auto something = step > kLeastStep;
        step = something ? step : all(1);
        V zero = all(format.zero);
        if (free) zero = allowed_zero(format, 0.5f * top - 0.5f * (low + high) / step);
        for (int i = 0; i < kRefits; ++i) refit(format, columns, step, zero);
        const V error = grid_error(columns, step, zero, top);
        const auto better = something && error < best;
        best = better ? error : best, best_step = better ? step : best_step, best_zero = better ? zero : best_zero;
    }
    panel.scales[group] = best_step;
    panel.zeros[group] = best_zero;
}

// The least bf16 that lets every s fit. The stored one, a sixteenth of it in units of 2^exponent, has to be normal.
inline void find_row_scale(Panel& panel) {
    V largest{};
    for (int g = 0; g < panel.groups; ++g) largest = panel.scales[g] > largest ? panel.scales[g] : largest;
    for (int lane = 0; lane < kLanes; ++lane) {
        const int k = -122 - panel.exponent[lane];
        const float least = power_of_two(k < -126 ? -126 : k), wanted = largest[lane] / panel.format.largest_scale;
        const uint32_t above = (bits_of(wanted > least ? wanted : least) + 0xFFFF) & 0xFFFF0000;
        panel.rowscale[lane] = largest[lane] > 0 ? float_of(above) : 0.0f;
    }
}

// s and z of a group as the format writes them: of the s beside step / rowscale and the z around, those of least error.
inline void find_scale(Panel& panel, int group) {
    const Format& format = panel.format;
    const Columns columns = columns_of(panel, group);
    const float top = format.top();
    const V middle = nearest(clamp(divide(panel.scales[group], panel.rowscale), V{}, all(format.largest_scale)));
    V best = all(3e38f), best_scale = middle, best_zero = panel.zeros[group];
    const auto attempt = [&](V scale, V zero) {
        const V error = grid_error(columns, scale * panel.rowscale, zero, top);
        const auto better = error < best;
        best = better ? error : best, best_scale = better ? scale : best_scale, best_zero = better ? zero : best_zero;
    };
    for (const float move : {0.0f, -1.0f, 1.0f}) attempt(clamp(middle + move, V{}, all(format.largest_scale)), best_zero);
    if (format.zero_step > 0)
        for (float move = 0.5f; move >= format.zero_step || move == 0.5f; move /= 2)
            for (const float sign : {-1.0f, 1.0f}) attempt(best_scale, allowed_zero(format, best_zero + sign * move));
    panel.scales[group] = best_scale;
    panel.zeros[group] = best_zero;
}

inline void find_grids(Panel& panel) {
    for (int g = 0; g < panel.groups; ++g) find_step(panel, g);
    find_row_scale(panel);
    for (int g = 0; g < panel.groups; ++g) find_scale(panel, g);
}

}  // namespace
}  // namespace elastix::precision
