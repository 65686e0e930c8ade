#include "simulation.h"

#include <algorithm>
#include <chrono>

namespace elastix::sim {

namespace {
constexpr std::uint64_t register_cycles = 10'000; // bound of one register access
constexpr std::uint64_t drain_cycles = 1'000'000; // bound of a soft reset

double now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

SlaveContext context_of(const Settings &settings, const std::string &name, DeviceMemory &memory, std::vector<Fault> &faults,
                        MemoryChannel &channel, unsigned index) {
  return {name, settings.beat_bits, settings.max_burst, &memory, &faults, &channel, settings.seed * 64 + 2 * index + 2,
          settings.pressure_percent};
}
} // namespace

void Launch::add(const Launch &other) {
  for (unsigned i = 0; i < reg::counter_count; ++i)
    counters[i] += other.counters[i];
  error |= other.error;
  cycles += other.cycles;
  busy_cycles += other.busy_cycles;
  weight_beats += other.weight_beats;
  withheld += other.withheld;
  seconds += other.seconds;
}

Simulation::Simulation(Circuit circuit, const Ports &ports, const Settings &settings)
    : circuit_(circuit), settings_(settings), reset_(ports.take("rst", 1)), irq_(ports.take("irq", 1)),
      registers_(ports, settings.seed * 64, settings.pressure_percent) {
  for (unsigned c = 0; c < settings.channels; ++c) {
    channels_.push_back(std::make_unique<MemoryChannel>(settings.memory));
    std::string name = "m_axi_w" + std::to_string(c);
    weights_.push_back(
        std::make_unique<ReadSlave>(ports, context_of(settings, name, memory_, faults, *channels_.back(), c + 1)));
  }
  if (!settings.share_memory)
    channels_.push_back(std::make_unique<MemoryChannel>(settings.memory));
  MemoryChannel &io = settings.share_memory ? *channels_.front() : *channels_.back();
  SlaveContext context = context_of(settings, "m_axi_io", memory_, faults, io, settings.channels + 1);
  io_read_ = std::make_unique<ReadSlave>(ports, context);
  io_write_ = std::make_unique<WriteSlave>(ports, context);
  if (settings.check_settled) {
    for (const auto &[name, port] : ports.all())
      if (port.output) {
        outputs_.emplace_back(name, port);
        settled_.resize(settled_.size() + (port.bits + 7) / 8);
      }
  }
}

void Simulation::check_settled() {
  std::uint8_t *copy = settled_.data();
  for (const auto &[name, port] : outputs_) {
    std::memcpy(copy, port.data, (port.bits + 7) / 8);
    copy += (port.bits + 7) / 8;
  }
  circuit_.clock.set(false);
  circuit_.evaluate();
  copy = settled_.data();
  for (const auto &[name, port] : outputs_) {
    if (std::memcmp(copy, port.data, (port.bits + 7) / 8))
      throw Error("output " + name + " depends on an input of the same cycle (cycle " + std::to_string(cycle_) + ")");
    copy += (port.bits + 7) / 8;
  }
}

void Simulation::clock() {
  for (auto &slave : weights_)
    slave->drive(cycle_);
  io_read_->drive(cycle_);
  io_write_->drive(cycle_);
  registers_.drive();
  if (settings_.check_settled) {
    check_settled();
  } else if (!circuit_.seen_clock) {
    circuit_.clock.set(false);
    circuit_.evaluate();
  }
  for (auto &slave : weights_)
    slave->sample(cycle_);
  io_read_->sample(cycle_);
  io_write_->sample(cycle_);
  registers_.sample(cycle_);
  circuit_.clock.set(true);
  circuit_.evaluate();
  if (circuit_.seen_clock)
    *circuit_.seen_clock = 0;
  ++cycle_;
}

void Simulation::reset(unsigned cycles) {
  for (auto &slave : weights_)
    slave->reset();
  io_read_->reset();
  io_write_->reset();
  registers_.reset();
  reset_.set(true);
  for (unsigned i = 0; i < cycles; ++i) {
    circuit_.clock.set(false);
    circuit_.evaluate();
    circuit_.clock.set(true);
    circuit_.evaluate();
    ++cycle_;
  }
  check_quiet();
  reset_.set(false);
  circuit_.clock.set(false);
  circuit_.evaluate();
  needs_reset_ = false;
}

void Simulation::check_quiet() const {
  bool quiet = io_read_->quiet() && io_write_->quiet();
  for (auto &slave : weights_)
    quiet = quiet && slave->quiet();
  if (!quiet)
    throw Error("AXI violation: a master keeps valid high in reset");
}

void Simulation::clear_faults() {
  faults.clear();
  for (auto &slave : weights_)
    slave->release();
  io_read_->release();
  io_write_->release();
}

bool Simulation::step(std::uint64_t cycles) {
  double begin = now();
  for (std::uint64_t i = 0; i < cycles && !irq_.bit(); ++i)
    clock();
  seconds_ += now() - begin;
  return irq_.bit();
}

void Simulation::write_register(std::uint8_t address, std::uint32_t value) {
  registers_.begin_write(address, value);
  for (std::uint64_t i = 0; registers_.busy(); ++i) {
    if (i == register_cycles)
      throw Error("no response to a register write in " + std::to_string(register_cycles) + " cycles");
    clock();
  }
}

std::uint32_t Simulation::read_register(std::uint8_t address) {
  registers_.begin_read(address);
  for (std::uint64_t i = 0; registers_.busy(); ++i) {
    if (i == register_cycles)
      throw Error("no response to a register read in " + std::to_string(register_cycles) + " cycles");
    clock();
  }
  return registers_.value();
}

std::string Simulation::state() {
  std::string text = "cycle " + std::to_string(cycle_) + "; STATUS " + std::to_string(read_register(reg::status));
  for (auto &slave : weights_)
    text += "; " + slave->state();
  return text + "; " + io_read_->state() + "; " + io_write_->state();
}

void Simulation::soft_reset() {
  write_register(reg::control, reg::soft_reset);
  for (std::uint64_t start = cycle_; read_register(reg::status) & reg::resetting;)
    if (cycle_ - start > drain_cycles) {
      needs_reset_ = true;
      return;
    }
}

void Simulation::run_to_interrupt(std::uint64_t descriptor) {
  write_register(reg::descriptor, static_cast<std::uint32_t>(descriptor));
  write_register(reg::descriptor + 4, static_cast<std::uint32_t>(descriptor >> 32));
  for (auto &slave : weights_)
    slave->beats_taken = slave->stalled_cycles = 0;
  std::uint64_t start = cycle_;
  write_register(reg::control, reg::start | reg::interrupt_enable);
  while (!irq_.bit()) {
    if (cycle_ - start >= settings_.max_cycles)
      throw Error("the launch of descriptor " + std::to_string(descriptor) + " did not finish in " +
                  std::to_string(settings_.max_cycles) + " cycles; " + state());
    clock();
  }
  last.cycles = cycle_ - start;
}

void Simulation::finish_launch() {
  std::uint64_t first = never;
  for (auto &slave : weights_) {
    last.weight_beats += slave->beats_taken;
    last.withheld += slave->stalled_cycles;
    if (slave->beats_taken)
      first = std::min(first, slave->first_beat);
  }
  if (first != never && io_write_->last_response > first)
    last.busy_cycles = io_write_->last_response - first + 1;
  last.status = read_register(reg::status);
  last.error = read_register(reg::error);
  for (unsigned i = 0; i < reg::counter_count; ++i)
    last.counters[i] = read_register(static_cast<std::uint8_t>(reg::counters + 4 * i));
  write_register(reg::control, reg::acknowledge | reg::interrupt_enable);
  if (last.error & reg::overflow)
    write_register(reg::error, reg::overflow);
  if (!(last.error & ~reg::overflow) && !(last.status & reg::failed))
    return;
  last.error_address = read_register(reg::error_address) | std::uint64_t{read_register(reg::error_address + 4)} << 32;
  static const char *const names[] = {"read response", "write response", "time-out", "weight CRC", "overflow", "bad descriptor"};
  std::string what;
  for (unsigned i = 0; i < 6; ++i)
    if (last.error >> i & 1)
      what += (what.empty() ? "" : ", ") + std::string(names[i]);
  char address[24];
  std::snprintf(address, sizeof address, "0x%llx", static_cast<unsigned long long>(last.error_address));
  soft_reset();
  throw Error("the processor stopped: " + what + " (ERROR " + std::to_string(last.error) + "), first at address " + address);
}

void Simulation::launch(std::uint64_t descriptor) {
  last = Launch{};
  double begin = now();
  try {
    if (needs_reset_)
      reset();
    needs_reset_ = true;
    run_to_interrupt(descriptor);
    needs_reset_ = false;
    finish_launch();
  } catch (...) {
    last.seconds = now() - begin;
    seconds_ += last.seconds;
    throw;
  }
  last.seconds = now() - begin;
  seconds_ += last.seconds;
  total.add(last);
  ++launches;
}

DramStatistics Simulation::dram() const {
  DramStatistics sum;
  for (auto &channel : channels_) {
    DramStatistics one = channel->statistics();
    sum.accesses += one.accesses;
    sum.row_hits += one.row_hits;
    sum.row_misses += one.row_misses;
    sum.refreshes += one.refreshes;
  }
  return sum;
}

} // namespace elastix::sim
