#include "bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "buffer.h"
#include "clones.h"
#include "pool.h"

namespace elastix {
namespace {

ELASTIX_CLONES uint64_t sum_words(const uint64_t* data, int64_t count) {
    uint64_t sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += data[i];
    return sum;
}

}  // namespace

double read_bandwidth(int64_t bytes, int rounds) {
    constexpr int64_t kWords = 1 << 16;
    const int64_t parts = std::max<int64_t>(1, bytes / (8 * kWords));
    const Buffer<uint64_t> buffer(static_cast<size_t>(parts * kWords));
    double best = 0;
    std::atomic<uint64_t> seen{0};  // a use of what was read, so that the reads stay
    for (int round = 0; round < rounds; ++round) {
        const auto start = std::chrono::steady_clock::now();
        parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
            for (int64_t part = begin; part < end; ++part) seen += sum_words(buffer.data() + part * kWords, kWords);
        });
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        best = std::max(best, static_cast<double>(parts * kWords * 8) / seconds);
    }
    return seen == 0 ? best : 0;
}

}  // namespace elastix
