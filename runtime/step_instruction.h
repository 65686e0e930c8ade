// One instruction of the step processor (compiler/processor/step/instructions.py is the table of fields).
#pragma once
#include <cstdint>
#include <exception>
#include <string>

#include "layer.h"

namespace elastix {

// What stops a run: what was found and what was wanted.
struct Problem : std::exception {
    Problem(std::string what_was_found, std::string what_was_wanted)
        : found(std::move(what_was_found)), wanted(std::move(what_was_wanted)) {}
    const char* what() const noexcept override { return found.c_str(); }

    std::string found, wanted;
};

enum class Opcode : uint8_t { end, linear, vector, scores, values, load, embed };
enum class Operation : uint8_t {
    copy,
    add,
    add_constant,
    multiply,
    scale,
    scale_by,
    subtract,
    normalize,
    normalize_shift,
    rotate,
    activate,
    exponential,
    squares,
    mean,
    quantize
};
enum class Target : uint8_t { none, vector, constant, memory, activations, query, probability, key, value };
enum class Maximum : uint8_t { none, magnitude, magnitude_keep, signed_maximum };

// Bits of a processor's features, in the order of FEATURES in compiler/processor/step/parameters.py.
enum Feature : uint32_t {
    kRotate = 1,
    kNormalizeShift = 2,
    kMean = 4,
    kEmbed = 8,
    kAttention = 16,
    kArgMax = 32,
};

constexpr int kScalarRegisters = 64;
constexpr int64_t kInstructionBytes = 64;

// The fields by the names of the table; those that the opcode has not are 0.
struct Instruction {
    Opcode opcode = Opcode::end;
    int lane = 0;
    Operation operation = Operation::copy;
    Target target = Target::none;
    Maximum maximum = Maximum::none;
    bool arg_max = false, to_position = false;
    int bank = 0, scalar_register = 0, max_register = 0, result_register = 0, bits = 0, head = 0;
    int64_t count = 0, a = 0, b = 0, c = 0, d = 0, from = 0, stride = 0, period = 0, rows = 0, lane_stride = 0;
    uint32_t k = 0, epsilon = 0;
    uint64_t to = 0, address = 0, keys = 0, values = 0;  // address: also where the rows of KEY and VALUE lie
    uint64_t scales = 0, key_scales = 0, value_scales = 0, channel_stride = 0;
    Layer layer;  // LINEAR, EMBED: what the stream is; without the processor's part and the tokens
};

// Throws Problem for an unknown opcode or value, and for bits that mean nothing.
Instruction decode_instruction(const uint8_t* raw);

}  // namespace elastix
