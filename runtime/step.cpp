#include "step.h"

#include "device.h"
#include "step_check.h"

namespace elastix {

std::string check_step_parameters(const elastix_step_parameters& p) {
    if (const std::string problem = check_processor(p.matrix, 64, 0); !problem.empty()) return problem;
    const struct {
        const char* name;
        int32_t value, low, high;
    } ranges[] = {
        {"vector_elements", p.vector_elements, 8, 1 << 20}, {"constant_elements", p.constant_elements, 8, 1 << 20},
        {"max_context", p.max_context, 1, 1 << 18},         {"head_dim", p.head_dim, 8, 256},
        {"kv_heads", p.kv_heads, 1, 255},                   {"group", p.group, 1, 32},
        {"vector_lanes", p.vector_lanes, 1, 1 << 16},       {"attention_channels", p.attention_channels, 1, p.matrix.channels},
        {"activation", p.activation, -1, 3},                {"features", p.features, 0, 63},
    };
    for (const auto& [name, value, low, high] : ranges)
        if (value < low || value > high)
            return std::string(name) + " is " + std::to_string(value) + "; wanted " + std::to_string(low) + " to " + std::to_string(high);
    if ((p.head_dim & (p.head_dim - 1)) != 0) return "head_dim is " + std::to_string(p.head_dim) + "; wanted a power of two";
    return "";
}

Step::Step(const elastix_step_parameters& parameters)
    : parameters_(parameters), kernel_(choose_dot_kernel()), matrix_(parameters.matrix), state_(parameters) {}

void Step::begin(uint8_t* memory, uint64_t size, uint64_t program, const int64_t* tokens, int64_t count, int64_t position) {
    if (count < 1 || count > parameters_.matrix.lanes)
        throw Problem(std::to_string(count) + " tokens", "1 to " + std::to_string(parameters_.matrix.lanes) + ", the processor's lanes");
    if (position < 0 || position > parameters_.max_context - count)
        throw Problem("positions " + std::to_string(position) + " to " + std::to_string(position + count - 1),
                      "0 to " + std::to_string(parameters_.max_context - 1) + ", the rows of the caches");
    if (program % kInstructionBytes != 0) throw Problem("a program at " + hex(program), "a multiple of 64");
    memory_ = memory;
    size_ = size;
    program_ = program;
    tokens_.assign(tokens, tokens + count);
    position_ = position;
    at_ = -1;
    overflow_ = 0;
}

bool Step::advance() {
    address_ = program_ + static_cast<uint64_t>(++at_) * kInstructionBytes;
    writes_.clear();
    if (!inside(address_, kInstructionBytes, size_))
        throw Problem("it lies outside the memory of " + std::to_string(size_) + " bytes", "END before that");
    const Instruction i = decode_instruction(memory_ + address_);
    check_instruction(i, parameters_);
    if (i.opcode == Opcode::linear || i.opcode == Opcode::embed) layer_ = placed(i);
    if (i.opcode == Opcode::linear || i.lane < static_cast<int>(tokens_.size())) execute(i);  // LINEAR is for all tokens
    return i.opcode != Opcode::end;
}

void Step::execute(const Instruction& i) {
    switch (i.opcode) {
        case Opcode::end: return;
        case Opcode::linear: return linear(i);
        case Opcode::vector: return vector(i);
        case Opcode::scores: return scores(i);
        case Opcode::values: return values(i);
        case Opcode::load: return load(i);
        case Opcode::embed: return embed(i);
    }
}

namespace {

float* elements(Buffer<float>& memory, uint64_t first, int64_t count, const char* name, const char* where) {
    if (!inside(first, static_cast<uint64_t>(count), memory.size()))
        throw Problem(name + (" = " + std::to_string(first)) + ", " + std::to_string(count) + " elements",
                      "within the " + std::to_string(memory.size()) + " elements of " + where + " memory");
    return memory.data() + first;
}

}  // namespace

float* Step::vector_at(uint64_t first, int64_t count, const char* name) { return elements(state_.vector, first, count, name, "vector"); }

float* Step::constant_at(uint64_t first, int64_t count, const char* name) {
    return elements(state_.constant, first, count, name, "constant");
}

uint8_t* Step::memory_at(uint64_t address, uint64_t bytes, const char* name) const {
    if (!inside(address, bytes, size_))
        throw Problem(std::string(name) + " at " + hex(address) + ", " + std::to_string(bytes) + " bytes",
                      "within the memory of " + std::to_string(size_) + " bytes");
    return memory_ + address;
}

void Step::set_scalar(int64_t number, float value) {
    state_.scalar.data()[number] = value;
    wrote(Place::scalar, number, 0, state_.scalar.data() + number, sizeof value);
}

}  // namespace elastix

struct elastix_step {
    explicit elastix_step(const elastix_step_parameters& parameters) : step(parameters) {}

    elastix::Step step;
    std::string error;
};

elastix_step* elastix_step_create(const elastix_step_parameters* parameters) {
    if (!elastix::check_step_parameters(*parameters).empty()) return nullptr;
    try {
        return new elastix_step(*parameters);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

void elastix_step_destroy(elastix_step* step) { delete step; }

int32_t elastix_step_run(elastix_step* step, uint8_t* memory, uint64_t size, uint64_t program, const int64_t* tokens, int64_t count,
                         int64_t position, int64_t* arg_max) {
    step->error.clear();
    try {
        step->step.begin(memory, size, program, tokens, count, position);
        while (step->step.advance()) continue;
        for (int64_t lane = 0; lane < count; ++lane) arg_max[lane] = step->step.arg_max(lane);
    } catch (const elastix::Problem& problem) {
        if (step->step.at() >= 0) step->error = "instruction " + std::to_string(step->step.at()) + ": ";
        step->error += problem.found + (problem.wanted.empty() ? "" : "; wanted " + problem.wanted);
    } catch (const std::exception& exception) {
        step->error = exception.what();
    }
    return step->error.empty() ? 0 : 1;
}

const char* elastix_step_error(const elastix_step* step) { return step->error.c_str(); }
