// Vectors as wide as the instruction set that this file is compiled for. Every lane is another row of the layer, and no
// operation crosses lanes, so the width changes no bit of a row.
#pragma once

namespace elastix::precision {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float V __attribute__((vector_size(4 * kLanes)));

inline V all(float x) { return V{} + x; }

// Into [low, high]; NaN becomes low.
inline V clamp(V x, V low, V high) {
    x = x > low ? x : low;
    return x < high ? x : high;
}

// To the nearest integer, ties to even, for |x| < 2^22: adding 1.5·2^23 leaves no bits after the point.
inline V nearest(V x) {
    const V shift = all(12582912.0f);
    return (x + shift) - shift;
}

// a / b, and 0 where b is not positive.
inline V divide(V a, V b) { return b > 0 ? a / (b > 0 ? b : all(1)) : V{}; }

// out[j] −= Σ_i matrix[j][i]·x[i], i rising, for `rows` rows of `stride` floats: four at a time share the loads of x.
inline void subtract_products(V* out, const float* matrix, size_t stride, int rows, const V* x, int count) {
    int j = 0;
    for (; j + 4 <= rows; j += 4) {
        const float *m0 = matrix + j * stride, *m1 = m0 + stride, *m2 = m1 + stride, *m3 = m2 + stride;
        V a0 = out[j], a1 = out[j + 1], a2 = out[j + 2], a3 = out[j + 3];
        for (int i = 0; i < count; ++i) {
            const V xi = x[i];
            a0 -= xi * m0[i];
            a1 -= xi * m1[i];
            a2 -= xi * m2[i];
            a3 -= xi * m3[i];
        }
        out[j] = a0, out[j + 1] = a1, out[j + 2] = a2, out[j + 3] = a3;
    }
    for (; j < rows; ++j) {
        V a = out[j];
        for (int i = 0; i < count; ++i) a -= x[i] * matrix[j * stride + i];
        out[j] = a;
    }
}

}  // namespace
}  // namespace elastix::precision
