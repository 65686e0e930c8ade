// Activation functions and rotary embedding: computed in double (elementary.h), rounded to fp32 once.
#include <cstdint>
#include <vector>

#include "clones.h"
#include "elastix.h"
#include "elementary.h"
#include "fp32.h"

namespace {

enum Kind : int32_t { kSilu = 0, kGelu = 1, kGeluTanh = 2, kRelu = 3 };

inline float silu(float x) { return static_cast<float>(x / (1.0 + elastix::exponential(-static_cast<double>(x)))); }

// x · Φ(x), Φ(x) = erfc(−x/√2) / 2.
inline float gelu(float x) {
    const double z = x * 0x1.6a09e667f3bcdp-1;
    const double tail = 0.5 * elastix::complementary_error(z < 0 ? -z : z);
    return static_cast<float>(x * (z < 0 ? tail : 1.0 - tail));
}

inline float gelu_tanh(float x) {
    const double inner = 0x1.9884533d43651p-1 * (x + 0.044715 * x * x * x);
    return static_cast<float>(0.5 * x * (1.0 + elastix::hyperbolic_tangent(inner)));
}

}  // namespace

ELASTIX_CLONES void elastix_activation(const float* x, float* y, int64_t count, int32_t kind) {
    switch (kind) {
        case kSilu:
            for (int64_t i = 0; i < count; ++i) y[i] = silu(x[i]);
            break;
        case kGelu:
            for (int64_t i = 0; i < count; ++i) y[i] = gelu(x[i]);
            break;
        case kGeluTanh:
            for (int64_t i = 0; i < count; ++i) y[i] = gelu_tanh(x[i]);
            break;
        default:
            for (int64_t i = 0; i < count; ++i) y[i] = x[i] > 0 ? x[i] : 0.0f;
    }
}

// The activation is rounded to fp32, its product with `up` once more.
ELASTIX_CLONES void elastix_gated_activation(const float* gate, const float* up, float* y, int64_t count, int32_t kind) {
    switch (kind) {
        case kSilu:
            for (int64_t i = 0; i < count; ++i) y[i] = silu(gate[i]) * up[i];
            break;
        case kGelu:
            for (int64_t i = 0; i < count; ++i) y[i] = gelu(gate[i]) * up[i];
            break;
        case kGeluTanh:
            for (int64_t i = 0; i < count; ++i) y[i] = gelu_tanh(gate[i]) * up[i];
            break;
        default:
            for (int64_t i = 0; i < count; ++i) y[i] = (gate[i] > 0 ? gate[i] : 0.0f) * up[i];
    }
}

// The angle is position · inv_freq rounded to fp32, as in PyTorch; then y1 = x1·cos − x2·sin, y2 = x2·cos + x1·sin, an fp32 rounding each.
void elastix_rope(const float* x, const int64_t* positions, const float* inv_freq, float* y, int64_t batch, int64_t heads, int64_t tokens,
                  int64_t head_dim, int32_t scaling) {
    const int64_t half = head_dim / 2;
    const float scale = elastix::from_bits(static_cast<uint32_t>(scaling));
    std::vector<float> cosines(static_cast<size_t>(tokens * half)), sines(cosines.size());
    for (int64_t t = 0; t < tokens; ++t)
        for (int64_t i = 0; i < half; ++i) {
            double sine, cosine;
            elastix::sine_and_cosine(static_cast<float>(positions[t]) * inv_freq[i], sine, cosine);
            cosines[static_cast<size_t>(t * half + i)] = static_cast<float>(cosine) * scale;
            sines[static_cast<size_t>(t * half + i)] = static_cast<float>(sine) * scale;
        }
    for (int64_t head = 0; head < batch * heads; ++head)
        for (int64_t t = 0; t < tokens; ++t, x += head_dim, y += head_dim)
            for (int64_t i = 0; i < half; ++i) {
                const float c = cosines[static_cast<size_t>(t * half + i)], s = sines[static_cast<size_t>(t * half + i)];
                const float low = x[i], high = x[i + half];
                y[i] = low * c - high * s;
                y[i + half] = high * c + low * s;
            }
}
