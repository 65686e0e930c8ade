// How fast this machine's threads can read memory: the bound that the emulator is measured against.
#pragma once
#include <cstdint>

namespace elastix {

// Bytes a second of reading `bytes` of fresh memory once with all threads of the pool, the best of `rounds`. Throws std::bad_alloc.
double read_bandwidth(int64_t bytes, int rounds);

}  // namespace elastix
