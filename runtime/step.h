// The emulator of the step processor: carries out a program in program order, by the rules C1 to C22, on the host's vector instructions.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "emulator.h"
#include "step_instruction.h"
#include "step_functions.h"
#include "step_state.h"

namespace elastix {

// Empty, or what is out of range.
std::string check_step_parameters(const elastix_step_parameters& parameters);

// Memories keep what they hold from run to run, as the processor's do.
class Step {
  public:
    explicit Step(const elastix_step_parameters& parameters);

    // Begins a run over `count` tokens, the first at `position`. Throws Problem when they or the program's address are out of range.
    void begin(uint8_t* memory, uint64_t size, uint64_t program, const int64_t* tokens, int64_t count, int64_t position);
    // Carries out the next instruction; false when that was END. Throws Problem, and then `at` says which it was.
    bool advance();

    int64_t at() const { return at_; }           // index of the instruction carried out last
    uint64_t address() const { return address_; }  // of the same
    const std::vector<Write>& writes() const { return writes_; }
    uint32_t arg_max(int64_t lane) const { return state_.arg_max.data()[lane]; }
    bool overflow() const { return overflow_ != 0; }  // of this run (C6)
    int lanes() const { return parameters_.matrix.lanes; }
    void invalidate() { matrix_.invalidate(); }

  private:
    // What happens to the results of one token of a LINEAR.
    struct Drain;
    // Best result so far of one token.
    struct Best;

    void execute(const Instruction& i);
    void linear(const Instruction& i);
    void embed(const Instruction& i);
    void load(const Instruction& i);
    void vector(const Instruction& i);
    void compute(const Instruction& i, const float* a, float* y, int64_t count);
    void exponential(const Instruction& i, const float* a, float* y, int64_t count);
    void reduce(const Instruction& i, const float* a, int64_t count);
    void quantize(const Instruction& i, const float* a, int64_t count);
    float largest_of(const Instruction& i, const float* a, int64_t count) const;
    void keep_row(const Instruction& i, const float* a);
    void scores(const Instruction& i);
    void values(const Instruction& i);

    Layer placed(const Instruction& i) const;
    // Byte address of row t of a cache whose row 0 is at `from`, rows having `size` bytes and being dealt to channels in words.
    uint64_t row_at(uint64_t from, const Instruction& i, uint64_t size, int64_t t) const {
        const int64_t word = t / parameters_.vector_lanes, channels = parameters_.attention_channels;
        const int64_t row = word / channels * parameters_.vector_lanes + t % parameters_.vector_lanes;
        return from + 64 * i.channel_stride * static_cast<uint64_t>(word % channels) + size * static_cast<uint64_t>(row);
    }
    // Calls use(bytes, first row, rows) for rows 0 … position − 1 of a cache, as many at once as lie one after the other.
    template <typename Use>
    void each_word(uint64_t from, const Instruction& i, uint64_t size, const char* name, Use use) const;
    // Rows of a head from position 0 to this lane's own, wherever they lie.
    void gather(uint64_t from, const Instruction& i, int kind, const int8_t** rows) const;
    void gather_scales(uint64_t from, const Instruction& i, int kind, uint16_t* scales) const;

    Activation activation() const { return static_cast<Activation>(parameters_.activation); }
    float* vector_at(uint64_t first, int64_t count, const char* name);
    float* constant_at(uint64_t first, int64_t count, const char* name);
    uint8_t* memory_at(uint64_t address, uint64_t bytes, const char* name) const;
    void set_scalar(int64_t number, float value);
    void track(const Instruction& i, const float* y, int64_t count);
    void wrote(Place place, int64_t number, uint64_t first, const void* data, size_t bytes, int64_t head = 0) {
        writes_.push_back({place, static_cast<int32_t>(number), static_cast<int32_t>(head), first, data, bytes});
    }

    const elastix_step_parameters parameters_;
    const DotKernel kernel_;
    Emulator matrix_;
    StepState state_;
    std::vector<Write> writes_;
    std::vector<float> results_;  // of a pass that keeps none
    std::vector<int16_t> wide_;
    std::vector<int32_t> sums_;
    std::vector<const int8_t*> row_pointers_;
    std::vector<uint16_t> key_scales_;
    std::vector<int64_t> weighted_;

    // The run.
    uint8_t* memory_ = nullptr;
    uint64_t size_ = 0, program_ = 0, address_ = 0;
    std::vector<int64_t> tokens_;
    int64_t position_ = 0, at_ = -1;
    Layer layer_;  // of the LINEAR or EMBED in progress
    uint32_t overflow_ = 0;
};

}  // namespace elastix
