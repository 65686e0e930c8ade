// Elementary functions in double, from + − × ÷ and fixed coefficients alone, so that every machine gives the same bits. Their errors
// are far below half a unit of fp32 (6e-8); test/unit/test_runtime_kernels.py holds them to it.
#pragma once
#include <bit>
#include <cstdint>

namespace elastix {

constexpr double kRound = 0x1.8p52;  // adding and taking it away rounds to an integer, ties to even

// Relative error below 1e-15; below −708 it gives e^−708 (3e-308), above 709 e^709.
// Cody and Waite: x = n·ln 2 + r, n·(the first part of ln 2) exact; Taylor to r^12 over |r| ≤ ln 2 / 2.
inline double exponential(double x) {
    x = x < -708.0 ? -708.0 : x;
    x = x > 709.0 ? 709.0 : x;
    const double shifted = x * 0x1.71547652b82fep+0 + kRound;
    const double n = shifted - kRound;
    const double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
    double p = 0x1.1eed8eff8d898p-29;
    p = p * r + 0x1.ae64567f544e4p-26;
    p = p * r + 0x1.27e4fb7789f5cp-22;
    p = p * r + 0x1.71de3a556c734p-19;
    p = p * r + 0x1.a01a01a01a01ap-16;
    p = p * r + 0x1.a01a01a01a01ap-13;
    p = p * r + 0x1.6c16c16c16c17p-10;
    p = p * r + 0x1.1111111111111p-7;
    p = p * r + 0x1.5555555555555p-5;
    p = p * r + 0x1.5555555555555p-3;
    p = p * r + 0x1p-1;
    p = p * r + 1.0;
    p = p * r + 1.0;
    const uint64_t exponent = (std::bit_cast<uint64_t>(shifted) + 1023) << 52;  // n lies in the low bits of shifted
    return p * std::bit_cast<double>(exponent);
}

// Relative error below 1e-9: the series where 1 − 2/(…) would cancel.
inline double hyperbolic_tangent(double x) {
    const double direct = 1.0 - 2.0 / (exponential(2.0 * x) + 1.0);
    const double near = x - x * x * x * (1.0 / 3.0);
    return x > -1e-3 && x < 1e-3 ? near : direct;
}

// erfc(z) for z ≥ 0, relative error below 1e-10 up to z = 12: e^(−z²)·t·P(2t − 1) with t = 2/(2 + z), P fitted at Chebyshev points.
inline double complementary_error(double z) {
    const double t = 2.0 / (2.0 + z), s = 2.0 * t - 1.0;
    double p = -0x1.493ee5ee731f4p-21;
    p = p * s + 0x1.0997049971fe5p-21;
    p = p * s + 0x1.72efc17543d99p-20;
    p = p * s + -0x1.7655dcd6984abp-21;
    p = p * s + 0x1.59c0a58782c21p-19;
    p = p * s + -0x1.4732e98ed27fap-17;
    p = p * s + -0x1.9b9232d824446p-17;
    p = p * s + 0x1.2a0b05309022ap-14;
    p = p * s + -0x1.4815942164a53p-16;
    p = p * s + -0x1.5b077668d1b03p-12;
    p = p * s + 0x1.b7ac3ddd2f1bcp-12;
    p = p * s + 0x1.950ddbbad998fp-10;
    p = p * s + -0x1.a8a1e62c1eba0p-9;
    p = p * s + -0x1.606e1ba40517ap-7;
    p = p * s + 0x1.2a88ecbb58cf3p-6;
    p = p * s + 0x1.1e2dee8bf9079p-3;
    p = p * s + 0x1.5fd386734f898p-2;
    p = p * s + 0x1.058671b538a13p-1;
    return exponential(-z * z) * t * p;
}

// Absolute error below 1e-15 for |x| ≤ 2^19: x = n·π/2 + r, n·(the first two parts of π/2) exact; Taylor over |r| ≤ π/4.
inline void sine_and_cosine(double x, double& sine, double& cosine) {
    const double shifted = x * 0x1.45f306dc9c883p-1 + kRound;
    const double n = shifted - kRound;
    const double r = ((x - n * 0x1.921fb544p+0) - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2e037073p-69;
    const double q = r * r;
    double s = -0x1.ae7f3e733b81fp-41;
    s = s * q + 0x1.6124613a86d09p-33;
    s = s * q + -0x1.ae64567f544e4p-26;
    s = s * q + 0x1.71de3a556c734p-19;
    s = s * q + -0x1.a01a01a01a01ap-13;
    s = s * q + 0x1.1111111111111p-7;
    s = s * q + -0x1.5555555555555p-3;
    s = s * q * r + r;
    double c = 0x1.ae7f3e733b81fp-45;
    c = c * q + -0x1.93974a8c07c9dp-37;
    c = c * q + 0x1.1eed8eff8d898p-29;
    c = c * q + -0x1.27e4fb7789f5cp-22;
    c = c * q + 0x1.a01a01a01a01ap-16;
    c = c * q + -0x1.6c16c16c16c17p-10;
    c = c * q + 0x1.5555555555555p-5;
    c = c * q + -0x1p-1;
    c = c * q + 1.0;
    const uint64_t quadrant = std::bit_cast<uint64_t>(shifted) & 3;
    const double first = (quadrant & 1) ? c : s, second = (quadrant & 1) ? s : c;
    sine = (quadrant & 2) ? -first : first;
    cosine = ((quadrant + 1) & 2) ? -second : second;
}

}  // namespace elastix
