#include "memory.h"

#include <algorithm>
#include <numeric>

namespace elastix::sim {

Dram::Dram(const MemoryParameters &p)
    : p_(p), banks_(std::size_t{p.bank_groups} * p.banks_per_group), group_column_ok_(p.bank_groups),
      next_refresh_(p.nREFI ? p.nREFI : never) {}

Dram::Plan Dram::plan(const Bank &bank, unsigned group, std::uint64_t arrival, std::uint64_t row, bool write) const {
  Plan plan{!(bank.open && bank.row == row), 0, 0};
  std::uint64_t bank_ready = bank.column_ok;
  if (plan.miss) {
    std::uint64_t activate = std::max({arrival, bank.activate_ok, activate_ok_});
    if (bank.open)
      activate = std::max(activate, std::max(arrival, bank.precharge_ok) + p_.nRP);
    if (last_activates_[next_activate_])
      activate = std::max(activate, last_activates_[next_activate_] + p_.nFAW);
    plan.activate = activate;
    bank_ready = activate + p_.nRCD;
  }
  plan.column = std::max({arrival, bank_ready, column_ok_, group_column_ok_[group], write ? write_ok_ : read_ok_});
  return plan;
}

void Dram::refresh() {
  std::uint64_t start = next_refresh_;
  for (const Bank &bank : banks_)
    if (bank.open)
      start = std::max(start, bank.precharge_ok);
  for (Bank &bank : banks_) {
    bank.open = false;
    bank.activate_ok = start + p_.nRP + p_.nRFC;
  }
  next_refresh_ += p_.nREFI;
  ++statistics.refreshes;
}

std::uint64_t Dram::access(std::uint64_t arrival, std::uint64_t address, bool write) {
  // Address bits from low to high: access, bank group, column, bank, row: neighbours alternate between bank groups.
  std::uint64_t index = address / p_.access_bytes;
  unsigned group = index % p_.bank_groups;
  index /= p_.bank_groups;
  index /= p_.row_bytes / p_.access_bytes;
  Bank &bank = banks_[group * p_.banks_per_group + index % p_.banks_per_group];
  std::uint64_t row = index / p_.banks_per_group;

  Plan now = plan(bank, group, arrival, row, write);
  while (now.column >= next_refresh_) {
    refresh();
    now = plan(bank, group, arrival, row, write);
  }
  ++statistics.accesses;
  ++(now.miss ? statistics.row_misses : statistics.row_hits);
  if (now.miss) {
    bank.open = true;
    bank.row = row;
    bank.column_ok = now.activate + p_.nRCD;
    bank.precharge_ok = now.activate + p_.nRAS;
    activate_ok_ = now.activate + p_.nRRD;
    last_activates_[next_activate_] = now.activate;
    next_activate_ = (next_activate_ + 1) % last_activates_.size();
  }
  column_ok_ = now.column + p_.nCCD_S;
  group_column_ok_[group] = now.column + p_.nCCD_L;
  if (write) {
    std::uint64_t end = now.column + p_.nCWL + p_.access_clocks;
    read_ok_ = end + p_.nWTR;
    bank.precharge_ok = std::max(bank.precharge_ok, end + p_.nWR);
    return end;
  }
  // Two clocks for the bus to turn round (JEDEC: RL + BL/2 + 2 − WL).
  write_ok_ = now.column + p_.nCL + p_.access_clocks + 2 - std::min(p_.nCWL, p_.nCL);
  bank.precharge_ok = std::max(bank.precharge_ok, now.column + p_.nRTP);
  return now.column + p_.nCL + p_.access_clocks;
}

MemoryChannel::MemoryChannel(const MemoryParameters &p) : p_(p), dram_(p) {
  if (p.ideal)
    return;
  std::uint64_t common = std::gcd(p.core_hz, p.memory_hz);
  core_ratio_ = p.core_hz / common;
  memory_ratio_ = p.memory_hz / common;
}

void MemoryChannel::drain() {
  for (const Write &write : writes_)
    drained_ = to_core(dram_.access(write.arrival, write.address, true));
  writes_.clear();
}

void MemoryChannel::burst(std::uint64_t now, std::uint64_t address, unsigned beats, unsigned bytes, bool write,
                          std::vector<std::uint64_t> &ready) {
  if (p_.ideal) {
    for (unsigned beat = 0; beat < beats; ++beat)
      ready.push_back(now + p_.latency + (write ? 0 : beat));
    return;
  }
  std::uint64_t arrival = to_memory(now), last = never, done = 0;
  if (write) {
    std::uint64_t end = address + std::uint64_t{beats} * bytes;
    for (std::uint64_t access = address / p_.access_bytes; access * p_.access_bytes < end; ++access)
      writes_.push_back({arrival, access * p_.access_bytes});
    // Room in the queue comes when what it held before has gone.
    ready.push_back(std::max(now, drained_) + p_.latency);
    if (writes_.size() >= p_.write_queue)
      drain();
    return;
  }
  if (!writes_.empty() && dram_.idle_at(arrival))
    drain();
  for (unsigned beat = 0; beat < beats; ++beat) {
    std::uint64_t begin = address + std::uint64_t{beat} * bytes;
    for (std::uint64_t access = begin / p_.access_bytes; access <= (begin + bytes - 1) / p_.access_bytes; ++access)
      if (access != last) {
        done = to_core(dram_.access(arrival, access * p_.access_bytes, false)) + p_.latency;
        last = access;
      }
    ready.push_back(done);
  }
}

double sequential_read_peak(const MemoryParameters &p, unsigned beat_bytes, std::uint64_t beats) {
  MemoryChannel channel(p);
  unsigned per_burst = std::min(256u, 4096 / beat_bytes);
  std::deque<std::uint64_t> queue;
  std::vector<std::uint64_t> ready;
  std::uint64_t address = 0, taken = 0, first = 0;
  std::deque<std::uint64_t> burst_ends;
  std::uint64_t issued = 0;
  // The first quarter warms up: queues full, rows open.
  std::uint64_t warm = beats / 4;
  for (std::uint64_t cycle = 0;; ++cycle) {
    if (!queue.empty() && queue.front() <= cycle) {
      queue.pop_front();
      if (++taken == warm)
        first = cycle;
      if (taken == warm + beats)
        return static_cast<double>(beats) / static_cast<double>(cycle - first);
      if (burst_ends.front() == taken)
        burst_ends.pop_front();
    }
    if (burst_ends.size() < p.outstanding) {
      ready.clear();
      channel.burst(cycle, address, per_burst, beat_bytes, false, ready);
      queue.insert(queue.end(), ready.begin(), ready.end());
      address += std::uint64_t{per_burst} * beat_bytes;
      issued += per_burst;
      burst_ends.push_back(issued);
    }
  }
}

} // namespace elastix::sim
