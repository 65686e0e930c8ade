// The engine behind a device (runtime/README.md): given the memory and a descriptor's address, write the results into it.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" struct elastix_engine {
  void *self;
  int (*run)(void *self, std::uint8_t *memory, std::uint64_t size, std::uint64_t descriptor, char *error,
             std::size_t error_size);
};
