// The rows that are rounded together, one in each lane, with what is known of them so far.
#pragma once

#include <cstring>
#include <initializer_list>
#include <new>

#include "rounding.h"
#include "vectors.h"

namespace elastix::precision {
namespace {

constexpr int kBlock = 32;  // columns whose errors are carried to the later columns together
constexpr int kWidestGroup = 256;

struct Panel {
    const Moments& moments;
    const Format& format;
    int columns, groups;
    V* weights;  // [columns], in units of 2^exponent
    V* work;     // [columns], free for each step
    V* codes;    // [columns]
    V* excess;   // [columns], ŵ − w
    V* scales;   // [groups], s; a float step before the row scale is known
    V* zeros;    // [groups], z
    V changes[kWidestGroup];
    V rowscale;
    int exponent[kLanes];

    int start(int group) const { return group * format.group; }
    int stop(int group) const { return group + 1 < groups ? start(group + 1) : columns; }
    V step(int group) const { return scales[group] * rowscale; }
};

inline size_t workspace_bytes(int columns, int groups) { return sizeof(Panel) + 64 + sizeof(V) * (4 * columns + 2 * groups); }

inline Panel& make_panel(const Moments& moments, const Format& format, void* workspace) {
    auto* panel = new (workspace) Panel{moments, format, moments.columns, format.groups(moments.columns),
                                        nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, {}, {}, {}};
    V* next = reinterpret_cast<V*>(static_cast<char*>(workspace) + (sizeof(Panel) + 63) / 64 * 64);
    for (V** array : {&panel->weights, &panel->work, &panel->codes, &panel->excess}) *array = next, next += panel->columns;
    panel->scales = next;
    panel->zeros = next + panel->groups;
    return *panel;
}

inline uint32_t bits_of(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return bits;
}

inline float float_of(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

// Subnormals are 0 (C5).
inline float flushed(float x) { return (bits_of(x) & 0x7F800000) ? x : 0.0f; }

// 2^k, −126 ≤ k ≤ 127.
inline float power_of_two(int k) { return float_of(static_cast<uint32_t>(k + 127) << 23); }

// The row of a lane. Lanes beyond the layer take the first row again: their results are not kept.
inline int row_of(const Layer& layer, int first, int lane) { return first + lane < layer.rows ? first + lane : first; }

// The rows into the lanes, each in units of 2^exponent so that its largest weight lies in [1, 4).
inline void load(Panel& panel, const Layer& layer, int first) {
    for (int lane = 0; lane < kLanes; ++lane) {
        const float* row = layer.weights + static_cast<size_t>(row_of(layer, first, lane)) * panel.columns;
        uint32_t largest = 0;
        for (int k = 0; k < panel.columns; ++k) {
            const uint32_t magnitude = bits_of(row[k]) & 0x7FFFFFFF;
            largest = magnitude > largest ? magnitude : largest;
        }
        const int exponent = static_cast<int>(largest >> 23) - 127;
        panel.exponent[lane] = exponent > 126 ? 126 : exponent < -126 ? -126 : exponent;
        const float unit = power_of_two(-panel.exponent[lane]);
        for (int k = 0; k < panel.columns; ++k) panel.weights[k][lane] = flushed(row[k]) * unit;
    }
}

inline void store(const Panel& panel, const Layer& layer, int first) {
    const float c8_per_zero = 256.0f / static_cast<float>(1 << panel.format.bits);
    for (int lane = 0; lane < kLanes && first + lane < layer.rows; ++lane) {
        const size_t row = first + lane;
        uint8_t* codes = layer.codes + row * panel.columns;
        for (int k = 0; k < panel.columns; ++k) codes[k] = static_cast<uint8_t>(panel.codes[k][lane]);
        for (int g = 0; g < panel.groups; ++g) {
            layer.scales[row * panel.groups + g] = static_cast<uint8_t>(panel.scales[g][lane]);
            if (layer.zeros) layer.zeros[row * panel.groups + g] = static_cast<uint8_t>(panel.zeros[g][lane] * c8_per_zero);
        }
        // Exact: the row's largest weight is at least 1, so its scale is far from the subnormals.
        const float stored = panel.rowscale[lane] * 0.0625f * power_of_two(panel.exponent[lane]);
        layer.rowscale[row] = static_cast<uint16_t>(bits_of(stored) >> 16);
    }
}

}  // namespace
}  // namespace elastix::precision
