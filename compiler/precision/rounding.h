// A linear layer to be rounded, as rounding.cpp hands it to the panels: whole rows, one in each lane of a vector.
#pragma once

#include <cstddef>
#include <cstdint>

namespace elastix::precision {

// Second moments of the inputs, divided by their mean diagonal: symmetric [columns, columns] matrices.
struct Moments {
    int columns;
    const float* matrix;    // damped: with a constant added to its diagonal
    const float* diagonal;  // [columns], undamped
    const float* costs;     // [columns], what a column's error squared counts for when grids are chosen
    const float* factor;    // unit lower triangular L, in the columns' order: L[j][k] is what j gives for k's error
    const int32_t* order;   // the columns, the one that is rounded first in front
};

struct Format {
    int bits, group;
    float largest_scale;  // of a group: 255 or 63
    float zero;           // z where it is common to all groups, else the middle of the codes
    float zero_step;      // z is a multiple of it up to 2^bits - zero_step; 0 where z is common
    const float* clippings;
    int clipping_count;
    int sweeps;

    float top() const { return static_cast<float>((1 << bits) - 1); }
    int groups(int columns) const { return (columns + group - 1) / group; }
};

struct Layer {
    int rows;
    const float* weights;  // [rows, columns]
    uint8_t* codes;        // [rows, columns]
    uint8_t* scales;       // [rows, groups]
    uint8_t* zeros;        // [rows, groups], c8; null where z is common
    uint16_t* rowscale;    // [rows], bf16, a sixteenth of the row's
};

// What one instruction set offers; all give the same bits, since each lane is a row of its own.
struct Kernels {
    int lanes;
    size_t (*workspace)(int columns, int groups);  // bytes, for either function
    // Rows first … first + lanes − 1 of the layer, as far as it has them. The workspace is aligned to 64 bytes.
    void (*round)(const Layer&, const Moments&, const Format&, int first, void* workspace);
    // e·M·e of those rows, e = w − ŵ, or e = w where the layer has no codes; M undamped. forms: [rows of the layer].
    void (*measure)(const Layer&, const Moments&, const Format&, int first, void* workspace, double* forms);
};

extern const Kernels generic_kernels;
#if defined(__x86_64__)
extern const Kernels avx2_kernels, avx512_kernels;
#endif

}  // namespace elastix::precision
