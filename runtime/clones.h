// ELASTIX_CLONES before a function: it is compiled for several vector widths and the widest that the CPU has is taken at load time.
// The bits are the same in all: no contraction, no reordering of sums.
#pragma once

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define ELASTIX_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ELASTIX_CLONES
#endif
