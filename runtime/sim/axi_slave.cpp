#include "axi_slave.h"

#include <algorithm>

namespace elastix::sim {

namespace {

[[noreturn]] void violation(const std::string &bus, std::uint64_t cycle, const std::string &what) {
  throw Error("AXI violation on " + bus + " in cycle " + std::to_string(cycle) + ": " + what);
}

std::string hex(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

unsigned log2_exact(unsigned value) {
  unsigned log = 0;
  while ((1u << log) < value)
    ++log;
  return log;
}

// The planted fault in [address, address + bytes), or null.
const Fault *find_fault(const std::vector<Fault> &faults, std::uint64_t address, std::uint64_t bytes, bool write) {
  for (const Fault &fault : faults)
    if (fault.write == write && fault.address >= address && fault.address - address < bytes)
      return &fault;
  return nullptr;
}

Response response_to(const SlaveContext &context, std::uint64_t address, std::uint64_t bytes, bool write) {
  if (!context.memory->holds(address, bytes))
    return DECERR;
  const Fault *fault = find_fault(*context.faults, address, bytes, write);
  if (fault && fault->kind == Fault::respond_slverr)
    return SLVERR;
  return fault && fault->kind == Fault::respond_decerr ? DECERR : OKAY;
}

} // namespace

AddressChannel::AddressChannel(const Ports &ports, const SlaveContext &context, const std::string &letter)
    : name_(context.name + "_" + letter), beat_bytes_(context.beat_bits / 8), max_burst_(context.max_burst),
      valid_(ports.take(name_ + "valid", 1)), ready_(ports.take(name_ + "ready", 1)),
      address_(ports.take(name_ + "addr", 0)), length_(ports.take(name_ + "len", 8)),
      size_(ports.take(name_ + "size", 3)), burst_(ports.take(name_ + "burst", 2)) {}

void AddressChannel::check(std::uint64_t cycle) {
  if (!valid()) {
    if (waiting_)
      violation(name_, cycle, "valid fell before ready");
    return;
  }
  std::uint64_t address = address_.number(), length = length_.number(), bytes = (length + 1) * beat_bytes_;
  if (waiting_ && (address != held_address_ || length != held_length_))
    violation(name_, cycle, "address or length changed while valid waited for ready");
  if (!waiting_) {
    if (burst_.number() != 1)
      violation(name_, cycle, "burst type " + std::to_string(burst_.number()) + ", wanted 1 (INCR)");
    if ((1u << size_.number()) != beat_bytes_)
      violation(name_, cycle, "size " + std::to_string(size_.number()) + ", wanted " +
                                  std::to_string(log2_exact(beat_bytes_)) + " (" + std::to_string(beat_bytes_) + " bytes)");
    if (address % beat_bytes_)
      violation(name_, cycle, "address " + hex(address) + " is no multiple of the beat");
    if (length + 1 > max_burst_)
      violation(name_, cycle, std::to_string(length + 1) + " beats, at most " + std::to_string(max_burst_) + " allowed");
    if (address / 4096 != (address + bytes - 1) / 4096)
      violation(name_, cycle, "burst of " + std::to_string(bytes) + " bytes at " + hex(address) + " crosses 4 KB");
  }
  waiting_ = !ready();
  held_address_ = address;
  held_length_ = length;
}

ReadSlave::ReadSlave(const Ports &ports, const SlaveContext &context)
    : context_(context), ar_(ports, context, "ar"), valid_(ports.take(context.name + "_rvalid", 1)),
      ready_(ports.take(context.name + "_rready", 1)), data_(ports.take(context.name + "_rdata", context.beat_bits)),
      response_(ports.take(context.name + "_rresp", 2)), last_(ports.take(context.name + "_rlast", 1)),
      pressure_(context.seed, context.pressure_percent) {
  reset();
}

void ReadSlave::reset() {
  beats_.clear();
  bursts_ = 0;
  presented_ = false;
  ar_.reset();
  valid_.set(false);
  ar_.set_ready(false);
}

void ReadSlave::release() {
  for (Beat &beat : beats_)
    if (beat.ready == never)
      beat.ready = 0;
}

void ReadSlave::drive(std::uint64_t cycle) {
  if (!presented_ && !beats_.empty() && beats_.front().ready <= cycle && !pressure_.hold()) {
    const Beat &beat = beats_.front();
    unsigned bytes = context_.beat_bits / 8;
    if (beat.response == OKAY)
      std::memcpy(data_.data, context_.memory->base + beat.address, bytes);
    else
      std::memset(data_.data, 0xDB, bytes);
    response_.set_number(beat.response);
    last_.set(beat.last);
    presented_ = true;
  }
  valid_.set(presented_);
  bool take = bursts_ < context_.channel->parameters().outstanding && !pressure_.hold();
  if (take && !context_.faults->empty() && ar_.valid()) {
    const Fault *fault = find_fault(*context_.faults, ar_.address(), std::uint64_t{ar_.beats()} * context_.beat_bits / 8, false);
    take = !(fault && fault->kind == Fault::no_accept);
  }
  ar_.set_ready(take);
}

void ReadSlave::accept(std::uint64_t cycle) {
  unsigned bytes = context_.beat_bits / 8, count = ar_.beats();
  std::uint64_t address = ar_.address();
  times_.clear();
  context_.channel->burst(cycle, address, count, bytes, false, times_);
  bool dead = false;
  for (unsigned i = 0; i < count; ++i, address += bytes) {
    const Fault *fault = context_.faults->empty() ? nullptr : find_fault(*context_.faults, address, bytes, false);
    dead = dead || (fault && fault->kind == Fault::no_response);
    beats_.push_back({dead ? never : times_[i], address, response_to(context_, address, bytes, false), i + 1 == count});
  }
  ++bursts_;
}

void ReadSlave::sample(std::uint64_t cycle) {
  ar_.check(cycle);
  if (presented_ && ready_.bit()) {
    if (!beats_taken++)
      first_beat = cycle;
    last_beat = cycle;
    bursts_ -= beats_.front().last;
    beats_.pop_front();
    presented_ = false;
  } else if (presented_) {
    ++stalled_cycles;
  }
  if (ar_.valid() && ar_.ready())
    accept(cycle);
}

std::string ReadSlave::state() const {
  return context_.name + " read: " + std::to_string(bursts_) + " bursts outstanding, " + std::to_string(beats_taken) +
         " beats taken, arvalid " + std::to_string(ar_.valid()) + ", rready " + std::to_string(ready_.bit());
}

WriteSlave::WriteSlave(const Ports &ports, const SlaveContext &context)
    : context_(context), aw_(ports, context, "aw"), data_valid_(ports.take(context.name + "_wvalid", 1)),
      data_ready_(ports.take(context.name + "_wready", 1)), data_(ports.take(context.name + "_wdata", context.beat_bits)),
      strobe_(ports.take(context.name + "_wstrb", context.beat_bits / 8)), last_(ports.take(context.name + "_wlast", 1)),
      answer_valid_(ports.take(context.name + "_bvalid", 1)), answer_ready_(ports.take(context.name + "_bready", 1)),
      answer_(ports.take(context.name + "_bresp", 2)), pressure_(context.seed + 1, context.pressure_percent) {
  reset();
}

void WriteSlave::reset() {
  addresses_.clear();
  responses_.clear();
  waiting_ = presented_ = false;
  aw_.reset();
  aw_.set_ready(false);
  data_ready_.set(false);
  answer_valid_.set(false);
}

void WriteSlave::release() {
  for (Answer &answer : responses_)
    if (answer.ready == never)
      answer.ready = 0;
}

void WriteSlave::drive(std::uint64_t cycle) {
  if (!presented_ && !responses_.empty() && responses_.front().ready <= cycle && !pressure_.hold()) {
    answer_.set_number(responses_.front().response);
    presented_ = true;
  }
  answer_valid_.set(presented_);
  bool take = addresses_.size() + responses_.size() < context_.channel->parameters().outstanding && !pressure_.hold();
  if (take && !context_.faults->empty() && aw_.valid()) {
    const Fault *fault = find_fault(*context_.faults, aw_.address(), std::uint64_t{aw_.beats()} * context_.beat_bits / 8, true);
    take = !(fault && fault->kind == Fault::no_accept);
  }
  aw_.set_ready(take);
  data_ready_.set(!addresses_.empty() && !pressure_.hold());
}

void WriteSlave::check_data(std::uint64_t cycle) {
  unsigned bytes = context_.beat_bits / 8, strobe_bytes = (bytes + 7) / 8;
  if (!data_valid_.bit()) {
    if (waiting_)
      violation(context_.name + "_w", cycle, "valid fell before ready");
    return;
  }
  if (waiting_ && (std::memcmp(held_data_.data(), data_.data, bytes) || std::memcmp(held_strobe_.data(), strobe_.data, strobe_bytes) ||
                   held_last_ != last_.bit()))
    violation(context_.name + "_w", cycle, "data, strobes or last changed while valid waited for ready");
  waiting_ = !data_ready_.bit();
  if (waiting_) {
    held_data_.assign(data_.data, data_.data + bytes);
    held_strobe_.assign(strobe_.data, strobe_.data + strobe_bytes);
    held_last_ = last_.bit();
  }
}

void WriteSlave::take_data(std::uint64_t cycle) {
  Burst &burst = addresses_.front();
  unsigned bytes = context_.beat_bits / 8;
  std::uint64_t address = burst.address + std::uint64_t{burst.done} * bytes;
  ++burst.done;
  ++beats_taken;
  if (last_.bit() != (burst.done == burst.beats))
    violation(context_.name + "_w", cycle,
              "last is " + std::to_string(last_.bit()) + " at beat " + std::to_string(burst.done) + " of " + std::to_string(burst.beats));
  Response response = response_to(context_, address, bytes, true);
  if (response == OKAY) {
    for (unsigned i = 0; i < bytes; ++i)
      if (strobe_.data[i / 8] >> (i % 8) & 1)
        context_.memory->base[address + i] = data_.data[i];
  }
  burst.response = std::max(burst.response, response);
  if (burst.done < burst.beats)
    return;
  times_.clear();
  context_.channel->burst(cycle, burst.address, burst.beats, bytes, true, times_);
  const Fault *fault = find_fault(*context_.faults, burst.address, std::uint64_t{burst.beats} * bytes, true);
  responses_.push_back({fault && fault->kind == Fault::no_response ? never : times_.back(), burst.response});
  addresses_.pop_front();
}

void WriteSlave::sample(std::uint64_t cycle) {
  aw_.check(cycle);
  check_data(cycle);
  if (presented_ && answer_ready_.bit()) {
    responses_.pop_front();
    presented_ = false;
    last_response = cycle;
  }
  if (data_valid_.bit() && data_ready_.bit())
    take_data(cycle);
  if (aw_.valid() && aw_.ready())
    addresses_.push_back({aw_.address(), aw_.beats(), 0, OKAY});
}

std::string WriteSlave::state() const {
  return context_.name + " write: " + std::to_string(addresses_.size()) + " bursts without all data, " +
         std::to_string(responses_.size()) + " without response, awvalid " + std::to_string(aw_.valid()) + ", wvalid " +
         std::to_string(data_valid_.bit());
}

} // namespace elastix::sim
