#include "axi_lite.h"

#include <string>

namespace elastix::sim {

namespace {
[[noreturn]] void violation(std::uint64_t cycle, const std::string &what) {
  throw Error("AXI violation on s_axil in cycle " + std::to_string(cycle) + ": " + what);
}
} // namespace

AxiLiteMaster::AxiLiteMaster(const Ports &ports, std::uint64_t seed, unsigned pressure_percent)
    : awaddr_(ports.take("s_axil_awaddr", 8)), awvalid_(ports.take("s_axil_awvalid", 1)),
      awready_(ports.take("s_axil_awready", 1)), wdata_(ports.take("s_axil_wdata", 32)),
      wstrb_(ports.take("s_axil_wstrb", 4)), wvalid_(ports.take("s_axil_wvalid", 1)),
      wready_(ports.take("s_axil_wready", 1)), bresp_(ports.take("s_axil_bresp", 2)),
      bvalid_(ports.take("s_axil_bvalid", 1)), bready_(ports.take("s_axil_bready", 1)),
      araddr_(ports.take("s_axil_araddr", 8)), arvalid_(ports.take("s_axil_arvalid", 1)),
      arready_(ports.take("s_axil_arready", 1)), rdata_(ports.take("s_axil_rdata", 32)),
      rresp_(ports.take("s_axil_rresp", 2)), rvalid_(ports.take("s_axil_rvalid", 1)),
      rready_(ports.take("s_axil_rready", 1)), pressure_(seed, pressure_percent) {
  reset();
}

void AxiLiteMaster::reset() {
  write_ = read_ = b_waiting_ = r_waiting_ = false;
  for (Port *port : {&awvalid_, &wvalid_, &bready_, &arvalid_, &rready_})
    port->set(false);
}

void AxiLiteMaster::begin_write(std::uint8_t address, std::uint32_t value) {
  write_ = true;
  address_done_ = data_done_ = false;
  awaddr_.set_number(address);
  wdata_.set_number(value);
  wstrb_.set_number(15);
}

void AxiLiteMaster::begin_read(std::uint8_t address) {
  read_ = true;
  address_done_ = false;
  araddr_.set_number(address);
}

void AxiLiteMaster::drive() {
  // A valid, once high, stays until it is taken; only its first cycle may be held back.
  if (write_) {
    awvalid_.set(!address_done_ && (awvalid_.bit() || !pressure_.hold()));
    wvalid_.set(!data_done_ && (wvalid_.bit() || !pressure_.hold()));
    bready_.set(!pressure_.hold());
  } else if (read_) {
    arvalid_.set(!address_done_ && (arvalid_.bit() || !pressure_.hold()));
    rready_.set(!pressure_.hold());
  } else {
    for (Port *port : {&awvalid_, &wvalid_, &bready_, &arvalid_, &rready_})
      port->set(false);
  }
}

void AxiLiteMaster::check(std::uint64_t cycle, const char *channel, bool valid, bool ready, std::uint64_t payload,
                          bool &waiting, std::uint64_t &held) {
  if (waiting && !valid)
    violation(cycle, std::string(channel) + "valid fell before ready");
  if (waiting && payload != held)
    violation(cycle, std::string(channel) + " payload changed while valid waited for ready");
  waiting = valid && !ready;
  held = payload;
}

void AxiLiteMaster::sample(std::uint64_t cycle) {
  bool answered = bvalid_.bit(), returned = rvalid_.bit();
  if (answered && !(write_ && address_done_ && data_done_))
    violation(cycle, "bvalid without a complete write");
  if (returned && !(read_ && address_done_))
    violation(cycle, "rvalid without a read");
  if (answered || b_waiting_)
    check(cycle, "b", answered, bready_.bit(), bresp_.number(), b_waiting_, b_held_);
  if (returned || r_waiting_)
    check(cycle, "r", returned, rready_.bit(), rdata_.number() << 2 | rresp_.number(), r_waiting_, r_held_);
  if (!busy())
    return;
  if (answered && bready_.bit()) {
    if (bresp_.number())
      violation(cycle, "response " + std::to_string(bresp_.number()) + " to a register write");
    write_ = false;
  }
  if (returned && rready_.bit()) {
    if (rresp_.number())
      violation(cycle, "response " + std::to_string(rresp_.number()) + " to a register read");
    value_ = static_cast<std::uint32_t>(rdata_.number());
    read_ = false;
  }
  address_done_ = address_done_ || (awvalid_.bit() && awready_.bit()) || (arvalid_.bit() && arready_.bit());
  data_done_ = data_done_ || (wvalid_.bit() && wready_.bit());
}

} // namespace elastix::sim
