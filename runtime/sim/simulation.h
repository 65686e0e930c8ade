// The harness: one circuit, its clock loop, memory behind its masters, and launches through its registers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "axi_lite.h"
#include "axi_slave.h"
#include "memory.h"
#include "ports.h"

namespace elastix::sim {

// Register offsets and bits: compiler/processor/README.md.
namespace reg {
constexpr std::uint8_t id = 0x00, control = 0x0C, status = 0x10, descriptor = 0x14, error = 0x1C, error_address = 0x20,
                       counters = 0x40;
constexpr std::uint32_t start = 1, soft_reset = 2, interrupt_enable = 4, acknowledge = 8;
constexpr std::uint32_t busy = 1, done = 2, failed = 4, resetting = 8;
constexpr std::uint32_t overflow = 1 << 4;
constexpr std::uint32_t id_value = 0x31584C45;
constexpr unsigned counter_count = 6;
} // namespace reg

struct Settings {
  unsigned beat_bits = 256, channels = 1, max_burst = 256;
  std::uint64_t max_cycles = 100'000'000; // of one launch
  std::uint64_t seed = 0;
  unsigned pressure_percent = 0;
  bool share_memory = false;  // m_axi_io on channel 0's memory instead of one of its own
  bool check_settled = false; // after driving inputs, evaluate and compare every output: none may depend on an input of the same cycle
  MemoryParameters memory;
};

// One launch: what its registers said at its end, and what the harness saw at the pins.
struct Launch {
  std::uint64_t counters[reg::counter_count] = {}; // cycles, busy, beats, stall_memory, stall_output, stall_load
  std::uint32_t status = 0, error = 0;
  std::uint64_t error_address = 0;
  std::uint64_t cycles = 0;       // from the start write to the interrupt
  std::uint64_t busy_cycles = 0;  // first weight beat taken to the last write response
  std::uint64_t weight_beats = 0; // taken at the m_axi_w pins
  std::uint64_t withheld = 0;     // channel-cycles a weight beat was offered and not taken
  double seconds = 0;

  void add(const Launch &other);
};

class Simulation {
public:
  Simulation(Circuit circuit, const Ports &ports, const Settings &settings);
  Simulation(const Simulation &) = delete;

  void set_memory(DeviceMemory memory) { memory_ = memory; }
  void reset(unsigned cycles = 4);
  // One clock cycle.
  void clock();
  // Up to `cycles` cycles, stopping when irq rises; true if it is up.
  bool step(std::uint64_t cycles);
  void clear_faults();
  void write_register(std::uint8_t address, std::uint32_t value);
  std::uint32_t read_register(std::uint8_t address);
  // Carries out the descriptor: throws Error if the processor reports one, breaks a rule or does not finish. After an Error
  // the processor has been soft reset, or is hard reset by the next launch where it did not drain.
  void launch(std::uint64_t descriptor);

  std::uint64_t cycle() const { return cycle_; }
  double seconds() const { return seconds_; }
  std::string state();
  DramStatistics dram() const;
  Launch last;
  Launch total; // sums over completed launches; errors or'd
  std::uint64_t launches = 0;
  std::vector<Fault> faults;

private:
  void run_to_interrupt(std::uint64_t descriptor);
  void finish_launch();
  void soft_reset();
  void check_settled();
  void check_quiet() const;

  Circuit circuit_;
  Settings settings_;
  DeviceMemory memory_;
  Port reset_, irq_;
  std::vector<std::unique_ptr<MemoryChannel>> channels_;
  std::vector<std::unique_ptr<ReadSlave>> weights_;
  std::unique_ptr<ReadSlave> io_read_;
  std::unique_ptr<WriteSlave> io_write_;
  AxiLiteMaster registers_;
  std::vector<std::pair<std::string, Port>> outputs_;
  std::vector<std::uint8_t> settled_;
  std::uint64_t cycle_ = 0;
  double seconds_ = 0;
  bool needs_reset_ = true;
};

} // namespace elastix::sim
