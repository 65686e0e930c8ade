#include "layer.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "crc32.h"
#include "fp32.h"

namespace elastix {
namespace {

uint32_t load(const uint8_t* at) {
    uint32_t value;
    std::memcpy(&value, at, 4);
    return value;
}

std::string number(uint64_t value) { return std::to_string(value); }

// Bit j of byte p goes to bit p of byte j.
uint64_t transpose8(uint64_t x) {
    uint64_t t = (x ^ (x >> 7)) & 0x00AA00AA00AA00AAull;
    x ^= t ^ (t << 7);
    t = (x ^ (x >> 14)) & 0x0000CCCC0000CCCCull;
    x ^= t ^ (t << 14);
    t = (x ^ (x >> 28)) & 0x00000000F0F0F0F0ull;
    return x ^ t ^ (t << 28);
}

std::string check_fields(const elastix_processor& processor, const Layer& layer) {
    if (layer.bits < 1 || layer.bits > 8) return "bits is " + number(layer.bits) + "; wanted 1 to 8";
    if (layer.format >= kScaleFormatCount)
        return "scale format is " + number(layer.format) + "; wanted 0 to " + number(kScaleFormatCount - 1);
    if (layer.tokens < 1 || layer.tokens > processor.lanes)
        return "tokens is " + number(layer.tokens) + "; wanted 1 to " + number(processor.lanes);
    if (layer.tiles < 1 || layer.tiles > processor.max_tiles)
        return "tiles is " + number(layer.tiles) + "; wanted 1 to " + number(processor.max_tiles);
    if (layer.group_tiles < 1 || layer.group_tiles > 8) return "group_tiles is " + number(layer.group_tiles) + "; wanted 1 to 8";
    if (layer.row_blocks < 1) return "row_blocks is 0; wanted at least 1";
    const int per_word = layer.scales().per_word(), others = std::max(layer.groups() - layer.scales().first(), 0);
    const int header_words = 1 + (others + per_word - 1) / per_word;
    if (layer.header_words != header_words)
        return "header_words is " + number(layer.header_words) + "; wanted " + number(header_words);
    const auto beats = static_cast<uint32_t>(layer.header_words + layer.bits * layer.tiles);
    if (layer.block_beats != beats) return "block_beats is " + number(layer.block_beats) + "; wanted " + number(beats);
    return "";
}

std::string check_segment_places(uint64_t size, const Layer& layer) {
    for (int channel = 0; channel < layer.channels; ++channel) {
        const uint64_t bytes = layer.segment_end(channel) - layer.segment(channel) + static_cast<uint64_t>(layer.beat_bytes);
        if (layer.segment(channel) % 4096 != 0) return "segment at " + hex(layer.segment(channel)) + "; wanted a multiple of 4096";
        if (!inside(layer.segment(channel), bytes, size))
            return "segment at " + hex(layer.segment(channel)) + " of " + number(bytes) + " bytes; memory has " + number(size);
    }
    return "";
}

std::string check_places(uint64_t size, const Layer& layer) {
    if (layer.x % 64 != 0 || !inside(layer.x, layer.image_bytes() * static_cast<uint64_t>(layer.tokens), size))
        return "activations at " + hex(layer.x) + "; wanted a multiple of 64 with all tokens in a memory of " + number(size) + " bytes";
    if (layer.y % static_cast<uint64_t>(layer.beat_bytes) != 0 ||
        !inside(layer.y, layer.result_bytes() * static_cast<uint64_t>(layer.tokens), size))
        return "results at " + hex(layer.y) + "; wanted a multiple of the beat with all tokens in a memory of " + number(size) + " bytes";
    return "";
}

}  // namespace

std::string hex(uint64_t value) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
    return text;
}

uint64_t Layer::segment_blocks(int channel) const {
    const auto c = static_cast<uint32_t>(channel), n = static_cast<uint32_t>(channels);
    return row_blocks > c ? (row_blocks - c + n - 1) / n : 0;
}

const uint8_t* Layer::row_slice(const uint8_t* memory, int64_t row) const {
    const int64_t block = row / rows_per_block;
    return memory + segment(static_cast<int>(block % channels)) + static_cast<uint64_t>(block / channels) * block_bytes() +
           4 * (row % rows_per_block);
}

float Layer::row_scale(const uint8_t* slice) const { return flush(from_bf16(static_cast<uint16_t>(load(slice)))); }

GroupScale Layer::group_scale(const uint8_t* slice, int group) const {
    const ScaleFormat& entries = scales();
    const int place = group - entries.first();
    const int word = place < 0 ? 0 : 1 + place / entries.per_word();
    const int shift = place < 0 ? 16 + group * entries.entry_bits() : place % entries.per_word() * entries.entry_bits();
    const uint32_t entry = load(slice + static_cast<ptrdiff_t>(word) * beat_bytes) >> shift;
    const auto scale = static_cast<uint8_t>(entry & ((1u << entries.scale_bits) - 1));
    if (entries.zero_bits == 0) return {scale, static_cast<uint16_t>(common_zero())};
    const uint32_t top = (entry >> entries.scale_bits) & ((1u << entries.zero_bits) - 1);
    const uint32_t c8 = top << (8 - entries.zero_bits);
    const int unused = bits < 4 ? 7 - 2 * bits : 0;  // low bits of c8 that are not looked at (C1)
    return {scale, static_cast<uint16_t>((c8 >> unused << unused << bits) >> 4)};
}

void Layer::codes(const uint8_t* slice, uint8_t* q) const {
    const uint8_t* at = slice + static_cast<ptrdiff_t>(header_words) * beat_bytes;
    for (int first = 0; first < tiles; first += group_tiles) {
        const int count = tiles - first < group_tiles ? tiles - first : group_tiles;
        const ptrdiff_t plane_bytes = static_cast<ptrdiff_t>(count) * beat_bytes;
        for (int tile = 0; tile < count; ++tile) {
            uint32_t plane[8] = {};
            for (int p = 0; p < bits; ++p) plane[bits - 1 - p] = load(at + p * plane_bytes + static_cast<ptrdiff_t>(tile) * beat_bytes);
            for (int byte = 0; byte < 4; ++byte, q += 8) {
                uint64_t planes = 0;
                for (int p = 0; p < bits; ++p) planes |= static_cast<uint64_t>((plane[p] >> (8 * byte)) & 0xFF) << (8 * p);
                const uint64_t eight = transpose8(planes);
                std::memcpy(q, &eight, 8);
            }
        }
        at += bits * plane_bytes;
    }
}

std::string place_layer(const elastix_processor& processor, uint64_t size, Layer& layer) {
    layer.rows_per_block = processor.beat / 32;
    layer.beat_bytes = processor.beat / 8;
    layer.channels = processor.channels;
    const std::string problem = check_fields(processor, layer);
    return problem.empty() ? check_segment_places(size, layer) : problem;
}

std::string read_layer(const elastix_processor& processor, const uint8_t* memory, uint64_t size, uint64_t address, Layer& layer) {
    const std::string at = "descriptor at " + hex(address) + ": ";
    if (address % 64 != 0 || !inside(address, 64, size)) return at + "wanted a multiple of 64 in a memory of " + number(size) + " bytes";
    uint32_t word[kDescriptorWords];
    std::memcpy(word, memory + address, sizeof word);
    const uint32_t crc = crc32(memory + address, 4 * kCrc);
    if (crc != word[kCrc]) return at + "CRC is " + hex(word[kCrc]) + "; wanted " + hex(crc);
    if ((word[0] & 0xFF) != 1) return at + "opcode is " + number(word[0] & 0xFF) + "; wanted 1 (linear)";
    const auto pair = [&](int low) { return static_cast<uint64_t>(word[low]) | static_cast<uint64_t>(word[low + 1]) << 32; };
    layer.bits = static_cast<int>((word[0] >> 8) & 0xFF);
    layer.format = static_cast<int>((word[0] >> 16) & 0xFF);
    layer.tokens = static_cast<int>(word[0] >> 24);
    layer.row_blocks = word[1];
    layer.tiles = static_cast<int>(word[2] & 0xFFFF);
    layer.group_tiles = static_cast<int>(word[2] >> 16);
    layer.c9 = static_cast<int>(word[3] & 0x1FF);
    layer.weights = pair(4);
    layer.channel_stride = word[6];
    layer.header_words = static_cast<int>(word[7] & 0xFFFF);
    layer.x = pair(kX);
    layer.y = pair(kY);
    layer.block_beats = word[12];
    std::string problem = place_layer(processor, size, layer);
    if (problem.empty()) problem = check_places(size, layer);
    return problem.empty() ? problem : at + problem;
}

std::string check_segments(const uint8_t* memory, const Layer& layer) {
    for (int channel = 0; channel < layer.channels; ++channel) {
        const uint64_t begin = layer.segment(channel), end = layer.segment_end(channel);
        const uint32_t found = load(memory + end), wanted = crc32(memory + begin, end - begin);
        if (found != wanted)
            return "weight segment of channel " + number(static_cast<uint64_t>(channel)) + " at " + hex(begin) + ": CRC is " + hex(found) +
                   "; wanted " + hex(wanted) + "; the weights were damaged: pack or load them again";
    }
    return "";
}

}  // namespace elastix
