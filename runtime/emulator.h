// The emulator: an engine (README.md) that computes what the processor computes, on the vector instructions of the host.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "buffer.h"
#include "dot.h"
#include "layer.h"

namespace elastix {

// Mistakes that a test can have the emulator make, to see that a comparison notices: planes taken in the reverse order, or
// the first column's codes as 0.
enum class Fault { none, planes, column };

// A layer's stream, checked and decoded once, in panels of 16 rows.
struct DecodedLayer {
    DecodedLayer(const uint8_t* memory, const Layer& layer, Fault fault);
    Panel panel(int64_t index) const;

    int tiles, group_tiles, groups, packing, zero;
    int64_t panels, panel_bytes;
    Buffer<uint8_t> codes, scales;
    Buffer<uint16_t> zeros;  // empty unless zero points are free
    Buffer<float> row_scales;
};

class Emulator {
  public:
    explicit Emulator(const elastix_processor& processor);
    // The engine's contract; empty when all is well.
    std::string run(uint8_t* memory, uint64_t size, uint64_t descriptor);
    // The layer's stream, from the store of decoded ones if it was seen before. Null, with the problem, when a segment is damaged.
    const DecodedLayer* decode(const uint8_t* memory, const Layer& layer, std::string& problem);
    // Forget what was decoded: the weights in memory have changed. (A segment whose CRC beat changed is noticed without.)
    void invalidate() { decoded_.clear(); }
    // For tests: decode wrongly from now on.
    void plant(Fault fault) {
        fault_ = fault;
        invalidate();
    }
    bool overflow() const { return overflow_; }  // sticky (C6)
    const char* kernel() const { return dot_kernel_name(kernel_); }
    const elastix_engine& engine() const { return engine_; }

  private:
    // What the decoded form follows from: the memory, the fields of the descriptor, the CRC beats.
    using Key = std::array<uint64_t, 8>;
    void compute(uint8_t* memory, const Layer& layer, const DecodedLayer& decoded, const Activations* x, const int* exponents);

    const elastix_processor processor_;
    const DotKernel kernel_;
    elastix_engine engine_;
    std::map<Key, std::unique_ptr<DecodedLayer>> decoded_;
    std::atomic<bool> overflow_{false};
    Fault fault_ = Fault::none;
};

}  // namespace elastix
