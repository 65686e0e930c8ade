#include "emulator.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <vector>

#include "fp32.h"
#include "pool.h"
#include "token_batch.h"

namespace elastix {
namespace {

constexpr int kQuads = 8;  // quads of columns in a tile
constexpr int64_t kPanelsAtOnce = 4;

int run_emulator(void* self, uint8_t* memory, uint64_t size, uint64_t descriptor, char* error, size_t error_size) {
    std::string problem;
    try {
        problem = static_cast<Emulator*>(self)->run(memory, size, descriptor);
    } catch (const std::exception& exception) {
        problem = std::string("emulator: ") + exception.what();
    }
    if (problem.empty()) return 0;
    std::snprintf(error, error_size, "%s", problem.c_str());
    return 1;
}

void spoil(std::vector<uint8_t>& codes, int bits, Fault fault) {
    if (fault == Fault::column) codes[0] = 0;
    if (fault != Fault::planes) return;
    for (uint8_t& code : codes) {
        int reversed = 0;
        for (int p = 0; p < bits; ++p) reversed |= (code >> p & 1) << (bits - 1 - p);
        code = static_cast<uint8_t>(reversed);
    }
}

}  // namespace

DecodedLayer::DecodedLayer(const uint8_t* memory, const Layer& layer, Fault fault)
    : tiles(layer.tiles),
      group_tiles(layer.group_tiles),
      groups(layer.groups()),
      packing(layer.bits <= 2 ? 4 : layer.bits <= 4 ? 2 : 1),
      zero(layer.common_zero()),
      panels((layer.rows() + kRows - 1) / kRows),
      panel_bytes(int64_t{32} * kRows * layer.tiles / packing),
      codes(static_cast<size_t>(panels * panel_bytes)),
      scales(static_cast<size_t>(panels * groups * kRows)),
      zeros(layer.scales().zero_bits > 0 ? scales.size() : 0),
      row_scales(static_cast<size_t>(panels * kRows)) {
    const int width = 8 / packing;
    parallel_for(panels, 16, [&](int64_t begin, int64_t end) {
        std::vector<uint8_t> q(32 * static_cast<size_t>(tiles));
        for (int64_t row = begin * kRows; row < std::min(end * kRows, layer.rows()); ++row) {
            const int64_t index = row / kRows, r = row % kRows;
            const uint8_t* slice = layer.row_slice(memory, row);
            row_scales.data()[row] = layer.row_scale(slice);
            for (int group = 0; group < groups; ++group) {
                const GroupScale found = layer.group_scale(slice, group);
                const size_t at = static_cast<size_t>((index * groups + group) * kRows + r);
                scales.data()[at] = found.scale;
                if (zeros.size() != 0) zeros.data()[at] = found.zero;
            }
            layer.codes(slice, q.data());
            if (fault != Fault::none) spoil(q, layer.bits, fault);
            uint8_t* to = codes.data() + index * panel_bytes + 4 * r;
            for (int quad = 0; quad < kQuads * tiles; ++quad)
                for (int j = 0; j < 4; ++j)
                    to[64 * (quad / packing) + j] |= static_cast<uint8_t>(q[4 * static_cast<size_t>(quad) + static_cast<size_t>(j)]
                                                                          << (width * (quad % packing)));
        }
    });
}

Panel DecodedLayer::panel(int64_t index) const {
    const int64_t at = index * groups * kRows;
    return {codes.data() + index * panel_bytes, scales.data() + at, zeros.size() ? zeros.data() + at : nullptr, zero, tiles, group_tiles,
            packing};
}

Emulator::Emulator(const elastix_processor& processor)
    : processor_(processor), kernel_(choose_dot_kernel()), engine_{this, run_emulator} {}

const DecodedLayer* Emulator::decode(const uint8_t* memory, const Layer& layer, std::string& problem) {
    Key key{reinterpret_cast<uintptr_t>(memory),
            layer.weights,
            static_cast<uint64_t>(layer.row_blocks) << 32 | layer.channel_stride,
            static_cast<uint64_t>(layer.bits) << 16 | static_cast<uint64_t>(layer.format) << 8 | static_cast<uint64_t>(layer.group_tiles),
            static_cast<uint64_t>(layer.tiles) << 16 | static_cast<uint64_t>(layer.c9)};
    for (int channel = 0; channel < layer.channels; ++channel) {
        uint32_t crc = 0;
        std::memcpy(&crc, memory + layer.segment_end(channel), 4);
        key[5] = (key[5] ^ crc) * 0x9E3779B97F4A7C15ull + 1;
    }
    std::unique_ptr<DecodedLayer>& entry = decoded_[key];
    if (entry == nullptr) {
        problem = check_segments(memory, layer);
        if (problem.empty()) entry = std::make_unique<DecodedLayer>(memory, layer, fault_);
    }
    return entry.get();
}

void Emulator::compute(uint8_t* memory, const Layer& layer, const DecodedLayer& decoded, const Activations* x, const int* exponents) {
    parallel_for(decoded.panels, kPanelsAtOnce, [&](int64_t begin, int64_t end) {
        alignas(64) int64_t acc[kMaxTokens][kRows];
        bool overflow = false;
        for (int64_t index = begin; index < end; ++index) {
            kernel_(decoded.panel(index), x, layer.tokens, acc);
            const int64_t rows = std::min<int64_t>(kRows, layer.rows() - index * kRows);
            for (int t = 0; t < layer.tokens; ++t) {
                float results[kRows];
                for (int64_t r = 0; r < rows; ++r)
                    results[r] = leave_accumulator(acc[t][r], decoded.row_scales.data()[index * kRows + r], exponents[t], overflow);
                std::memcpy(memory + layer.y + static_cast<uint64_t>(t) * layer.result_bytes() + static_cast<uint64_t>(4 * kRows * index),
                            results, static_cast<size_t>(4 * rows));
            }
        }
        if (overflow) overflow_ = true;
    });
}

std::string Emulator::run(uint8_t* memory, uint64_t size, uint64_t descriptor) {
    Layer layer;
    std::string problem = read_layer(processor_, memory, size, descriptor, layer);
    if (!problem.empty()) return problem;
    const int16_t* x[kMaxTokens];
    int exponents[kMaxTokens];
    for (int t = 0; t < layer.tokens; ++t) {
        const uint8_t* image = memory + layer.x + static_cast<uint64_t>(t) * layer.image_bytes();
        int16_t exponent;
        std::memcpy(&exponent, image, 2);
        exponents[t] = exponent;
        x[t] = reinterpret_cast<const int16_t*>(image + 64);
    }
    const TokenBatch batch(x, layer);
    if (batch.largest >= 1 << (processor_.activation_bits - 1))
        return "descriptor at " + hex(descriptor) + ": an activation is " + std::to_string(batch.largest) + " in size; wanted below 2^" +
               std::to_string(processor_.activation_bits - 1);
    const DecodedLayer* decoded = decode(memory, layer, problem);
    if (decoded == nullptr) return "descriptor at " + hex(descriptor) + ": " + problem;
    compute(memory, layer, *decoded, batch.views, exponents);
    return "";
}

}  // namespace elastix
