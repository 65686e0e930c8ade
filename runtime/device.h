// A flat memory and an engine that carries out the descriptors in it: the other half of `elastix_device` in elastix.h.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "buffer.h"
#include "emulator.h"
#include "layer.h"

struct elastix_device {
    struct Statistics {
        int64_t launches = 0;  // batches of up to M tokens
        int64_t tokens = 0;
        double seconds = 0;
    };

    // `processor` is in range; `scratch` is a multiple of 64 inside the memory. Throws std::bad_alloc.
    elastix_device(const elastix_processor& processor, int64_t size, int64_t scratch);

    bool failed() const { return !error.empty(); }
    // Keeps the first message.
    void fail(const std::string& message);

    const elastix_processor processor;
    elastix::Buffer<uint8_t> memory;
    const uint64_t scratch;
    elastix::Emulator emulator;
    const elastix_engine* engine;  // the emulator's, unless another was set
    std::string error;
    std::map<uint64_t, Statistics> statistics;  // by the descriptor's address
};

namespace elastix {

// Empty, or what is out of range.
std::string check_processor(const elastix_processor& processor, int64_t size, int64_t scratch);

}  // namespace elastix
