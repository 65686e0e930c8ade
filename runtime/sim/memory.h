// Timing of the memory behind an AXI port: an ideal one, and one DRAM channel at the level of column accesses.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

namespace elastix::sim {

constexpr std::uint64_t never = ~std::uint64_t{0};

// Field by field the same as runtime/memory_model.py, where each one's meaning and source stand; n… are memory clocks.
struct MemoryParameters {
  bool ideal = true;
  std::uint64_t core_hz = 300'000'000;
  std::uint64_t memory_hz = 0;
  std::uint32_t latency = 0; // core cycles
  std::uint32_t outstanding = 16;
  std::uint32_t write_queue = 64; // accesses
  std::uint32_t access_bytes = 64, access_clocks = 4;
  std::uint32_t bank_groups = 1, banks_per_group = 8, row_bytes = 8192;
  std::uint32_t nCL = 0, nCWL = 0, nRCD = 0, nRP = 0, nRAS = 0, nRRD = 0, nFAW = 0, nCCD_S = 0, nCCD_L = 0;
  std::uint32_t nRTP = 0, nWR = 0, nWTR = 0, nRFC = 0, nREFI = 0; // nREFI 0: no refresh
};

struct DramStatistics {
  std::uint64_t accesses = 0, row_hits = 0, row_misses = 0, refreshes = 0;
};

// One DRAM channel: open rows, in-order column accesses on one data bus. A row is activated as soon as its access is known
// and its bank allows, so activations hide behind earlier transfers when requests come ahead of their data.
class Dram {
public:
  explicit Dram(const MemoryParameters &p);
  // Memory clock at which the access to `address`, known since `arrival`, has its data on the bus completely.
  std::uint64_t access(std::uint64_t arrival, std::uint64_t address, bool write);
  // Whether the data bus has nothing to do before `clock`.
  bool idle_at(std::uint64_t clock) const { return column_ok_ <= clock; }
  DramStatistics statistics;

private:
  struct Bank {
    bool open = false;
    std::uint64_t row = 0;
    std::uint64_t activate_ok = 0, column_ok = 0, precharge_ok = 0;
  };
  struct Plan {
    bool miss;
    std::uint64_t activate, column;
  };
  Plan plan(const Bank &bank, unsigned group, std::uint64_t arrival, std::uint64_t row, bool write) const;
  void refresh();

  MemoryParameters p_;
  std::vector<Bank> banks_;
  std::vector<std::uint64_t> group_column_ok_;
  std::array<std::uint64_t, 4> last_activates_{}; // ring, oldest at next_activate_; 0: none yet
  unsigned next_activate_ = 0;
  std::uint64_t activate_ok_ = 0, column_ok_ = 0, read_ok_ = 0, write_ok_ = 0, next_refresh_;
};

// A memory channel in core cycles, shared by the ports that are given it. Writes are answered when the controller has them; they
// go to the DRAM together, when its write queue is full or the bus would be idle, as turning the bus round costs time.
class MemoryChannel {
public:
  explicit MemoryChannel(const MemoryParameters &p);
  // Core cycles from which each of the `beats` of `bytes` may be handed over (read) or the response given (write; the last
  // entry), appended to `ready`, for a burst accepted at core cycle `now`. Never decreasing within a port.
  void burst(std::uint64_t now, std::uint64_t address, unsigned beats, unsigned bytes, bool write,
             std::vector<std::uint64_t> &ready);
  const MemoryParameters &parameters() const { return p_; }
  DramStatistics statistics() const { return dram_.statistics; }

private:
  std::uint64_t to_memory(std::uint64_t cycle) const { return (cycle * memory_ratio_ + core_ratio_ - 1) / core_ratio_; }
  std::uint64_t to_core(std::uint64_t clock) const { return (clock * core_ratio_ + memory_ratio_ - 1) / memory_ratio_; }

  struct Write {
    std::uint64_t arrival, address;
  };
  void drain();

  MemoryParameters p_;
  Dram dram_;
  std::vector<Write> writes_;
  std::uint64_t drained_ = 0; // core cycle at which the last drained write is in the DRAM
  std::uint64_t core_ratio_ = 1, memory_ratio_ = 1;
};

// Beats per core cycle (at most 1) of an infinite sequential read in bursts of 4 KB (at most 256 beats) by a master that
// always has a request ready and always takes the data: the model's peak, measured by running it over `beats` beats.
double sequential_read_peak(const MemoryParameters &p, unsigned beat_bytes, std::uint64_t beats);

} // namespace elastix::sim
