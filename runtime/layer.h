// A descriptor that was read out of a device's memory, checked, and the geometry of its weight stream (compiler/processor/README.md).
#pragma once
#include <cstdint>
#include <string>

#include "elastix.h"

namespace elastix {

// An entry of the header, one for each row and group: `scale_bits` of s, above them the top `zero_bits` of c8.
struct ScaleFormat {
    int scale_bits, zero_bits;

    constexpr int entry_bits() const { return scale_bits + zero_bits; }
    // Entries beside the row scale, and in each word after it.
    constexpr int first() const { return 16 / entry_bits(); }
    constexpr int per_word() const { return 32 / entry_bits(); }
};

// By the descriptor's code: s8, s6, s8c8.
constexpr ScaleFormat kScaleFormats[] = {{8, 0}, {6, 0}, {8, 8}};
constexpr int kScaleFormatCount = sizeof kScaleFormats / sizeof kScaleFormats[0];

// Scale and Z, 16 times the zero point (C1), of one row and group.
struct GroupScale {
    uint8_t scale;
    uint16_t zero;
};

// Words of a descriptor that the host changes for a launch.
enum DescriptorWord { kOperation = 0, kX = 8, kY = 10, kCrc = 15 };
constexpr int kDescriptorWords = 16;

struct Layer {
    int bits = 0, format = 0, tokens = 0, tiles = 0, group_tiles = 0, c9 = 0, header_words = 0;
    uint32_t row_blocks = 0, channel_stride = 0, block_beats = 0;
    uint64_t weights = 0, x = 0, y = 0;
    // From the processor: R rows a beat, bytes of a beat, channels.
    int rows_per_block = 0, beat_bytes = 0, channels = 0;

    const ScaleFormat& scales() const { return kScaleFormats[format]; }
    // Z where it is common to all rows and groups.
    int common_zero() const { return (c9 >> (8 - bits)) << 3; }
    int groups() const { return (tiles + group_tiles - 1) / group_tiles; }
    int64_t rows() const { return static_cast<int64_t>(row_blocks) * rows_per_block; }
    uint64_t image_bytes() const { return 64ull * (static_cast<uint64_t>(tiles) + 1); }
    uint64_t result_bytes() const { return static_cast<uint64_t>(row_blocks) * static_cast<uint64_t>(beat_bytes); }
    uint64_t block_bytes() const { return static_cast<uint64_t>(block_beats) * static_cast<uint64_t>(beat_bytes); }
    uint64_t segment(int channel) const { return weights + static_cast<uint64_t>(channel) * channel_stride; }
    uint64_t segment_blocks(int channel) const;
    // Where the CRC beat of a channel's segment begins.
    uint64_t segment_end(int channel) const { return segment(channel) + segment_blocks(channel) * block_bytes(); }

    // Slice words of one row, read from the image: `row` counts rows of the layer.
    const uint8_t* row_slice(const uint8_t* memory, int64_t row) const;
    float row_scale(const uint8_t* slice) const;
    GroupScale group_scale(const uint8_t* slice, int group) const;
    // The 32·tiles codes of the row whose slice this is.
    void codes(const uint8_t* slice, uint8_t* q) const;
};

// Gives a layer the processor's part and checks everything but x and y. Empty when all is well, else what was found and wanted.
std::string place_layer(const elastix_processor& processor, uint64_t size, Layer& layer);

// Reads and checks the descriptor at `address`. Empty when all is well, else what was found and wanted.
std::string read_layer(const elastix_processor& processor, const uint8_t* memory, uint64_t size, uint64_t address, Layer& layer);

// Compares the CRC of every channel's segment with its last beat.
std::string check_segments(const uint8_t* memory, const Layer& layer);

// Is [address, address + bytes) inside a memory of `size` bytes?
inline bool inside(uint64_t address, uint64_t bytes, uint64_t size) { return address <= size && bytes <= size - address; }

std::string hex(uint64_t value);

}  // namespace elastix
