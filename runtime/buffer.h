// A fixed run of zeroed elements at a multiple of 4096 bytes, on huge pages where the system has them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace elastix {

template <typename T>
class Buffer {
  public:
    Buffer() = default;
    // Throws std::bad_alloc when memory is short.
    explicit Buffer(size_t count) : count_(count) {
        if (count == 0) return;
        if (count > (SIZE_MAX - 4096) / sizeof(T)) throw std::bad_alloc();
        const size_t bytes = (count * sizeof(T) + 4095) / 4096 * 4096;
        data_ = static_cast<T*>(std::aligned_alloc(4096, bytes));
        if (data_ == nullptr) throw std::bad_alloc();
#ifdef __linux__
        if (bytes >= (size_t{1} << 22)) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
        std::memset(static_cast<void*>(data_), 0, bytes);
    }
    Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
    Buffer& operator=(Buffer&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(count_, other.count_);
        return *this;
    }
    ~Buffer() { std::free(data_); }

    T* data() { return data_; }
    const T* data() const { return data_; }
    size_t size() const { return count_; }

  private:
    T* data_ = nullptr;
    size_t count_ = 0;
};

}  // namespace elastix
