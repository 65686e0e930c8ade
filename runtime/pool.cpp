#include "pool.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace elastix {
namespace {

using Work = std::function<void(int64_t, int64_t)>;

void pause_briefly() {
#if defined(__x86_64__)
    _mm_pause();
#else
    std::this_thread::yield();
#endif
}

int wanted_threads() {
    if (const char* text = std::getenv("ELASTIX_THREADS")) {
        const int count = std::atoi(text);
        if (count >= 1) return std::min(count, 256);
    }
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

class Pool {
  public:
    explicit Pool(int threads) : owner_(getpid()) {
        for (int i = 1; i < threads; ++i) std::thread([this] { serve(); }).detach();
    }

    bool of_this_process() const { return owner_ == getpid(); }
    bool try_take() { return !taken_.test_and_set(std::memory_order_acquire); }
    void give_back() { taken_.clear(std::memory_order_release); }

    // Only by the one that holds the pool. A helper that is not running now is not waited for: it finds the round closed.
    void run(int64_t count, int64_t grain, const Work& work) {
        work_ = &work;
        count_ = count;
        grain_ = grain;
        next_.store(0, std::memory_order_relaxed);
        inside_.store(kOpen, std::memory_order_release);
        {
            const std::lock_guard lock(mutex_);
            round_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
        take_parts();
        inside_.fetch_and(~kOpen, std::memory_order_acq_rel);
        for (int spins = 0; inside_.load(std::memory_order_acquire) != 0; ++spins)
            if (spins < 1000)
                pause_briefly();
            else
                std::this_thread::yield();
    }

  private:
    static constexpr uint32_t kOpen = 1u << 31;

    bool enter() {
        uint32_t inside = inside_.load(std::memory_order_relaxed);
        while (inside & kOpen)
            if (inside_.compare_exchange_weak(inside, inside + 1, std::memory_order_acq_rel)) return true;
        return false;
    }

    void take_parts() {
        for (;;) {
            const int64_t begin = next_.fetch_add(grain_, std::memory_order_relaxed);
            if (begin >= count_) return;
            (*work_)(begin, std::min(begin + grain_, count_));
        }
    }

    void serve() {
        for (uint64_t seen = 0;;) {
            // Launches follow each other within microseconds: look for the next one a little while before sleeping.
            const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
            while (round_.load(std::memory_order_acquire) == seen && std::chrono::steady_clock::now() < until) pause_briefly();
            if (round_.load(std::memory_order_acquire) == seen) {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != seen; });
            }
            seen = round_.load(std::memory_order_acquire);
            if (!enter()) continue;
            take_parts();
            inside_.fetch_sub(1, std::memory_order_acq_rel);
        }
    }

    const pid_t owner_;
    std::atomic_flag taken_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::atomic<uint64_t> round_{0};
    std::atomic<int64_t> next_{0};
    std::atomic<uint32_t> inside_{0};  // helpers in the round, and whether it is open
    const Work* work_ = nullptr;
    int64_t count_ = 0, grain_ = 1;
};

// The pool is never destroyed: its threads may still look at it when the process ends. A forked child has none of the threads, so it
// makes a pool of its own.
Pool& pool() {
    static std::mutex mutex;
    static Pool* current = nullptr;
    const std::lock_guard lock(mutex);
    if (current == nullptr || !current->of_this_process()) current = new Pool(thread_count());
    return *current;
}

}  // namespace

int thread_count() {
    static const int count = wanted_threads();
    return count;
}

void parallel_for(int64_t count, int64_t grain, const Work& work) {
    if (count <= 0) return;
    Pool* shared = thread_count() > 1 && count > grain ? &pool() : nullptr;
    if (shared == nullptr || !shared->try_take()) {
        work(0, count);
        return;
    }
    shared->run(count, grain, work);
    shared->give_back();
}

}  // namespace elastix
