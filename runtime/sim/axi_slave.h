// AXI4 slaves that serve the processor's masters from device memory, and check the protocol while they do.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "memory.h"
#include "ports.h"

namespace elastix::sim {

// The flat byte memory of the launch in progress.
struct DeviceMemory {
  std::uint8_t *base = nullptr;
  std::uint64_t size = 0;
  bool holds(std::uint64_t address, std::uint64_t bytes) const { return address <= size && bytes <= size - address; }
};

enum Response : std::uint8_t { OKAY = 0, SLVERR = 2, DECERR = 3 };

// A planted fault: the beat that holds `address`, in the given direction.
struct Fault {
  enum Kind { respond_slverr, respond_decerr, no_response, no_accept };
  std::uint64_t address = 0;
  bool write = false;
  Kind kind = respond_slverr;
};

// Reproducible coin: holds a handshake back in `percent` of the cycles.
class Pressure {
public:
  Pressure(std::uint64_t seed, unsigned percent) : state_(seed * 0x9E3779B97F4A7C15u + 1), percent_(percent) {}
  bool hold() {
    if (!percent_)
      return false;
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return (state_ >> 33) % 100 < percent_;
  }

private:
  std::uint64_t state_;
  unsigned percent_;
};

// What every slave knows of its surroundings.
struct SlaveContext {
  std::string name; // of the bus, such as m_axi_w0
  unsigned beat_bits = 256;
  unsigned max_burst = 256;
  DeviceMemory *memory = nullptr;
  std::vector<Fault> *faults = nullptr;
  MemoryChannel *channel = nullptr;
  std::uint64_t seed = 0;
  unsigned pressure_percent = 0;
};

// Address channel (AR or AW) of a master: its ports and the rules on what it says.
class AddressChannel {
public:
  AddressChannel(const Ports &ports, const SlaveContext &context, const std::string &letter);
  bool valid() const { return valid_.bit(); }
  bool ready() const { return ready_.bit(); }
  void set_ready(bool ready) { ready_.set(ready); }
  // Checks this cycle's payload; throws Error naming the bus, the rule and the cycle.
  void check(std::uint64_t cycle);
  void reset() { waiting_ = false; }
  std::uint64_t address() const { return address_.number(); }
  unsigned beats() const { return static_cast<unsigned>(length_.number()) + 1; }

private:
  std::string name_;
  unsigned beat_bytes_, max_burst_;
  Port valid_, ready_, address_, length_, size_, burst_;
  bool waiting_ = false; // valid was high in the last cycle and not taken
  std::uint64_t held_address_ = 0, held_length_ = 0;
};

class ReadSlave {
public:
  ReadSlave(const Ports &ports, const SlaveContext &context);
  // A cycle is drive (this slave's outputs, from its state), then sample (handshakes, state), then the clock edge.
  void drive(std::uint64_t cycle);
  void sample(std::uint64_t cycle);
  void reset();
  void release(); // answer what was never to be answered
  bool quiet() const { return !ar_.valid(); } // as a master must be in reset
  bool idle() const { return beats_.empty(); }
  std::string state() const;
  std::uint64_t beats_taken = 0, first_beat = 0, last_beat = 0, stalled_cycles = 0;

private:
  struct Beat {
    std::uint64_t ready, address;
    Response response;
    bool last;
  };
  void accept(std::uint64_t cycle);

  SlaveContext context_;
  AddressChannel ar_;
  Port valid_, ready_, data_, response_, last_;
  Pressure pressure_;
  std::deque<Beat> beats_;
  std::vector<std::uint64_t> times_;
  unsigned bursts_ = 0;
  bool presented_ = false; // rvalid, with the front beat's payload
};

class WriteSlave {
public:
  WriteSlave(const Ports &ports, const SlaveContext &context);
  void drive(std::uint64_t cycle);
  void sample(std::uint64_t cycle);
  void reset();
  void release();
  bool quiet() const { return !aw_.valid() && !data_valid_.bit(); }
  bool idle() const { return addresses_.empty() && responses_.empty(); }
  std::string state() const;
  std::uint64_t beats_taken = 0, last_response = 0;

private:
  struct Burst {
    std::uint64_t address;
    unsigned beats, done;
    Response response;
  };
  struct Answer {
    std::uint64_t ready;
    Response response;
  };
  void take_data(std::uint64_t cycle);
  void check_data(std::uint64_t cycle);

  SlaveContext context_;
  AddressChannel aw_;
  Port data_valid_, data_ready_, data_, strobe_, last_;
  Port answer_valid_, answer_ready_, answer_;
  Pressure pressure_;
  std::deque<Burst> addresses_; // bursts whose data is not complete
  std::deque<Answer> responses_;
  std::vector<std::uint8_t> held_data_, held_strobe_;
  bool waiting_ = false, held_last_ = false, presented_ = false;
  std::vector<std::uint64_t> times_;
};

} // namespace elastix::sim
