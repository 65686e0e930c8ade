// AXI4-Lite master: one register access at a time.
#pragma once

#include <cstdint>

#include "axi_slave.h"
#include "ports.h"

namespace elastix::sim {

class AxiLiteMaster {
public:
  AxiLiteMaster(const Ports &ports, std::uint64_t seed, unsigned pressure_percent);
  void begin_write(std::uint8_t address, std::uint32_t value);
  void begin_read(std::uint8_t address);
  bool busy() const { return write_ || read_; }
  // After a read: its value.
  std::uint32_t value() const { return value_; }
  // Same protocol of calls as the slaves.
  void drive();
  void sample(std::uint64_t cycle);
  void reset();

private:
  void check(std::uint64_t cycle, const char *channel, bool valid, bool ready, std::uint64_t payload, bool &waiting,
             std::uint64_t &held);

  Port awaddr_, awvalid_, awready_, wdata_, wstrb_, wvalid_, wready_, bresp_, bvalid_, bready_;
  Port araddr_, arvalid_, arready_, rdata_, rresp_, rvalid_, rready_;
  Pressure pressure_;
  bool write_ = false, read_ = false, address_done_ = false, data_done_ = false;
  bool b_waiting_ = false, r_waiting_ = false;
  std::uint64_t b_held_ = 0, r_held_ = 0;
  std::uint32_t value_ = 0;
};

} // namespace elastix::sim
