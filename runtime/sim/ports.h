// The circuit under simulation as the harness sees it: an eval function and named ports.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>

namespace elastix::sim {

// What went wrong in a simulation, in one sentence.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A port's storage: little-endian bytes, ceil(bits / 8) of them, unused upper bits zero (true of arc and of Verilator on a
// little-endian machine). Reads and writes of the accessors touch just those bytes.
struct Port {
  std::uint8_t *data = nullptr;
  unsigned bits = 0;
  bool output = false; // of the circuit

  bool bit() const { return *data & 1; }
  void set(bool value) { *data = value; }

  std::uint64_t number() const {
    std::uint64_t value = 0;
    std::memcpy(&value, data, (bits + 7) / 8);
    return value;
  }
  void set_number(std::uint64_t value) { std::memcpy(data, &value, (bits + 7) / 8); }
};

// Ports by name. `take` is used once per port when a harness is built, never in its clock loop.
class Ports {
public:
  void add(const std::string &name, Port port) { ports_[name] = port; }

  // bits 0: any width up to 64.
  Port take(const std::string &name, unsigned bits) const {
    auto found = ports_.find(name);
    if (found == ports_.end())
      throw Error("the circuit has no port " + name);
    unsigned width = found->second.bits;
    if (bits ? width != bits : width > 64)
      throw Error("port " + name + " has " + std::to_string(width) + " bits; wanted: " +
                  (bits ? std::to_string(bits) : "at most 64"));
    return found->second;
  }
  const std::map<std::string, Port> &all() const { return ports_; }

private:
  std::map<std::string, Port> ports_;
};

// eval(state) brings every register and output up to date with the inputs; registers move when it sees clk rise.
struct Circuit {
  void (*eval)(void *) = nullptr;
  void *state = nullptr;
  Port clock;
  // Where the circuit keeps the clock it saw last, or null. Clearing it makes the next eval with clk = 1 a rising edge,
  // so that one eval a cycle does; without it a cycle needs an eval with clk = 0 as well.
  std::uint8_t *seen_clock = nullptr;

  void evaluate() const { eval(state); }
};

} // namespace elastix::sim
