#include "dot.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace elastix {

void dot_generic(const Panel& panel, const Activations* x, int tokens, int64_t (*acc)[kRows]) {
    const int width = 8 / panel.packing;
    const auto mask = static_cast<uint8_t>((1 << width) - 1);
    for (int t = 0; t < tokens; ++t) {
        std::fill_n(acc[t], kRows, 0);
        const uint8_t* chunk = panel.codes;
        for (int first = 0, group = 0; first < panel.tiles; first += panel.group_tiles, ++group) {
            const int quads = 8 * std::min(panel.group_tiles, panel.tiles - first);
            int32_t dot[kRows] = {};
            for (int quad = 0; quad < quads; ++quad) {
                const int16_t* four = x[t].x + 32 * first + 4 * quad;
                const int shift = width * (quad % panel.packing);
                for (int r = 0; r < kRows; ++r)
                    for (int j = 0; j < 4; ++j) dot[r] += ((chunk[4 * r + j] >> shift) & mask) * four[j];
                if ((quad + 1) % panel.packing == 0) chunk += 64;
            }
            for (int r = 0; r < kRows; ++r) {
                const int zero = panel.zeros ? panel.zeros[group * kRows + r] : panel.zero;
                acc[t][r] += static_cast<int64_t>(panel.scales[group * kRows + r]) * (16 * dot[r] - zero * x[t].sums[group]);
            }
        }
    }
}

DotKernel choose_dot_kernel() {
    const char* wish = std::getenv("ELASTIX_SIMD");
    const auto may = [&](const char* name) { return wish == nullptr || *wish == '\0' || std::strcmp(wish, name) == 0; };
#if defined(__x86_64__)
    if (may("avx512") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni")) return dot_avx512;
    if (may("avx2") && __builtin_cpu_supports("avx2")) return dot_avx2;
#else
    (void)may;
#endif
    return dot_generic;
}

const char* dot_kernel_name(DotKernel kernel) {
#if defined(__x86_64__)
    if (kernel == dot_avx512) return "avx512";
    if (kernel == dot_avx2) return "avx2";
#endif
    return kernel == dot_generic ? "generic" : "unknown";
}

}  // namespace elastix
