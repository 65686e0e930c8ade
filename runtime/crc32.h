// CRC-32 (IEEE 802.3, reflected), as zlib.crc32.
#pragma once
#include <cstddef>
#include <cstdint>

namespace elastix {

uint32_t crc32(const uint8_t* data, size_t size);

}  // namespace elastix
