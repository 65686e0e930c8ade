#include "device.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <exception>
#include <vector>

#include "crc32.h"
#include "fp32.h"
#include "pool.h"
#include "quantize.h"

using elastix::Layer;

namespace {

// A call into a device: nothing happens after an error, and no exception leaves.
template <typename Call>
void guarded(elastix_device* device, Call call) {
    if (device->failed()) return;
    try {
        call();
    } catch (const std::exception& exception) {
        device->fail(exception.what());
    }
}

// A copy of the descriptor in the scratch place, for `count` tokens from `first`; the engine sees no other.
void patch(elastix_device* device, const uint8_t* descriptor, const Layer& layer, int64_t first, int64_t count) {
    uint32_t word[elastix::kDescriptorWords];
    std::memcpy(word, descriptor, sizeof word);
    const auto put = [&](int low, uint64_t value) {
        word[low] = static_cast<uint32_t>(value);
        word[low + 1] = static_cast<uint32_t>(value >> 32);
    };
    word[elastix::kOperation] = (word[elastix::kOperation] & 0x00FFFFFFu) | static_cast<uint32_t>(count) << 24;
    put(elastix::kX, layer.x + static_cast<uint64_t>(first) * layer.image_bytes());
    put(elastix::kY, layer.y + static_cast<uint64_t>(first) * layer.result_bytes());
    word[elastix::kCrc] = elastix::crc32(reinterpret_cast<const uint8_t*>(word), 4 * elastix::kCrc);
    std::memcpy(device->memory.data() + device->scratch, word, sizeof word);
}

bool run_engine(elastix_device* device, uint64_t descriptor) {
    char message[1024] = "";
    if (device->engine->run(device->engine->self, device->memory.data(), device->memory.size(), device->scratch, message, sizeof message) == 0)
        return true;
    message[sizeof message - 1] = '\0';
    device->fail("launch of the descriptor at " + elastix::hex(descriptor) + ": " + (*message ? message : "the engine gave no reason"));
    return false;
}

}  // namespace

elastix_device::elastix_device(const elastix_processor& wanted, int64_t size, int64_t at)
    : processor(wanted),
      memory(static_cast<size_t>(size)),
      scratch(static_cast<uint64_t>(at)),
      emulator(wanted),
      engine(&emulator.engine()) {}

void elastix_device::fail(const std::string& message) {
    if (error.empty()) error = message.empty() ? "unknown error" : message;
}

std::string elastix::check_processor(const elastix_processor& processor, int64_t size, int64_t scratch) {
    const auto found = [](const char* name, int64_t value, const char* wanted) {
        return std::string(name) + " is " + std::to_string(value) + "; wanted " + wanted;
    };
    if (processor.beat < 64 || processor.beat > 512 || !std::has_single_bit(static_cast<unsigned>(processor.beat)))
        return found("beat", processor.beat, "64, 128, 256 or 512");
    if (processor.activation_bits < 8 || processor.activation_bits > 12) return found("activation_bits", processor.activation_bits, "8 to 12");
    if (processor.lanes < 1 || processor.lanes > kMaxTokens) return found("lanes", processor.lanes, "1 to 15");
    if (processor.channels < 1 || processor.channels > 63) return found("channels", processor.channels, "1 to 63");
    if (processor.max_tiles < 1 || processor.max_tiles > 65535) return found("max_tiles", processor.max_tiles, "1 to 65535");
    if (size < 64) return found("size", size, "at least 64 bytes");
    if (scratch < 0 || scratch % 64 != 0 || scratch > size - 64) return found("scratch", scratch, "a multiple of 64 inside the memory");
    return "";
}

elastix_device* elastix_device_create(const elastix_processor* processor, int64_t size, int64_t scratch) {
    if (!elastix::check_processor(*processor, size, scratch).empty()) return nullptr;
    try {
        return new elastix_device(*processor, size, scratch);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

void elastix_device_destroy(elastix_device* device) { delete device; }

uint8_t* elastix_device_memory(elastix_device* device) { return device->memory.data(); }

void elastix_device_set_engine(elastix_device* device, const elastix_engine* engine) {
    device->engine = engine != nullptr ? engine : &device->emulator.engine();
}

const char* elastix_device_error(const elastix_device* device) { return device->failed() ? device->error.c_str() : nullptr; }

void elastix_quantize(elastix_device* device, const float* x, int64_t tokens, int64_t k, int64_t activation_bits, int64_t x_address) {
    guarded(device, [&] {
        const int64_t tiles = (k + 31) / 32, image = 64 * (tiles + 1);
        if (k < 1 || tokens < 0 || !elastix::inside(static_cast<uint64_t>(x_address), static_cast<uint64_t>(tokens * image), device->memory.size()))
            return device->fail("quantize " + std::to_string(tokens) + " × " + std::to_string(k) + " values to " +
                                elastix::hex(static_cast<uint64_t>(x_address)) + ": outside the device's memory");
        if (activation_bits < 8 || activation_bits > device->processor.activation_bits)
            return device->fail("quantize to " + std::to_string(activation_bits) + " bits; wanted 8 to " +
                                std::to_string(device->processor.activation_bits) + ", as the processor has");
        std::vector<int16_t> q(static_cast<size_t>(32 * tiles));
        for (int64_t t = 0; t < tokens; ++t) {
            int16_t exponent = 0;
            const int64_t bad = elastix::quantize_row(x + t * k, k, static_cast<int>(activation_bits), q.data(), exponent);
            if (bad >= 0)
                return device->fail("quantize: the activation of token " + std::to_string(t) + ", column " + std::to_string(bad) +
                                    " is not a finite number");
            uint8_t* slot = device->memory.data() + x_address + t * image;
            std::memset(slot, 0, 64);
            std::memcpy(slot, &exponent, 2);
            std::memcpy(slot + 64, q.data(), 2 * q.size());
        }
    });
}

void elastix_launch(elastix_device* device, int64_t descriptor, int64_t tokens) {
    guarded(device, [&] {
        Layer layer;
        const std::string problem = elastix::read_layer(device->processor, device->memory.data(), device->memory.size(),
                                                        static_cast<uint64_t>(descriptor), layer);
        if (!problem.empty()) return device->fail(problem);
        const uint64_t count = static_cast<uint64_t>(std::max<int64_t>(tokens, 0)), size = device->memory.size();
        if (!elastix::inside(layer.x, count * layer.image_bytes(), size) || !elastix::inside(layer.y, count * layer.result_bytes(), size))
            return device->fail("launch of the descriptor at " + elastix::hex(static_cast<uint64_t>(descriptor)) + " for " +
                                std::to_string(tokens) + " tokens: their activations or results lie outside the device's memory");
        const uint8_t* words = device->memory.data() + descriptor;
        elastix_device::Statistics& statistics = device->statistics[static_cast<uint64_t>(descriptor)];
        for (int64_t first = 0; first < tokens; first += device->processor.lanes) {
            const int64_t batch = std::min<int64_t>(tokens - first, device->processor.lanes);
            const auto start = std::chrono::steady_clock::now();
            patch(device, words, layer, first, batch);
            if (!run_engine(device, static_cast<uint64_t>(descriptor))) return;
            statistics.launches += 1;
            statistics.tokens += batch;
            statistics.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        }
    });
}

// Launches are carried out as they are made, so nothing is outstanding.
void elastix_wait(elastix_device*) {}

void elastix_read_back(elastix_device* device, int64_t y_address, float* y, int64_t tokens, int64_t n) {
    guarded(device, [&] {
        const int64_t rows = device->processor.beat / 32, stride = 4 * ((n + rows - 1) / rows * rows);
        if (n < 1 || tokens < 0 || !elastix::inside(static_cast<uint64_t>(y_address), static_cast<uint64_t>(tokens * stride), device->memory.size()))
            return device->fail("read back " + std::to_string(tokens) + " × " + std::to_string(n) + " results from " +
                                elastix::hex(static_cast<uint64_t>(y_address)) + ": outside the device's memory");
        for (int64_t t = 0; t < tokens; ++t)
            std::memcpy(y + t * n, device->memory.data() + y_address + t * stride, static_cast<size_t>(4 * n));
    });
}

// C11.
void elastix_embedding(elastix_device* device, int64_t descriptor, const int64_t* ids, float* y, int64_t count, int64_t k) {
    guarded(device, [&] {
        Layer layer;
        const uint8_t* memory = device->memory.data();
        const std::string problem =
            elastix::read_layer(device->processor, memory, device->memory.size(), static_cast<uint64_t>(descriptor), layer);
        if (!problem.empty()) return device->fail(problem);
        if (k < 1 || (k + 31) / 32 != layer.tiles)
            return device->fail("embedding rows of " + std::to_string(k) + " columns; the descriptor at " +
                                elastix::hex(static_cast<uint64_t>(descriptor)) + " has " + std::to_string(layer.tiles) + " tiles of 32");
        std::vector<uint8_t> q(static_cast<size_t>(32 * layer.tiles));
        bool overflow = false;
        for (int64_t i = 0; i < count; ++i) {
            if (ids[i] < 0 || ids[i] >= layer.rows())
                return device->fail("embedding: id " + std::to_string(ids[i]) + "; wanted 0 to " + std::to_string(layer.rows() - 1));
            const uint8_t* slice = layer.row_slice(memory, ids[i]);
            const float row_scale = layer.row_scale(slice);
            layer.codes(slice, q.data());
            for (int64_t first = 0; first < k; first += 32 * layer.group_tiles) {
                const elastix::GroupScale group = layer.group_scale(slice, static_cast<int>(first / (32 * layer.group_tiles)));
                for (int64_t column = first; column < std::min<int64_t>(k, first + 32 * layer.group_tiles); ++column) {
                    const int integer = group.scale * (16 * q[static_cast<size_t>(column)] - group.zero);
                    y[i * k + column] = elastix::settle(static_cast<float>(integer) * row_scale, overflow);
                }
            }
        }
    });
}
