// C1 and C2 for 16 rows at a time, on codes laid out for vector instructions. All kernels give the same integers.
#pragma once
#include <cstdint>

namespace elastix {

constexpr int kRows = 16;       // rows of a panel
constexpr int kMaxTokens = 15;  // tokens of a launch: four bits

// Sixteen rows of a layer. A chunk is 64 bytes: byte 4·r + j belongs to row r and column 4·quad + j. With codes of at most 8 / packing
// bits, `packing` = 1, 2 or 4 successive quads share a chunk, the first in the lowest bits.
struct Panel {
    const uint8_t* codes;
    const uint8_t* scales;  // [groups][16]
    const uint16_t* zeros;  // Z (C1), [groups][16], or null: `zero` holds everywhere
    int zero, tiles, group_tiles, packing;
};

// One token's activations, in the forms that the kernels want.
struct Activations {
    const int16_t* x;      // as they are
    const int8_t* low;     // x = 128·high + low, low in −64 … 63
    const int8_t* high;
    const int16_t* pairs;  // each quad (x0, x1, x2, x3) as x0, x2, x1, x3
    const int32_t* sums;   // Σ x of each group
};

// acc[t][r] = Σ_g s·d of row r and token t, exact. d fits an int32: |16q − Z| < 2^12, |x| ≤ 2^11, at most 256 columns.
using DotKernel = void (*)(const Panel& panel, const Activations* x, int tokens, int64_t (*acc)[kRows]);

// The widest kernel of this CPU, or the one that ELASTIX_SIMD names: generic, avx2, avx512.
DotKernel choose_dot_kernel();
const char* dot_kernel_name(DotKernel kernel);

void dot_generic(const Panel& panel, const Activations* x, int tokens, int64_t (*acc)[kRows]);
#if defined(__x86_64__)
void dot_avx2(const Panel& panel, const Activations* x, int tokens, int64_t (*acc)[kRows]);
void dot_avx512(const Panel& panel, const Activations* x, int tokens, int64_t (*acc)[kRows]);
#endif

}  // namespace elastix
