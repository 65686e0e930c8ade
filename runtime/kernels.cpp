// Host kernels (README.md): fp32, sums in double in index order, one answer on every machine.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "elastix.h"
#include "fp32.h"

namespace {

float attribute(int32_t bits) { return elastix::from_bits(static_cast<uint32_t>(bits)); }

}  // namespace

// C10, with C5 and C6. There is no device here to keep the overflow flag.
void elastix_add_bias(float* y, const float* bias, int64_t rows, int64_t n) {
    bool overflow = false;
    for (int64_t row = 0; row < rows; ++row, y += n)
        for (int64_t i = 0; i < n; ++i) y[i] = elastix::settle(elastix::flush(y[i]) + elastix::flush(bias[i]), overflow);
}

// y = weight · (x · r), r = 1 / √(mean of x² + eps) rounded to fp32.
void elastix_rms_norm(const float* x, const float* weight, float* y, int64_t rows, int64_t k, int32_t eps) {
    for (int64_t row = 0; row < rows; ++row, x += k, y += k) {
        double squares = 0;
        for (int64_t i = 0; i < k; ++i) squares += static_cast<double>(x[i]) * x[i];
        const float r = static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(k) + attribute(eps)));
        for (int64_t i = 0; i < k; ++i) y[i] = weight[i] * (x[i] * r);
    }
}

// y = n · weight + bias, n = (x − mean) / √(variance + eps) in double, rounded to fp32.
void elastix_layer_norm(const float* x, const float* weight, const float* bias, float* y, int64_t rows, int64_t k, int32_t eps) {
    for (int64_t row = 0; row < rows; ++row, x += k, y += k) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < k; ++i) sum += x[i];
        const double mean = sum / static_cast<double>(k);
        for (int64_t i = 0; i < k; ++i) squares += (x[i] - mean) * (x[i] - mean);
        const double r = 1.0 / std::sqrt(squares / static_cast<double>(k) + attribute(eps));
        for (int64_t i = 0; i < k; ++i) y[i] = static_cast<float>((x[i] - mean) * r) * weight[i] + bias[i];
    }
}

void elastix_residual(const float* a, const float* b, float* y, int64_t count) {
    for (int64_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}

void elastix_copy(const void* from, void* to, int64_t bytes) { std::memmove(to, from, static_cast<size_t>(bytes)); }

// Positions outside 0 … length − 1 are not written: the cache has no place for them.
void elastix_cache_update(float* cache, const float* values, const int64_t* positions, int64_t batch, int64_t heads, int64_t length,
                          int64_t tokens, int64_t head_dim) {
    for (int64_t head = 0; head < batch * heads; ++head)
        for (int64_t t = 0; t < tokens; ++t)
            if (positions[t] >= 0 && positions[t] < length)
                std::memcpy(cache + (head * length + positions[t]) * head_dim, values + (head * tokens + t) * head_dim,
                            sizeof(float) * static_cast<size_t>(head_dim));
}

// y may not be x. Walks y in order; the innermost axis of y is a strided walk through x.
void elastix_transpose(const void* x, void* y, int64_t rank, const int64_t* shape, const int64_t* permutation, int64_t element_bytes) {
    const auto axes = static_cast<size_t>(rank), element = static_cast<size_t>(element_bytes);
    std::vector<int64_t> stride(axes, element_bytes), extent(axes), step(axes), index(axes, 0);
    for (size_t axis = axes; axis-- > 1;) stride[axis - 1] = stride[axis] * shape[axis];
    int64_t count = 1;
    for (size_t axis = 0; axis < axes; ++axis) {
        extent[axis] = shape[permutation[axis]];
        step[axis] = stride[static_cast<size_t>(permutation[axis])];
        count *= extent[axis];
    }
    const auto* from = static_cast<const uint8_t*>(x);
    auto* to = static_cast<uint8_t*>(y);
    for (; count > 0; --count, to += element) {
        std::memcpy(to, from, element);
        for (size_t axis = axes; axis-- > 0;) {
            from += step[axis];
            if (++index[axis] < extent[axis]) break;
            from -= step[axis] * extent[axis];
            index[axis] = 0;
        }
    }
}
