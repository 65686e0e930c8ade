#include "step_check.h"

#include <string>

namespace elastix {
namespace {

using std::to_string;

class Check {
  public:
    Check(const Instruction& instruction, const elastix_step_parameters& parameters) : i(instruction), p(parameters) {}

    void linear() const {
        const bool memory = i.target == Target::memory;
        element(i.from, "from");
        if (i.operation > Operation::multiply || i.operation == Operation::scale) {
            if (i.operation != Operation::activate) refuse(operation() + " of a LINEAR", "COPY, ADD, ADD_CONSTANT, MULTIPLY or ACTIVATE");
            activation();
        }
        if (i.arg_max) need(kArgMax, "an arg max");
        if (i.arg_max && i.operation != Operation::copy) refuse("an arg max of " + operation(), "COPY");
        if (!memory && i.target != Target::vector) refuse(target() + " of a LINEAR", "VECTOR or MEMORY");
        if (memory && i.operation != Operation::copy) refuse("results with an operation to MEMORY", "COPY");
        if (memory && i.maximum != Maximum::none) refuse("a maximum of results to MEMORY", "NONE");
        const int64_t unit = memory ? p.matrix.beat / 8 : 8;
        multiple(i.to, unit, "to");
        multiple(i.lane_stride, unit, "lane_stride");
        if (i.rows < 1) refuse("rows = 0", "at least 1");
        if (i.maximum != Maximum::none) registers(i.max_register, p.matrix.lanes);
    }

    void vector() const {
        for (const auto& [value, name] : {std::pair{i.a, "a"}, {i.b, "b"}, {i.c, "c"}, {i.d, "d"}, {static_cast<int64_t>(i.to), "to"}})
            element(value, name);
        multiple(i.period, 8, "period");
        if (i.count < 1) refuse("count = 0", "at least 1");
        switch (i.operation) {
            case Operation::rotate:
                need(kRotate, "ROTATE");
                if (i.to_position || i.period != p.head_dim || i.count % i.period != 0)
                    refuse("ROTATE of " + to_string(i.count) + " elements, period = " + to_string(i.period),
                           "whole heads of " + to_string(p.head_dim));
                break;
            case Operation::normalize_shift: need(kNormalizeShift, "NORMALIZE_SHIFT"); break;
            case Operation::mean: need(kMean, "MEAN"); break;
            case Operation::exponential: need(kAttention, "EXPONENTIAL"); break;
            case Operation::activate: activation(); break;
            default: break;
        }
        if (i.operation >= Operation::squares && i.maximum != Maximum::none) refuse("a maximum of SQUARES, MEAN or QUANTIZE", "NONE");
        if (i.operation == Operation::quantize) return quantize();
        const bool reduces = i.operation >= Operation::squares;
        if (i.target != Target::none && (reduces || i.target > Target::constant))
            refuse(target(), reduces ? "NONE" : "NONE, VECTOR or CONSTANT");
    }

    void scores() const {
        attention();
        element(static_cast<int64_t>(i.to), "to");
        element(i.stride, "stride");
        rows(i.keys, "keys");
        rows(i.values, "values");
        multiple(i.keys + i.key_scales, 64, "the key scales' address");
        multiple(i.values + i.value_scales, 64, "the value scales' address");
        registers(i.max_register, p.group);
    }

    void values() const {
        attention();
        element(static_cast<int64_t>(i.to), "to");
        rows(i.values, "values");
    }

    void load() const {
        if (i.target != Target::vector && i.target != Target::constant) refuse(target() + " of a LOAD", "VECTOR or CONSTANT");
        if (i.count < 1) refuse("count = 0", "at least 1");
        element(static_cast<int64_t>(i.to), "to");
        multiple(i.address, 64, "address");
        multiple(i.stride, 64, "stride");
    }

    void embed() const {
        need(kEmbed, "EMBED");
        element(static_cast<int64_t>(i.to), "to");
    }

  private:
    [[noreturn]] static void refuse(const std::string& found, const std::string& wanted) { throw Problem(found, wanted); }

    std::string operation() const { return "operation " + to_string(static_cast<int>(i.operation)); }
    std::string target() const { return "target " + to_string(static_cast<int>(i.target)); }

    static std::string named(const char* name, uint64_t value) {
        std::string text = name;
        text += " = ";
        return text += to_string(value);
    }
    static void multiple(uint64_t value, int64_t unit, const char* name) {
        if (value % static_cast<uint64_t>(unit) != 0) refuse(named(name, value), "a multiple of " + to_string(unit));
    }
    static void multiple(int64_t value, int64_t unit, const char* name) { multiple(static_cast<uint64_t>(value), unit, name); }
    static void element(int64_t value, const char* name) { multiple(value, 8, name); }
    void rows(uint64_t address, const char* name) const { multiple(address, p.matrix.beat / 8, name); }

    static void registers(int64_t first, int64_t count) {
        if (first + count > kScalarRegisters)
            refuse("max_register = " + to_string(first), "at most " + to_string(kScalarRegisters - count));
    }
    static void below(int value, int limit, const char* name) {
        if (value >= limit) refuse(named(name, static_cast<uint64_t>(value)), "below " + to_string(limit));
    }
    void need(uint32_t feature, const char* what) const {
        if ((static_cast<uint32_t>(p.features) & feature) == 0) refuse(what, "another: the processor was generated without this feature");
    }
    void activation() const {
        if (p.activation < 0) refuse("ACTIVATE", "another: the processor was generated without an activation");
    }
    void attention() const {
        need(kAttention, "attention");
        below(i.head, p.kv_heads, "head");
    }

    void quantize() const {
        const bool row = i.target == Target::key || i.target == Target::value, activations = i.target == Target::activations;
        if (i.target < Target::activations) refuse(target() + " of QUANTIZE", "ACTIVATIONS, QUERY, PROBABILITY, KEY or VALUE");
        const int low = activations || row ? 8 : 16, high = activations ? p.matrix.activation_bits : low;
        if (i.bits < low || i.bits > high) refuse("QUANTIZE to " + to_string(i.bits) + " bits", to_string(low) + " to " + to_string(high));
        if (activations) return multiple(i.to, 32, "to");
        need(kAttention, "QUANTIZE for attention");
        if (i.to != 0) refuse("to = " + to_string(i.to) + " of QUANTIZE for attention", "0");
        if (i.target == Target::probability) return below(i.head, p.group, "head");
        if (row) {
            below(i.head, p.kv_heads, "head");
            rows(i.address, "rows");
            multiple(i.address + i.scales, 64, "the scales' address");
        }
        const int64_t wanted = int64_t{p.head_dim} * (row ? 1 : p.group);
        if (i.count != wanted || i.to_position) refuse(to_string(i.count) + " elements", to_string(wanted));
    }

    const Instruction& i;
    const elastix_step_parameters& p;
};

}  // namespace

void check_instruction(const Instruction& i, const elastix_step_parameters& p) {
    const Check check(i, p);
    switch (i.opcode) {
        case Opcode::end: return;
        case Opcode::linear: return check.linear();
        case Opcode::vector: return check.vector();
        case Opcode::scores: return check.scores();
        case Opcode::values: return check.values();
        case Opcode::load: return check.load();
        case Opcode::embed: return check.embed();
    }
}

}  // namespace elastix
