// e·M·e of each row: products in fp32, in pieces of a block, summed in double.
#pragma once

#include "panel.h"

namespace elastix::precision {
namespace {

inline int exponent_of(float x) { return static_cast<int>(bits_of(x) >> 23 & 0xFF) - 127; }

// A lane of panel.weights becomes w − ŵ, ŵ as rule C11 says: one rounding.
inline void load_error(Panel& panel, const Layer& layer, size_t row, int lane) {
    const Format& format = panel.format;
    const float* weights = layer.weights + row * panel.columns;
    const uint8_t* codes = layer.codes + row * panel.columns;
    const float stored = float_of(static_cast<uint32_t>(layer.rowscale[row]) << 16);
    // s·(16q − Z) is less than 2^20.
    int exponent = exponent_of(stored) + 20;
    for (int k = 0; k < panel.columns; ++k) exponent = exponent_of(weights[k]) > exponent ? exponent_of(weights[k]) : exponent;
    exponent = exponent > 126 ? 126 : exponent < -126 ? -126 : exponent;
    panel.exponent[lane] = exponent;
    const float unit = power_of_two(-exponent), rowscale = stored * unit;
    for (int g = 0; g < panel.groups; ++g) {
        const size_t at = row * panel.groups + g;
        const float scale = layer.scales[at];
        const float z16 = layer.zeros ? layer.zeros[at] * static_cast<float>(1 << format.bits) / 16 : 16 * format.zero;
        for (int k = panel.start(g); k < panel.stop(g); ++k)
            panel.weights[k][lane] = flushed(weights[k]) * unit - scale * (16.0f * codes[k] - z16) * rowscale;
    }
}

// panel.weights = w − ŵ, or w where the layer has no codes, in units of 2^exponent.
inline void load_errors(Panel& panel, const Layer& layer, int first) {
    if (!layer.codes) return load(panel, layer, first);
    for (int lane = 0; lane < kLanes; ++lane) load_error(panel, layer, row_of(layer, first, lane), lane);
}

inline void quadratic_forms(Panel& panel, double sums[kLanes]) {
    const Moments& moments = panel.moments;
    const size_t columns = panel.columns;
    const V* e = panel.weights;
    for (int lane = 0; lane < kLanes; ++lane) sums[lane] = 0;
    for (int j = 0; j < panel.columns; ++j) {
        V own = e[j] * moments.diagonal[j];
        for (int lane = 0; lane < kLanes; ++lane) sums[lane] += static_cast<double>(e[j][lane]) * own[lane];
    }
    // Below the diagonal, four rows of the matrix at a time; each entry stands for two.
    for (int from = 0; from < panel.columns; from += kBlock) {
        const int to = from + kBlock < panel.columns ? from + kBlock : panel.columns;
        for (int j = from + 1; j < panel.columns; ++j) panel.work[j] = V{};
        for (int j = from + 1; j < to; ++j)
            subtract_products(panel.work + j, moments.matrix + j * columns + from, columns, 1, e + from, j - from);
        subtract_products(panel.work + to, moments.matrix + to * columns + from, columns, panel.columns - to, e + from, to - from);
        for (int j = from + 1; j < panel.columns; ++j)
            for (int lane = 0; lane < kLanes; ++lane) sums[lane] -= 2 * static_cast<double>(e[j][lane]) * panel.work[j][lane];
    }
    for (int lane = 0; lane < kLanes; ++lane) {
        const double unit = power_of_two(panel.exponent[lane]);
        sums[lane] *= unit * unit;
    }
}

}  // namespace
}  // namespace elastix::precision
