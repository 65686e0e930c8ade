// The grid of each group before its columns are rounded: step and zero point of least error; then the row scale; then s
// and z as the format writes them.
#pragma once

#include "group_fit.h"

namespace elastix::precision {
namespace {

constexpr int kRefits = 2;

// The part of a group's range that the codes cover if nothing is clipped, in units of a code's step, and its middle.
struct Range {
    V widest, middle;
};

inline Range range_of(const Format& format, const Columns& columns) {
    V low{}, high{};
    for (int k = 0; k < columns.count; ++k) {
        const V w = columns.weights[k];
        low = w < low ? w : low, high = w > high ? w : high;
    }
    const float top = format.top(), above = top - format.zero > 0.5f ? top - format.zero : 0.5f;
    if (format.zero_step > 0) return {(high - low) / top, 0.5f * (low + high)};
    const V up = high / above, down = -low / format.zero;
    return {up > down ? up : down, V{}};
}

// The zero point that puts the middle of a group's range on the middle of the codes; the common one where z is common.
inline V centred_zero(const Format& format, const Range& range, V step) {
    if (format.zero_step <= 0) return all(format.zero);
    return allowed_zero(format, 0.5f * format.top() - divide(range.middle, step));
}

struct Best {
    V error = all(3e38f), step{}, zero{};

    void attempt(const Columns& columns, V new_step, V new_zero, float top) {
        const V new_error = grid_error(columns, new_step, new_zero, top);
        const auto better = new_error < error;
        error = better ? new_error : error;
        step = better ? new_step : step;
        zero = better ? new_zero : zero;
    }
};

// Step and zero point of a group in floating point: the best of a few clippings of its range, each refitted.
inline void find_step(Panel& panel, int group) {
    const Format& format = panel.format;
    const Columns columns = columns_of(panel, group);
    const Range range = range_of(format, columns);
    Best best;
    for (int c = 0; c < format.clipping_count; ++c) {
        V step = range.widest * format.clippings[c];
        step = step > kLeastStep ? step : V{};
        V zero = centred_zero(format, range, step);
        for (int i = 0; i < kRefits; ++i) refit(format, columns, step, zero);
        best.attempt(columns, step, zero, format.top());
    }
    panel.scales[group] = best.step;
    panel.zeros[group] = best.zero;
}

// The least bf16 that lets every s fit, but for a hair: a rounding error must not cost a whole step of bf16. The stored
// one, a sixteenth of it in units of 2^exponent, has to be normal.
inline void find_row_scale(Panel& panel) {
    V largest{};
    for (int g = 0; g < panel.groups; ++g) largest = panel.scales[g] > largest ? panel.scales[g] : largest;
    for (int lane = 0; lane < kLanes; ++lane) {
        const int k = -122 - panel.exponent[lane];
        const float least = power_of_two(k < -126 ? -126 : k);
        const float wanted = largest[lane] / panel.format.largest_scale * (1 - 0x1p-16f);
        const uint32_t above = (bits_of(wanted > least ? wanted : least) + 0xFFFF) & 0xFFFF0000;
        panel.rowscale[lane] = largest[lane] > 0 ? float_of(above) : 0.0f;
    }
}

// s and z of a group as the format writes them. What is best in floating point is partly luck, which a step that is not
// quite the same has not: so the steps that there are around it are all tried, and then the neighbours of the best.
inline void find_scale(Panel& panel, int group) {
    const Format& format = panel.format;
    const Columns columns = columns_of(panel, group);
    const Range range = range_of(format, columns);
    const V rowscale = panel.rowscale, limit = all(format.largest_scale);
    const float top = format.top();
    const auto snapped = [&](V step) { return nearest(clamp(divide(step, rowscale), V{}, limit)) * rowscale; };
    // The error goes up and down with each whole z: the quarters between are tried as far as the format has them.
    const auto attempt_moves = [&](Best& best, V step, V zero, std::initializer_list<float> moves) {
        for (const float move : moves)
            if (format.zero_step > 0 && __builtin_fabsf(move) >= format.zero_step)
                best.attempt(columns, step, allowed_zero(format, zero + move), top);
    };
    const V found = panel.scales[group];
    Best best;
    best.attempt(columns, snapped(found), panel.zeros[group], top);
    for (int percent = 92; percent <= 108; ++percent) {
        V step = snapped(found * (percent / 100.0f)), zero = centred_zero(format, range, step);
        best.attempt(columns, step, zero, top);
        attempt_moves(best, step, zero, {-0.25f, 0.25f, 0.5f});
        refit(format, columns, step, zero);
        best.attempt(columns, snapped(step), zero, top);
    }
    for (const float move : {-1.0f, 1.0f})
        best.attempt(columns, clamp(nearest(divide(best.step, rowscale)) + move, V{}, limit) * rowscale, best.zero, top);
    for (const float move : {1.0f, 0.5f, 0.25f, 0.125f, 0.0625f}) attempt_moves(best, best.step, best.zero, {-move, move});
    panel.scales[group] = nearest(divide(best.step, rowscale));
    panel.zeros[group] = best.zero;
}

inline void find_grids(Panel& panel) {
    for (int g = 0; g < panel.groups; ++g) find_step(panel, g);
    find_row_scale(panel);
    for (int g = 0; g < panel.groups; ++g) find_scale(panel, g);
}

}  // namespace
}  // namespace elastix::precision
