// What a step processor holds between instructions (compiler/processor/step/README.md), and what an instruction wrote there.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "buffer.h"
#include "elastix.h"
#include "step_instruction.h"

namespace elastix {

// Places by the names of runtime/step_trace.py. `number` of a write is the register, bank or token lane; `head` that of keys and values.
enum class Place : int32_t {
    vector,
    constant,
    scalar,
    activations,
    activation_exponent,
    query,
    query_exponent,
    probability,
    probability_exponent,
    value_scales,
    key_row,
    key_scale,
    value_row,
    value_scale,
    memory,
    arg_max
};

// `bytes` bytes from element (in memory: byte) `first` of a place on; data is valid until the next instruction.
struct Write {
    Place place;
    int32_t number, head;
    uint64_t first;
    const void* data;
    size_t bytes;
};

struct StepState {
    explicit StepState(const elastix_step_parameters& p)
        : vector(static_cast<size_t>(p.vector_elements)),
          constant(static_cast<size_t>(p.constant_elements)),
          scalar(kScalarRegisters),
          activations(static_cast<size_t>(p.matrix.lanes) * 32 * static_cast<size_t>(p.matrix.max_tiles)),
          activation_exponent(static_cast<size_t>(p.matrix.lanes)),
          query(2 * static_cast<size_t>(p.group * p.head_dim)),
          probability(2 * static_cast<size_t>(p.group) * static_cast<size_t>(p.max_context)),
          value_scales(2 * static_cast<size_t>(p.max_context)),
          rows(2 * static_cast<size_t>(p.matrix.lanes * p.kv_heads * p.head_dim)),
          row_scales(2 * static_cast<size_t>(p.matrix.lanes * p.kv_heads)),
          arg_max(static_cast<size_t>(p.matrix.lanes)) {}

    Buffer<float> vector, constant, scalar;
    Buffer<int16_t> activations, activation_exponent;  // [M][32 · max_tiles], [M]
    Buffer<int16_t> query, probability;                // [bank][group · Dh], [bank][group][max_context]
    int16_t query_exponent[2] = {}, probability_exponent[2] = {};
    Buffer<uint16_t> value_scales;  // [bank][max_context]
    Buffer<int8_t> rows;            // [keys, values][M][kv_heads][Dh]
    Buffer<uint16_t> row_scales;    // [keys, values][M][kv_heads]
    Buffer<uint32_t> arg_max;
};

}  // namespace elastix
