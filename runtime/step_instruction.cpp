#include "step_instruction.h"

#include <bit>
#include <cstring>

namespace elastix {
namespace {

// Takes fields out of an instruction; what is left at the end means nothing.
class Words {
  public:
    explicit Words(const uint8_t* raw) { std::memcpy(word_, raw, sizeof word_); }

    uint32_t take(int word, int low, int bits) {
        const uint32_t mask = (bits == 32 ? ~0u : (1u << bits) - 1) << low, value = (word_[word] & mask) >> low;
        word_[word] &= ~mask;
        return value;
    }
    // An address of 40 bits.
    uint64_t wide(int word) {
        const uint64_t low = take(word, 0, 32);
        return low | static_cast<uint64_t>(take(word + 1, 0, 8)) << 32;
    }
    template <typename Enumeration>
    Enumeration take(int word, int low, int bits, Enumeration last, const char* name) {
        const uint32_t value = take(word, low, bits);
        if (value > static_cast<uint32_t>(last))
            throw Problem(name + (" = " + std::to_string(value)), "0 to " + std::to_string(static_cast<uint32_t>(last)));
        return static_cast<Enumeration>(value);
    }
    void expect_nothing() const {
        for (int word = 0; word < 16; ++word)
            if (word_[word] != 0)
                throw Problem("bit " + std::to_string(std::countr_zero(word_[word])) + " of word " + std::to_string(word) + " is set",
                              "0 there");
    }

  private:
    uint32_t word_[16];
};

void take_weights(Words& words, Layer& layer) {
    layer.bits = static_cast<int>(words.take(3, 0, 8));
    layer.format = static_cast<int>(words.take(3, 8, 8));
    layer.c9 = static_cast<int>(words.take(3, 16, 9));
    layer.row_blocks = words.take(4, 0, 32);
    layer.tiles = static_cast<int>(words.take(5, 0, 16));
    layer.group_tiles = static_cast<int>(words.take(5, 16, 16));
    layer.header_words = static_cast<int>(words.take(6, 0, 16));
    layer.weights = words.wide(7);
    layer.block_beats = words.take(8, 8, 20);
    layer.channel_stride = words.take(9, 0, 32);
}

void take_linear(Words& words, Instruction& i) {
    take_weights(words, i.layer);
    i.operation = words.take(10, 0, 4, Operation::quantize, "operation");
    i.target = words.take(10, 4, 4, Target::value, "target");
    i.maximum = words.take(10, 8, 2, Maximum::signed_maximum, "maximum");
    i.arg_max = words.take(10, 10, 1) != 0;
    i.max_register = static_cast<int>(words.take(10, 16, 6));
    i.rows = words.take(11, 0, 32);
    i.to = words.wide(12);
    i.from = words.take(14, 0, 20);
    i.lane_stride = words.take(15, 0, 32);
}

void take_vector(Words& words, Instruction& i) {
    i.operation = words.take(3, 0, 4, Operation::quantize, "operation");
    i.target = words.take(3, 4, 4, Target::value, "target");
    i.maximum = words.take(3, 8, 2, Maximum::signed_maximum, "maximum");
    i.bank = static_cast<int>(words.take(3, 10, 1));
    i.scalar_register = static_cast<int>(words.take(3, 16, 6));
    i.max_register = static_cast<int>(words.take(3, 22, 6));
    i.result_register = static_cast<int>(words.take(4, 24, 6));
    i.count = words.take(4, 0, 20);
    i.to_position = words.take(4, 20, 1) != 0;
    i.a = words.take(5, 0, 20);
    i.b = words.take(6, 0, 20);
    i.c = words.take(7, 0, 20);
    i.d = words.take(8, 0, 20);
    i.to = words.take(9, 0, 20);
    i.period = words.take(10, 0, 16);
    i.bits = static_cast<int>(words.take(10, 16, 8));
    i.head = static_cast<int>(words.take(10, 24, 8));
    i.k = words.take(11, 0, 32);
    i.epsilon = words.take(12, 0, 32);
    i.address = words.wide(13);
    i.channel_stride = words.take(14, 8, 24);
    i.scales = words.take(15, 0, 32);
}

void take_scores(Words& words, Instruction& i) {
    i.bank = static_cast<int>(words.take(3, 0, 1));
    i.head = static_cast<int>(words.take(3, 8, 8));
    i.max_register = static_cast<int>(words.take(3, 16, 6));
    i.keys = words.wide(4);
    i.key_scales = words.take(6, 0, 32);
    i.values = words.wide(7);
    i.value_scales = words.take(9, 0, 32);
    i.to = words.take(10, 0, 20);
    i.stride = words.take(11, 0, 20);
    i.channel_stride = words.take(12, 0, 24);
}

void take_values(Words& words, Instruction& i) {
    i.bank = static_cast<int>(words.take(3, 0, 1));
    i.head = static_cast<int>(words.take(3, 8, 8));
    i.values = words.wide(7);
    i.to = words.take(10, 0, 20);
    i.channel_stride = words.take(12, 0, 24);
}

void take_load(Words& words, Instruction& i) {
    i.target = words.take(3, 0, 4, Target::value, "target");
    i.count = words.take(4, 0, 20);
    i.address = words.wide(5);
    i.stride = words.take(7, 0, 32);
    i.to = words.take(9, 0, 20);
}

}  // namespace

Instruction decode_instruction(const uint8_t* raw) {
    Words words(raw);
    Instruction i;
    i.opcode = words.take(0, 0, 8, Opcode::embed, "opcode");
    i.lane = static_cast<int>(words.take(0, 8, 4));
    // The counts to wait for say nothing to an engine that carries out instructions in program order.
    words.take(0, 16, 16);
    words.take(1, 0, 32);
    words.take(2, 0, 16);
    switch (i.opcode) {
        case Opcode::end: break;
        case Opcode::linear: take_linear(words, i); break;
        case Opcode::vector: take_vector(words, i); break;
        case Opcode::scores: take_scores(words, i); break;
        case Opcode::values: take_values(words, i); break;
        case Opcode::load: take_load(words, i); break;
        case Opcode::embed:
            take_weights(words, i.layer);
            i.to = words.take(10, 0, 20);
            break;
    }
    words.expect_nothing();
    return i;
}

}  // namespace elastix
