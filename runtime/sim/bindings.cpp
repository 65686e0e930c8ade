// Python sees the harness as `_runtime.Simulation`; runtime/simulate.py gives it a typed, documented face.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstdio>
#include <memory>
#include <tuple>

#include "../elastix.h"
#include "simulation.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace elastix::sim {
namespace {

// name → (address, bits, is an output)
using PortTable = std::map<std::string, std::tuple<std::uint64_t, unsigned, bool>>;
using Bytes = nb::ndarray<std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

class BoundSimulation {
public:
  BoundSimulation(std::uint64_t evaluate, std::uint64_t state, std::uint64_t seen_clock, const PortTable &table,
                  const Settings &settings) {
    Ports ports;
    for (const auto &[name, port] : table)
      ports.add(name, {reinterpret_cast<std::uint8_t *>(std::get<0>(port)), std::get<1>(port), std::get<2>(port)});
    Circuit circuit{reinterpret_cast<void (*)(void *)>(evaluate), reinterpret_cast<void *>(state), ports.take("clk", 1),
                    reinterpret_cast<std::uint8_t *>(seen_clock)};
    simulation_ = std::make_unique<Simulation>(circuit, ports, settings);
    engine_ = {simulation_.get(), run};
  }

  Simulation &get() { return *simulation_; }
  std::uint64_t engine() { return reinterpret_cast<std::uint64_t>(&engine_); }

  void set_memory(Bytes bytes) {
    bytes_ = bytes;
    simulation_->set_memory({bytes.data(), bytes.size()});
  }

private:
  static int run(void *self, std::uint8_t *memory, std::uint64_t size, std::uint64_t descriptor, char *error,
                 std::size_t error_size) {
    auto *simulation = static_cast<Simulation *>(self);
    try {
      simulation->set_memory({memory, size});
      simulation->launch(descriptor);
      return 0;
    } catch (const std::exception &failure) {
      if (error && error_size)
        std::snprintf(error, error_size, "%s", failure.what());
      return 1;
    }
  }

  std::unique_ptr<Simulation> simulation_;
  elastix_engine engine_{};
  Bytes bytes_; // keeps the array alive
};

MemoryParameters parameters_of(const std::map<std::string, std::uint64_t> &values) {
  MemoryParameters p;
  auto set = [&](const char *name, auto &field) {
    field = static_cast<std::remove_reference_t<decltype(field)>>(values.at(name));
  };
  set("ideal", p.ideal);
  set("core_hz", p.core_hz);
  set("memory_hz", p.memory_hz);
  set("latency", p.latency);
  set("outstanding", p.outstanding);
  set("write_queue", p.write_queue);
  set("access_bytes", p.access_bytes);
  set("access_clocks", p.access_clocks);
  set("bank_groups", p.bank_groups);
  set("banks_per_group", p.banks_per_group);
  set("row_bytes", p.row_bytes);
  set("nCL", p.nCL);
  set("nCWL", p.nCWL);
  set("nRCD", p.nRCD);
  set("nRP", p.nRP);
  set("nRAS", p.nRAS);
  set("nRRD", p.nRRD);
  set("nFAW", p.nFAW);
  set("nCCD_S", p.nCCD_S);
  set("nCCD_L", p.nCCD_L);
  set("nRTP", p.nRTP);
  set("nWR", p.nWR);
  set("nWTR", p.nWTR);
  set("nRFC", p.nRFC);
  set("nREFI", p.nREFI);
  return p;
}

std::map<std::string, std::uint64_t> dram_counts(const DramStatistics &s) {
  return {{"accesses", s.accesses}, {"row_hits", s.row_hits}, {"row_misses", s.row_misses}, {"refreshes", s.refreshes}};
}

} // namespace
} // namespace elastix::sim

void bind_simulation(nb::module_ &m) {
  using namespace elastix::sim;
  using Release = nb::call_guard<nb::gil_scoped_release>;
  nb::exception<Error>(m, "SimulationError");

  nb::class_<Launch>(m, "Launch")
      .def_ro("cycles", &Launch::cycles)
      .def_ro("busy_cycles", &Launch::busy_cycles)
      .def_ro("weight_beats", &Launch::weight_beats)
      .def_ro("withheld", &Launch::withheld)
      .def_ro("seconds", &Launch::seconds)
      .def_ro("status", &Launch::status)
      .def_ro("error", &Launch::error)
      .def_ro("error_address", &Launch::error_address)
      .def_prop_ro("counters", [](const Launch &l) {
        return std::vector<std::uint64_t>(l.counters, l.counters + reg::counter_count);
      });

  nb::class_<BoundSimulation>(m, "Simulation")
      .def(
          "__init__",
          [](BoundSimulation *self, std::uint64_t evaluate, std::uint64_t state, std::uint64_t seen_clock,
             const PortTable &ports, const std::map<std::string, std::uint64_t> &memory, unsigned beat_bits,
             unsigned channels, unsigned max_burst, std::uint64_t max_cycles, std::uint64_t seed, unsigned pressure_percent,
             bool share_memory, bool check_settled) {
            Settings settings{beat_bits, channels,     max_burst,     max_cycles,           seed,
                              pressure_percent, share_memory, check_settled, parameters_of(memory)};
            new (self) BoundSimulation(evaluate, state, seen_clock, ports, settings);
          },
          "evaluate"_a, "state"_a, "seen_clock"_a, "ports"_a, nb::kw_only(), "memory"_a, "beat_bits"_a, "channels"_a,
          "max_burst"_a, "max_cycles"_a, "seed"_a, "pressure_percent"_a, "share_memory"_a, "check_settled"_a)
      .def_prop_ro("engine", &BoundSimulation::engine)
      .def("set_memory", &BoundSimulation::set_memory, "memory"_a)
      .def("reset", [](BoundSimulation &s) { s.get().reset(); }, Release())
      .def("step", [](BoundSimulation &s, std::uint64_t cycles) { return s.get().step(cycles); }, "cycles"_a, Release())
      .def("launch", [](BoundSimulation &s, std::uint64_t descriptor) { s.get().launch(descriptor); }, "descriptor"_a,
           Release())
      .def(
          "write_register",
          [](BoundSimulation &s, std::uint8_t address, std::uint32_t value) { s.get().write_register(address, value); },
          "address"_a, "value"_a, Release())
      .def("read_register", [](BoundSimulation &s, std::uint8_t address) { return s.get().read_register(address); },
           "address"_a, Release())
      .def("state", [](BoundSimulation &s) { return s.get().state(); })
      .def_prop_ro("cycle", [](BoundSimulation &s) { return s.get().cycle(); })
      .def_prop_ro("seconds", [](BoundSimulation &s) { return s.get().seconds(); })
      .def_prop_ro("last", [](BoundSimulation &s) { return s.get().last; })
      .def_prop_ro("total", [](BoundSimulation &s) { return s.get().total; })
      .def_prop_ro("launches", [](BoundSimulation &s) { return s.get().launches; })
      .def_prop_ro("dram", [](BoundSimulation &s) { return dram_counts(s.get().dram()); })
      .def(
          "plant",
          [](BoundSimulation &s, std::uint64_t address, bool write, int kind) {
            s.get().faults.push_back({address, write, static_cast<Fault::Kind>(kind)});
          },
          "address"_a, "write"_a, "kind"_a)
      .def("clear_faults", [](BoundSimulation &s) { s.get().clear_faults(); });

  m.def(
      "sequential_read_peak",
      [](const std::map<std::string, std::uint64_t> &memory, unsigned beat_bytes, std::uint64_t beats) {
        return sequential_read_peak(parameters_of(memory), beat_bytes, beats);
      },
      "memory"_a, "beat_bytes"_a, "beats"_a, Release());

  // One access after another on a fresh DRAM channel, for tests: (arrival, address, write) → memory clock of its data's end.
  m.def(
      "dram_trace",
      [](const std::map<std::string, std::uint64_t> &memory,
         const std::vector<std::tuple<std::uint64_t, std::uint64_t, bool>> &accesses) {
        Dram dram(parameters_of(memory));
        std::vector<std::uint64_t> ends;
        for (const auto &[arrival, address, write] : accesses)
          ends.push_back(dram.access(arrival, address, write));
        return std::make_tuple(ends, dram_counts(dram.statistics));
      },
      "memory"_a, "accesses"_a);
}
